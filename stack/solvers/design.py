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

from stackbone.stack.computing.arithmetic import HOST, Arithmetic, Array
from stackbone.stack.solvers.objectives.losses import Groups
from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.solvers.scales import ColumnParts
from stackbone.stack.solvers.spectrum import Spectrum, newton_direction

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_ROWS = 1024  # rows converted to float64 at a time
_WIDE = 2048  # columns beyond which they are fewer


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
    arithmetic : Arithmetic
        What the matrix is held and multiplied with.

    Attributes
    ----------
    arithmetic
        The same.
    ridge : Array
        ``(n_coefficients,)`` float32 weight of each coefficient's square in the penalty.
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
        arithmetic: Arithmetic = HOST,
    ) -> None:
        self.arithmetic = arithmetic
        everyone = np.ones((1, len(rows)), dtype=np.bool_)
        middle = x[rows[0]].astype(np.float64)  # a value from among them, so that no sum of squares cancels
        means, variances = moments(x, rows, everyone, middle, arithmetic)
        self._mean = middle + means[0]
        self._parts = parts or ColumnParts.alike(x.shape[1])
        self._std = self._parts.scales(variances, len(rows), moderation)[0] if standardise else np.ones(x.shape[1])
        self._free = free_intercept
        self._matrix = self._standardised(x, rows)
        if standardise or free_intercept:
            means, variances = moments(self._features(), np.arange(len(rows)), fitted, np.zeros(1), arithmetic)
            scales = self._own_scales(variances, fitted, moderation) if standardise else np.ones_like(variances)
        else:
            means, scales = np.tile(-self._mean, (len(fitted), 1)), np.ones((len(fitted), x.shape[1]))
        shifts, own = (means * scales).astype(np.float32), scales.astype(np.float32)
        self._shifts, self._scales = arithmetic.array(shifts), arithmetic.array(own)
        self._exact = (
            means * scales
        )  # raw features can lie so far out that float32 moves an intercept by more than it is
        unscale = np.ones((len(fitted), x.shape[1] + 1), dtype=np.float32)
        np.divide(1, own, out=unscale[:, :-1], where=own > 0)
        self._unscale = arithmetic.array(unscale)
        ridge = np.ones(self.n_coefficients, dtype=np.float32)
        ridge[-1] = 0 if free_intercept else 1
        self.ridge = arithmetic.array(ridge)
        offset = None if standardise or free_intercept else self._mean
        self._spectrum = self._spectrum_of(offset)

    def _standardised(self, x: Matrix, rows: NDArray[np.int64]) -> Array:
        """Return the ``(n_rows, n_coefficients)`` matrix."""
        matrix = self.arithmetic.empty((len(rows), x.shape[1] + 1))
        matrix[:, -1] = 1
        mean, std = self.arithmetic.array(self._mean), self.arithmetic.array(self._std)
        for part in _parts(len(rows), x.shape[1]):
            matrix[part, :-1] = (self.arithmetic.array(x[rows[part]]) - mean) / std
        return matrix

    def _features(self) -> Array:
        """Return its columns but the last, to be read in pieces."""
        return self._matrix[:, :-1]

    def _spectrum_of(self, offset: Doubles | None) -> Spectrum:
        return Spectrum(self._matrix, offset, free_intercept=self._free, arithmetic=self.arithmetic)

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

    def forward(self, u: Array) -> Array:
        """Map coefficients ``(groups, width, n_coefficients)`` to decision values ``(groups, width, n_rows)``."""
        v = self.arithmetic.copy(u)
        v[..., -1] -= self.arithmetic.xp.einsum("gwd,gd->gw", u[..., :-1], self._shifts)
        v[..., :-1] *= self._scales[:, None]
        z = self._decide(v.reshape(-1, self.n_coefficients))
        return z.reshape(*u.shape[:2], -1)

    def _decide(self, v: Array) -> Array:
        """Return the ``(k, n_rows)`` products of ``(k, n_coefficients)`` coefficients with the rows."""
        return v @ self._matrix.T

    def backward(self, residual: Array) -> Array:
        """Apply the transpose of `forward`: ``(groups, width, n_rows)`` to ``(groups, width, n_coefficients)``."""
        flat = residual.reshape(-1, len(self._matrix)) @ self._matrix
        g = flat.reshape(*residual.shape[:2], -1)
        g[..., :-1] *= self._scales[:, None]
        g[..., :-1] -= g[..., -1:] * self._shifts[:, None]
        return g

    def _own_scales(self, variances: Doubles, fitted: NDArray[np.bool_] | Doubles, moderation: float) -> Doubles:
        """Return what to multiply the scaled columns by, ``(n_subsets, dim)``; 0 takes a column out of a fit."""
        std = np.where(np.isfinite(self._std), self._std, 0)
        raw = variances * np.square(std)  # moderation compares columns in their own unit
        return std / self._parts.scales(raw, fitted.sum(axis=1, keepdims=True), moderation)

    def precondition(self, g: Array, curvature: Floats) -> Array:
        """Solve with the Hessian that a loss of this curvature, the same in every row, would have.

        Parameters
        ----------
        g : Array
            ``(groups, width, n_coefficients)`` float32 gradient.
        curvature : NDArray[np.float32]
            ``(groups, width)`` second derivative of the loss, summed over rows.

        Returns
        -------
        Array
            As `g`.
        """
        xp, curved = self.arithmetic.xp, self.arithmetic.array(curvature)
        # The spectrum's row space is that of the shared matrix. A subset's own scales turn it a little, and what so
        # leaks out of it would be taken for flat: where the leak is more curved than the ridge, the scales are undone.
        leak = curved * self._spectrum.largest * xp.square(self._unscale - 1).mean(axis=1, keepdims=True)
        scale = xp.where(leak[..., None] > 1, self._unscale[:, None], xp.ones_like(self._unscale)[:, None])
        flat = (g * scale).reshape(-1, self.n_coefficients)
        solution = self._spectrum.solve(flat, curved.reshape(-1, 1)).reshape(g.shape)
        solution *= scale
        return solution

    def rounding(self, u: Array) -> Doubles:
        """Return the size, ``(groups,)``, of the numbers that cancel in the decision values of these coefficients."""
        here, shifts = self.arithmetic.numbers(u), self.arithmetic.numbers(self._shifts)
        terms = np.einsum("gwd,gd->gw", np.abs(here[..., :-1]), np.abs(shifts), dtype=np.float64)
        largest: Doubles = terms.max(axis=1)
        return largest

    def alone(self, group: int, rows: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Return these rows of one group, ``(n, dim)`` in double precision, and the ``(dim,)`` shift of each column.

        Decision values are ``features @ u[:-1] + u[-1] - u[:-1] @ shift``.
        """
        numbers = self.arithmetic.numbers
        features = numbers(self._matrix[rows, :-1]) * numbers(self._scales[group]).astype(np.float64)
        return features, self._exact[group]

    def newton(self, g: Array, group: int, rows: Array, curvature: float | Array) -> Array:
        """Solve with the Hessian of one group whose loss has this curvature in these rows and none in others.

        By the Woodbury identity, a system as large as there are rows. Every coefficient must be penalised.

        Parameters
        ----------
        g : Array
            ``(n_coefficients,)`` float32 gradient.
        group : int
            The group.
        rows : Array
            ``(n_curved,)`` rows where the loss is curved.
        curvature : float or Array
            Its second derivative there, the same in every row or ``(n_curved,)``.

        Returns
        -------
        Array
            As `g`.
        """
        block = self._matrix[rows]
        block[:, :-1] *= self._scales[group]
        block[:, :-1] -= self._shifts[group]
        return newton_direction(block, g, curvature, self.arithmetic)

    def unfold(self, u: Doubles, subset: int) -> tuple[Doubles, Doubles, Doubles]:
        """Return ``(width, dim)`` coefficients for raw features, ``(width,)`` intercepts, and the mean of these."""
        coef = u[:, :-1] * (self.arithmetic.numbers(self._scales[subset]).astype(np.float64) / self._std)
        return coef, u[:, -1] - u[:, :-1] @ self._exact[subset], self._mean


def moments(
    x: Matrix | Array,
    rows: NDArray[np.int64],
    weights: NDArray[np.bool_] | Doubles,
    middle: Doubles,
    arithmetic: Arithmetic = HOST,
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
    arithmetic : Arithmetic
        What sums them.
    """
    sums, squares = np.zeros((2, len(weights), x.shape[1]))
    near = arithmetic.array(middle)
    for part in _parts(len(rows), x.shape[1]):
        values = arithmetic.array(x[rows[part]]) - near
        counted = arithmetic.array(weights[:, part].astype(np.float64))
        sums += arithmetic.numbers(counted @ values)
        squares += arithmetic.numbers(counted @ arithmetic.xp.square(values, out=values))
    counts = weights.sum(axis=1, keepdims=True)
    means = sums / counts
    spread = squares / counts
    variances = spread - np.square(means)
    constant = variances <= 1e-10 * spread  # what rounding leaves
    return means, np.where(constant, 0, variances)


def _parts(n_rows: int, dim: int) -> Iterator[slice]:
    step = _ROWS if dim <= _WIDE else max(1, _ROWS * _WIDE // (4 * dim))
    return (slice(start, start + step) for start in range(0, n_rows, step))
