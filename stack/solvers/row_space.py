"""The matrix as the linear solvers see it where rows are few: each training subset in the space of its own rows.

With fewer rows than columns, the coefficients that minimise a penalised loss are sums of the rows (Kimeldorf & Wahba
1971, J. Math. Anal. Appl. 33(1), 82-95). In the basis of a subset's own singular vectors there are at most as many of
them as rows, and the preconditioner of equal curvature is exact and diagonal. So 40 rows of 1,280 columns, standardised
by each subset's own moments, cost what 40 columns do.
"""

from __future__ import annotations

import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.computing.arithmetic import HOST, Arithmetic, Array
from stackbone.stack.computing.batches import smallest_part
from stackbone.stack.solvers.design import Doubles, Floats, StandardisedDesign, moments
from stackbone.stack.solvers.large.streamed import StreamedDesign, is_large
from stackbone.stack.solvers.objectives.losses import Groups
from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.solvers.scales import ColumnParts
from stackbone.stack.solvers.spectrum import newton_direction

_MOST_VALUES = 2**22  # of all subsets' bases, and of the matrices of all problems
_WIDER = 2  # times as many columns as rows, for the basis to be worth its price


def few_rows(fitted: NDArray[np.bool_], problems: int, dim: int) -> bool:
    """Return whether subsets are so small that `RowSpaceDesign` costs less time than the shared design, and no memory.

    Parameters
    ----------
    fitted : NDArray[np.bool_]
        ``(n_subsets, n_rows)`` which rows each subset is fitted on.
    problems : int
        Problems of each subset.
    dim : int
        Number of columns.
    """
    sizes = fitted.sum(axis=1)
    most = max(int(sizes.sum()) * dim, problems * fitted.size * int(sizes.max()))
    return bool(_WIDER * sizes.max() <= dim and most <= _MOST_VALUES)


def make_design(
    x: Matrix,
    rows: NDArray[np.int64],
    fitted: NDArray[np.bool_],
    weights: Doubles | None,
    problems: int,
    arithmetic: Arithmetic,
    *,
    standardise: bool,
    moderation: float,
    free_intercept: bool,
    parts: ColumnParts | None = None,
) -> RowSpaceDesign | StandardisedDesign:
    """Return the matrix as the solvers see it: in the space of the rows where they are few, streamed if it is large.

    Parameters
    ----------
    x, rows, standardise, moderation, free_intercept, parts, arithmetic
        As of both designs.
    fitted : NDArray[np.bool_]
        ``(n_subsets, n_rows)`` which of these rows each subset is fitted on.
    weights : NDArray[np.float64] or None
        ``(n_rows,)`` what each counts for.
    problems : int
        Problems of each subset.

    Raises
    ------
    StackError
        If the matrix is larger than the memory of the device that it is multiplied on.
    """
    # liblinear's intercept is the weight of one more, constant feature; scikit-learn's is free. Where it is not,
    # and features stay as they came, their mean is penalised with it: only the shared design knows that.
    centred = standardise or free_intercept
    kind: type[RowSpaceDesign | StandardisedDesign] = StandardisedDesign
    if centred and few_rows(fitted, problems, x.shape[1]):
        kind = RowSpaceDesign
    elif is_large(len(rows), x.shape[1]) and arithmetic is HOST:
        kind = StreamedDesign
    with smallest_part(arithmetic):
        return kind(
            x,
            rows,
            fitted if weights is None else fitted * weights,
            standardise=standardise,
            moderation=moderation,
            free_intercept=free_intercept,
            parts=parts,
            arithmetic=arithmetic,
        )


class RowSpaceDesign:
    """Per group, its subset's centred features in the basis of their right singular vectors, and a column of ones.

    Parameters
    ----------
    x : NDArray[np.float32] or Rows
        ``(n, dim)`` finite raw features, float32 or float64.
    rows : NDArray[np.int64]
        ``(n_rows,)`` ascending rows of `x` that take part.
    fitted : NDArray[np.bool_]
        ``(n_subsets, n_rows)`` which of these rows each subset is fitted on; or what each counts for, 0 if it is not.
        Rows that a subset is not fitted on have only zeros: no loss looks at their decision values.
    standardise : bool
        Whether the penalised coefficients are those of features standardised by each subset's own moments.
    moderation : float
        See `stack.solvers.scales.moderated_scales`.
    free_intercept : bool
        Whether the intercept, the last coefficient, goes unpenalised. It is that of the centred features.
    parts : ColumnParts, optional
        See `stack.solvers.design.StandardisedDesign`.
    arithmetic : Arithmetic
        What the bases, which NumPy makes, are multiplied with.

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
        self._fitted = fitted > 0
        own_parts = parts or ColumnParts.alike(x.shape[1])
        self._bases = [
            _Basis(x, rows[own > 0], own[own > 0], moderation if standardise else None, own_parts) for own in fitted
        ]
        rank = max(len(basis.sizes) for basis in self._bases)
        matrix = np.zeros((*fitted.shape, rank + 1), dtype=np.float32)
        curvatures = np.zeros((len(fitted), 1, rank + 1), dtype=np.float32)
        curvatures[..., -1] = 1
        for number, (basis, own) in enumerate(zip(self._bases, fitted, strict=True)):
            matrix[number, own > 0, : len(basis.sizes)] = basis.scores
            matrix[number, own > 0, -1] = 1
            curvatures[number, 0, : len(basis.sizes)] = np.square(basis.sizes) / own.sum()
        self._largest = np.abs(matrix).max(axis=1)[:, None]
        self._matrix, self._moments = arithmetic.array(matrix), arithmetic.array(curvatures)
        ridge = np.ones(rank + 1, dtype=np.float32)
        ridge[-1] = 0 if free_intercept else 1
        self.ridge = arithmetic.array(ridge)

    @property
    def n_coefficients(self) -> int:
        """Number of directions and the intercept."""
        return len(self.ridge)

    def select(self, groups: Groups) -> Self:
        """Return the design of these groups only; of a fresh design, every subset is a group."""
        chosen = copy.copy(self)
        chosen._matrix, chosen._moments = self._matrix[groups], self._moments[groups]
        chosen._largest = self._largest[groups]
        return chosen

    def forward(self, u: Array) -> Array:
        """Map coefficients ``(groups, width, n_coefficients)`` to decision values ``(groups, width, n_rows)``."""
        return u @ self.arithmetic.xp.swapaxes(self._matrix, 1, 2)

    def backward(self, residual: Array) -> Array:
        """Apply the transpose of `forward`: ``(groups, width, n_rows)`` to ``(groups, width, n_coefficients)``."""
        return residual @ self._matrix

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
        h = self.arithmetic.array(np.maximum(curvature, np.float32(1e-6)))[..., None]
        return g / (h * self._moments + self.ridge)

    def rounding(self, u: Array) -> Doubles:
        """Return the size, ``(groups,)``, of the numbers that cancel in the decision values of these coefficients."""
        terms: Doubles = (np.abs(self.arithmetic.numbers(u)) * self._largest).sum(axis=2, dtype=np.float64).max(axis=1)
        return terms

    def alone(self, group: int, rows: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """Return the features of one fresh group's fitted rows, ``(n, dim)`` in double precision, and no shift.

        Decision values are ``features @ u[:-1] + u[-1]``; see `stack.solvers.design.StandardisedDesign.alone`.
        """
        features = np.zeros((self._fitted.shape[1], self.n_coefficients - 1))
        basis = self._bases[group]
        features[self._fitted[group], : len(basis.sizes)] = basis.scores
        return features[rows], np.zeros(self.n_coefficients - 1)

    def newton(self, g: Array, group: int, rows: Array, curvature: float | Array) -> Array:
        """Solve with the Hessian of one group, curved in these rows alone: see `newton_direction`."""
        return newton_direction(self._matrix[group, rows], g, curvature, self.arithmetic)

    def unfold(self, u: Doubles, subset: int) -> tuple[Doubles, Doubles, Doubles]:
        """Return ``(width, dim)`` coefficients for raw features, ``(width,)`` intercepts, and the mean of these."""
        basis = self._bases[subset]
        return u[:, : len(basis.sizes)] @ basis.directions / basis.scales, u[:, -1], basis.mean


class _Basis:
    """One subset's features as ``scores @ directions``, the directions orthonormal, and the weighted scores too."""

    def __init__(
        self,
        x: Matrix,
        rows: NDArray[np.int64],
        counts: NDArray[np.bool_] | Doubles,
        moderation: float | None,
        parts: ColumnParts,
    ) -> None:
        middle = x[rows[0]].astype(np.float64)
        means, variances = moments(x, rows, counts[None], middle)
        self.mean = middle + means[0]
        scales = np.ones_like(means) if moderation is None else parts.scales(variances, counts.sum(), moderation)
        self.scales = scales[0]
        root = np.sqrt(counts.astype(np.float64))[:, None]
        left, sizes, directions = np.linalg.svd(root * ((x[rows] - self.mean) / self.scales), full_matrices=False)
        kept = sizes > sizes[0] * np.finfo(np.float64).eps * len(rows)
        self.sizes, self.directions = sizes[kept], directions[kept]
        self.scores = left[:, kept] * self.sizes / root
