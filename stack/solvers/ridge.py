"""Ridge regression on features side by side: one decomposition serves every strength of regularisation.

Features stay where they are, in float32; they are read in pieces, which are standardised in float64. So a fit on
all backbones side by side copies none of them, and a small alpha is as exact as a large one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import UsageError
from stackbone.stack.solvers.checks import check_weights
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.scales import MODERATION, ColumnParts

PIECE_BYTES = 16 * 2**20
"""Bytes of the float64 copy that is made of the features at a time."""


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Rows of feature matrices side by side, as a regression sees them.

    Attributes
    ----------
    blocks : sequence of NDArray[np.floating]
        ``(n_images, dim)`` matrices, of the same images.
    rows : NDArray[np.int64]
        ``(n,)`` indices of the rows that take part.
    """

    blocks: Sequence[NDArray[np.floating]]
    rows: NDArray[np.int64]

    @classmethod
    def whole(cls, *blocks: NDArray[np.floating]) -> "SideBySide":
        """Take part with every row."""
        return cls(blocks, np.arange(len(blocks[0])))

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def dim(self) -> int:
        """Number of columns of all blocks."""
        return sum(block.shape[1] for block in self.blocks)

    def take(self, rows: NDArray[np.int64]) -> "SideBySide":
        """Return the design of some of these rows, by their position here."""
        return SideBySide(self.blocks, self.rows[rows])

    def by_rows(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield ``(m, dim)`` copies of pieces with the positions of their rows."""
        step = max(1, PIECE_BYTES // (8 * self.dim))
        for start in range(0, self.n, step):
            rows = self.rows[start : start + step]
            piece = np.hstack([block[rows] for block in self.blocks], dtype=np.float64)
            yield slice(start, start + len(rows)), piece

    def by_columns(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield ``(n, m)`` copies of pieces with the positions of their columns."""
        step = max(1, PIECE_BYTES // (8 * self.n))
        first = 0
        for block in self.blocks:
            for start in range(0, block.shape[1], step):
                piece = block[self.rows, start : start + step].astype(np.float64)
                yield slice(first + start, first + start + piece.shape[1]), piece
            first += block.shape[1]


@dataclass(frozen=True, eq=False)
class RidgePath:
    """The ridge regressions of one set of rows, one per alpha; of several targets, as many of each.

    Columns for all targets at the first alpha come first, then those at the second, and so on.

    Attributes
    ----------
    coef : NDArray[np.float64]
        ``(dim, n_alphas * n_targets)`` coefficients for raw (not standardised) features.
    intercept : NDArray[np.float64]
        ``(n_alphas * n_targets,)`` in the target's unit.
    mean : NDArray[np.float64]
        ``(dim,)`` of the features that they were fitted on.
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    mean: NDArray[np.float64]

    def predict(self, design: SideBySide) -> NDArray[np.float64]:
        """Return ``(n, n_alphas * n_targets)`` predictions in the target's unit."""
        predicted = np.empty((design.n, len(self.intercept)))
        for rows, piece in design.by_rows():
            predicted[rows] = piece @ self.coef + self.intercept
        return predicted

    def of_targets(self, numbers: NDArray[np.int64], n_targets: int) -> "RidgePath":
        """Return the regressions of some of `n_targets` targets, by number from 0, in the same order of alphas."""
        if len(numbers) == n_targets:
            return self
        columns = (np.arange(0, len(self.intercept), n_targets)[:, None] + numbers).ravel()
        return RidgePath(self.coef[:, columns], self.intercept[columns], self.mean)

    def linear_map(self, number: int | None = None) -> LinearMap:
        """Return the regressions as a map with one output each, or the one of this number, from 0."""
        own = slice(None) if number is None else slice(number, number + 1)
        coef = self.coef[:, own]
        return LinearMap.rounded(coef, self.intercept[own] + self.mean @ coef, self.mean)


def fit_ridge(
    design: SideBySide,
    y: NDArray[np.float64],
    alphas: Sequence[float] | NDArray[np.float64],
    moderation: float = MODERATION,
    parts: ColumnParts | None = None,
    weights: NDArray[np.float64] | None = None,
) -> RidgePath:
    """Standardise, then minimise ``‖y - Xw - b‖² + alpha ‖w‖²`` for every alpha, the intercept b free.

    With weights r it is ``Σ r (y - Xw - b)² + alpha ‖w‖²``, the plain objective of rows times ``√r``.

    Standardised are the columns, by the mean and the moderated standard deviation of these rows
    (`stack.solvers.scales`); a constant column counts for nothing. With ``S = XᵀX = V diag(s) Vᵀ``, ``w =
    V diag(1/(s + alpha)) Vᵀ Xᵀy``: one eigendecomposition serves every alpha (Hastie, Tibshirani & Friedman, The
    Elements of Statistical Learning, 2nd ed., section 3.4.1). With more columns than rows the same is done on
    ``XXᵀ``, since ``w = Xᵀ (XXᵀ + alpha I)⁻¹ y`` (section 18.3.5).

    Parameters
    ----------
    design : SideBySide
        ``(n, dim)`` features.
    y : NDArray[np.float64]
        ``(n,)`` targets, or ``(n, n_targets)``: one decomposition serves them all.
    alphas : sequence of float or NDArray[np.float64]
        Positive regularisation strengths, in the sense of scikit-learn's ``Ridge``; of several targets
        ``(n_alphas, n_targets)`` for each its own.
    moderation : float
        How many rows the columns' common variance counts for in that of each; 0 standardises as ``StandardScaler``.
    parts : ColumnParts, optional
        Which columns are standardised and penalised among each other; by default all.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for, above 0, in the sum of squares and in the moments that standardise.

    Returns
    -------
    RidgePath
        One regression per alpha and target.

    Raises
    ------
    UsageError
        If there is no alpha, one is not positive, or a weight is not.
    """
    penalties = np.asarray(alphas, np.float64)
    if not penalties.size or not penalties.min() > 0:
        msg = f"the alphas of a ridge regression are {penalties.tolist()}; give at least one, and only numbers above 0"
        raise UsageError(msg)
    counts = np.ones(design.n) if weights is None else check_weights(weights, design.n, np.arange(design.n))
    mean, variances = _moments(design, counts)
    scale = (parts or ColumnParts.alike(design.dim)).scales(variances[None], counts.sum(), moderation)[0]
    centre = np.average(y, axis=0, weights=weights)
    solve = _solve_columns if design.dim <= design.n else _solve_rows
    root = np.sqrt(counts)
    coef = solve(design, (root * (y - centre).T).T, mean, scale, penalties, root) / scale[:, None]
    return RidgePath(coef, np.tile(centre, coef.shape[1] // np.size(centre)) - mean @ coef, mean)


def _moments(design: SideBySide, counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ``(dim,)`` means and population variances, 0 for a constant column."""
    mean, variance = np.zeros(design.dim), np.zeros(design.dim)
    low, high = np.full(design.dim, np.inf), np.full(design.dim, -np.inf)
    total = counts.sum()
    for rows, piece in design.by_rows():
        mean += (piece * counts[rows, None]).sum(axis=0) / total
        np.minimum(low, piece.min(axis=0), out=low)
        np.maximum(high, piece.max(axis=0), out=high)
    for rows, piece in design.by_rows():
        piece -= mean
        piece *= np.sqrt(counts[rows, None])
        variance += np.einsum("ij,ij->j", piece, piece) / total
    # By the range: the variance of equal numbers comes out as rounding error, which must not be scaled up.
    return mean, np.where(low < high, variance, 0.0)


def _solve_columns(
    design: SideBySide,
    y: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    alphas: NDArray[np.float64],
    root: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the coefficients of `RidgePath` for standardised columns, through the ``(dim, dim)`` Gram matrix."""
    gram, moment = np.zeros((design.dim, design.dim)), np.zeros((design.dim, *y.shape[1:]))
    for rows, piece in design.by_rows():
        piece -= mean
        piece /= scale
        piece *= root[rows, None]
        gram += piece.T @ piece
        moment += piece.T @ y[rows]
    return _shrink(gram, moment, alphas)


def _solve_rows(
    design: SideBySide,
    y: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
    alphas: NDArray[np.float64],
    root: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the coefficients of `RidgePath` for standardised columns, through the ``(n, n)`` kernel matrix."""
    kernel = np.zeros((design.n, design.n))
    for columns, piece in design.by_columns():
        piece -= mean[columns]
        piece /= scale[columns]
        piece *= root[:, None]
        kernel += piece @ piece.T
    dual = _shrink(kernel, y, alphas)
    coef = np.empty((design.dim, dual.shape[1]))
    for columns, piece in design.by_columns():
        piece -= mean[columns]
        piece /= scale[columns]
        piece *= root[:, None]
        coef[columns] = piece.T @ dual
    return coef


def _shrink(
    matrix: NDArray[np.float64], target: NDArray[np.float64], alphas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return ``(matrix + alpha I)⁻¹ target``, ``(m, n_alphas * n_targets)``, for a positive semi-definite `matrix`.

    The matrix is spent. Alphas are ``(n_alphas,)``, or of several targets ``(n_alphas, n_targets)``.
    """
    # NumPy's solvers and not SciPy's, which stop all other threads meanwhile.
    if alphas.size == 1:  # an eighth of the time of a decomposition
        matrix[np.diag_indices_from(matrix)] += alphas.reshape(1)
        return np.linalg.solve(matrix, target.reshape(len(matrix), -1)).astype(np.float64, copy=False)
    values, vectors = np.linalg.eigh(matrix)
    values = np.maximum(values, 0)
    if target.ndim == 1:
        solution: NDArray[np.float64] = vectors @ ((target @ vectors)[:, None] / (values[:, None] + alphas))
        return solution
    each = (vectors.T @ target)[:, None, :] / (values[:, None, None] + np.atleast_2d(alphas.T).T)
    solution = vectors @ each.reshape(len(matrix), -1)
    return solution
