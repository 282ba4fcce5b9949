"""The matrix as the linear solvers see it: centred once, standardised per training subset without a copy.

All subsets share one float32 matrix, centred (and, on request, scaled) by the moments of all rows, with a last column
of ones. What is left of a subset's own standardisation is an affine map of its coefficients. Centring first is what
lets float32 do: nothing large is left to cancel.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.scratch import empty_array
from stackbone.stack.solvers.losses import Groups
from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.solvers.scales import ColumnParts
from stackbone.stack.solvers.spectrum import Spectrum

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Curvatures = NDArray[np.floating]

_WELL_CONDITIONED = 1e5  # curvature times squared length of a row, up to which products in float32 will do
_ROWS = 1024  # rows converted to float64 at a time


class StandardisedDesign:
    """One matrix and, per group, the affine map to its subset's standardised features.

    Parameters
    ----------
    x : NDArray[np.float32] or Rows
        ``(n, dim)`` finite raw features, float32 or float64.
    rows : NDArray[np.int64]
        ``(n_rows,)`` ascending rows of `x` that take part.
    fitted : NDArray[np.bool_]
        ``(n_subsets, n_rows)`` which of these rows each subset is fitted on; or what each counts for in its moments,
        0 where it is not.
    standardise : bool
        Whether the coefficients are those of features standardised by each subset's own moments.
    moderation : float
        How many rows the common variance of a part counts for in that of each column: see `scales.moderated_scales`.
    free_intercept : bool
        Whether the intercept, the last coefficient, goes unpenalised. If not, and without `standardise`, it belongs
        to the features as they came, whose mean then matters.
    parts : ColumnParts, optional
        With `standardise`: which columns are standardised and penalised among each other; by default all.

    Attributes
    ----------
    ridge : NDArray[np.float32]
        ``(n_coefficients,)`` weight of each coefficient's square in the penalty.
    """

    def __init__(
        self,
        x: Matrix,
        rows: NDArray[np.int64],
        fitted: NDArray[np.bool_] | Doubles,
        *,
        standardise: bool,
        moderation: float,
        free_intercept: bool,
        parts: ColumnParts | None = None,
    ) -> None:
        everyone = np.ones((1, len(rows)), dtype=np.bool_)
        middle = x[rows[0]].astype(np.float64)  # a value from among them, so that no sum of squares cancels
        means, variances = moments(x, rows, everyone, middle)
        self._mean = middle + means[0]
        self._parts = parts or ColumnParts.alike(x.shape[1])
        self._std = self._parts.scales(variances, len(rows), moderation)[0] if standardise else np.ones(x.shape[1])
        self._free = free_intercept
        self._matrix = empty_array((len(rows), x.shape[1] + 1))
        self._matrix[:, -1] = 1
        for part in _parts(len(rows)):
            self._matrix[part, :-1] = (x[rows[part]] - self._mean) / self._std
        if standardise or free_intercept:
            means, variances = moments(self._matrix[:, :-1], np.arange(len(rows)), fitted, np.zeros(1))
            scales = self._own_scales(variances, fitted, moderation) if standardise else np.ones_like(variances)
        else:
            means, scales = np.tile(-self._mean, (len(fitted), 1)), np.ones((len(fitted), x.shape[1]))
        self._shifts, self._scales = (means * scales).astype(np.float32), scales.astype(np.float32)
        self._exact = (
            means * scales
        )  # raw features can lie so far out that float32 moves an intercept by more than it is
        self._unscale = np.ones((len(fitted), x.shape[1] + 1), dtype=np.float32)
        np.divide(1, self._scales, out=self._unscale[:, :-1], where=self._scales > 0)
        self.ridge = np.ones(self.n_coefficients, dtype=np.float32)
        self.ridge[-1] = 0 if free_intercept else 1
        raw = not (standardise or free_intercept)
        self._spectrum = Spectrum(self._matrix, self._mean if raw else None, free_intercept=free_intercept)

    @property
    def n_coefficients(self) -> int:
        """Number of features and the intercept."""
        return int(self._matrix.shape[1])

    def select(self, groups: Groups) -> Self:
        """Return the design of these groups only; of a fresh design, every subset is a group."""
        chosen = copy.copy(self)
        chosen._shifts, chosen._scales = self._shifts[groups], self._scales[groups]
        chosen._unscale = self._unscale[groups]
        return chosen

    def forward(self, u: Floats) -> Floats:
        """Map coefficients ``(groups, width, n_coefficients)`` to decision values ``(groups, width, n_rows)``."""
        v = np.empty_like(u)
        np.multiply(u[..., :-1], self._scales[:, None], out=v[..., :-1])
        v[..., -1] = u[..., -1] - np.einsum("gwd,gd->gw", u[..., :-1], self._shifts)
        z: Floats = v.reshape(-1, self.n_coefficients) @ self._matrix.T
        return z.reshape(*u.shape[:2], -1)

    def backward(self, residual: Floats) -> Floats:
        """Apply the transpose of `forward`: ``(groups, width, n_rows)`` to ``(groups, width, n_coefficients)``."""
        flat: Floats = residual.reshape(-1, len(self._matrix)) @ self._matrix
        g = flat.reshape(*residual.shape[:2], -1)
        g[..., :-1] *= self._scales[:, None]
        g[..., :-1] -= g[..., -1:] * self._shifts[:, None]
        return g

    def _own_scales(self, variances: Doubles, fitted: NDArray[np.bool_] | Doubles, moderation: float) -> Doubles:
        """Return what to multiply the scaled columns by, ``(n_subsets, dim)``; 0 takes a column out of a fit."""
        std = np.where(np.isfinite(self._std), self._std, 0)
        raw = variances * np.square(std)  # moderation compares columns in their own unit
        return std / self._parts.scales(raw, fitted.sum(axis=1, keepdims=True), moderation)

    def precondition(self, g: Floats, curvature: Floats) -> Floats:
        """Solve with the Hessian that a loss of this curvature, the same in every row, would have.

        Parameters
        ----------
        g : NDArray[np.float32]
            ``(groups, width, n_coefficients)`` gradient.
        curvature : NDArray[np.float32]
            ``(groups, width)`` second derivative of the loss, summed over rows.

        Returns
        -------
        NDArray[np.float32]
            As `g`.
        """
        # The spectrum's row space is that of the shared matrix. A subset's own scales turn it a little, and what so
        # leaks out of it would be taken for flat: where the leak is more curved than the ridge, the scales are undone.
        leak = curvature * self._spectrum.largest * np.square(self._unscale - 1).mean(axis=1, keepdims=True)
        scale = np.where(leak[..., None] > 1, self._unscale[:, None], np.float32(1))
        flat = (g * scale).reshape(-1, self.n_coefficients)
        solution = self._spectrum.solve(flat, curvature.reshape(-1, 1)).reshape(g.shape)
        solution *= scale
        return solution

    def rounding(self, u: Floats) -> Doubles:
        """Return the size, ``(groups,)``, of the numbers that cancel in the decision values of these coefficients."""
        terms = np.einsum("gwd,gd->gw", np.abs(u[..., :-1]), np.abs(self._shifts), dtype=np.float64)
        largest: Doubles = terms.max(axis=1)
        return largest

    def alone(self, group: int, rows: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Return these rows of one group, ``(n, dim)`` in double precision, and the ``(dim,)`` shift of each column.

        Decision values are ``features @ u[:-1] + u[-1] - u[:-1] @ shift``.
        """
        features = self._matrix[rows, :-1] * self._scales[group].astype(np.float64)
        return features, self._exact[group]

    def newton(self, g: Floats, group: int, rows: NDArray[np.int64], curvature: float | Curvatures) -> Floats:
        """Solve with the Hessian of one group whose loss has this curvature in these rows and none in others.

        By the Woodbury identity, a system as large as there are rows. Every coefficient must be penalised.

        Parameters
        ----------
        g : NDArray[np.float32]
            ``(n_coefficients,)`` gradient.
        group : int
            The group.
        rows : NDArray[np.int64]
            ``(n_curved,)`` rows where the loss is curved.
        curvature : float or NDArray[np.floating]
            Its second derivative there, the same in every row or ``(n_curved,)``.

        Returns
        -------
        NDArray[np.float32]
            As `g`.
        """
        block = self._matrix[rows]
        block[:, :-1] *= self._scales[group]
        block[:, :-1] -= self._shifts[group]
        return newton_direction(block, g, curvature)

    def unfold(self, u: Doubles, subset: int) -> tuple[Doubles, Doubles, Doubles]:
        """Return ``(width, dim)`` coefficients for raw features, ``(width,)`` intercepts, and the mean of these."""
        coef = u[:, :-1] * (self._scales[subset].astype(np.float64) / self._std)
        return coef, u[:, -1] - u[:, :-1] @ self._exact[subset], self._mean


def newton_direction(block: Floats, g: Floats, curvature: float | Curvatures) -> Floats:
    """Solve ``(I + blockᵀ diag(curvature) block) v = g`` by the Woodbury identity.

    Parameters
    ----------
    block : NDArray[np.float32]
        ``(n_curved, n_coefficients)`` rows where the loss is curved.
    g : NDArray[np.float32]
        ``(n_coefficients,)`` gradient.
    curvature : float or NDArray[np.floating]
        The loss's second derivative in these rows, the same in all or ``(n_curved,)``.

    Returns
    -------
    NDArray[np.float32]
        As `g`.
    """
    if len(block) == 0:
        return g
    wide = block
    if np.max(curvature * np.einsum("nd,nd->n", block, block)) > _WELL_CONDITIONED:
        wide = block.astype(np.float64)
    system = (wide @ wide.T).astype(np.float64)
    system[np.diag_indices_from(system)] += 1 / curvature
    # Not scipy's Cholesky: scipy brings a BLAS of its own, whose threads and numpy's would wait for each other.
    try:
        weights = np.linalg.solve(system, wide @ g)
    except np.linalg.LinAlgError:  # rows so long that 1 / curvature is lost in their rounding
        system[np.diag_indices_from(system)] += len(system) * np.finfo(np.float64).eps * system.diagonal().max()
        weights = np.linalg.solve(system, wide @ g)
    solution: Floats = g - weights.astype(np.float32) @ block
    return solution


def moments(
    x: Matrix | Doubles, rows: NDArray[np.int64], weights: NDArray[np.bool_] | Doubles, middle: Doubles
) -> tuple[Doubles, Doubles]:
    """Return ``(n_subsets, dim)`` means of ``x - middle`` and its population variances, 0 for a constant column.

    Parameters
    ----------
    x : NDArray[np.floating] or Rows
        ``(n, dim)`` features.
    rows : NDArray[np.int64]
        ``(n_rows,)`` rows that take part.
    weights : NDArray
        ``(n_subsets, n_rows)`` how often each counts.
    middle : NDArray[np.float64]
        ``(dim,)``, or ``(1,)``, a value from among them, so that no sum of squares cancels.
    """
    sums, squares = np.zeros((2, len(weights), x.shape[1]))
    for part in _parts(len(rows)):
        values = x[rows[part]] - middle
        counted = weights[:, part].astype(np.float64)
        sums += counted @ values
        squares += counted @ np.square(values, out=values)
    counts = weights.sum(axis=1, keepdims=True)
    means = sums / counts
    spread = squares / counts
    variances = spread - np.square(means)
    constant = variances <= 1e-10 * spread  # what rounding leaves
    return means, np.where(constant, 0, variances)


def _parts(n_rows: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, n_rows, _ROWS))
