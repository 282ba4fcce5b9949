"""The scatter of standardised rows, decomposed once: what closed-form linear classifiers divide by.

``(S + alpha I)⁻¹ B`` for every strength alpha and every class at once. The features stay where they are; they are read
in pieces, in double precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.heads.head import Learnt
from stackbone.stack.solvers.design import moments
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.ridge import SideBySide
from stackbone.stack.solvers.rows import Rows
from stackbone.stack.solvers.scales import MODERATION, moderated_scales

Codes = NDArray[np.int64]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

_LEAST = 1e-10  # share of the largest eigenvalue below which a direction of few rows is rounding


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """What rows of several classes add up to.

    Attributes
    ----------
    x : SideBySide
        ``(n, dim)`` raw features.
    y : NDArray[np.int64]
        ``(n,)`` class codes.
    weights : NDArray[np.float64]
        ``(n,)`` what each row counts for.
    mean, scale : NDArray[np.float64]
        ``(dim,)`` what standardises the columns, as for every learner: `stack.solvers.scales`. A constant column has
        an infinite scale, and counts for nothing.
    mass : NDArray[np.float64]
        ``(n_classes,)`` summed weight of each class.
    sums : NDArray[np.float64]
        ``(n_classes, dim)`` weighted sum of each class's rows, less `mean`.
    """

    x: SideBySide
    y: Codes
    weights: Doubles
    mean: Doubles
    scale: Doubles
    mass: Doubles
    sums: Doubles

    @classmethod
    def of(cls, x: SideBySide, y: Codes, weights: Doubles, n_classes: int) -> ClassMoments:
        """Read the rows twice."""
        middle = np.hstack([block[x.rows[0]] for block in x.blocks]).astype(np.float64)
        means, variances = moments(Rows(x.blocks, x.rows), np.arange(x.n), weights[None], middle)
        mean = middle + means[0]
        scale = moderated_scales(variances, float(weights.sum()), MODERATION)[0]
        sums = np.zeros((n_classes, x.dim))
        for rows, piece in x.by_rows():
            piece -= mean
            belongs = (y[rows] == np.arange(n_classes)[:, None]) * weights[rows]
            sums += belongs @ piece
        return cls(x, y, weights, mean, scale, np.bincount(y, weights, n_classes).astype(np.float64), sums)

    def about_mean(self) -> Scatter:
        """Return the scatter of the standardised rows about their mean."""
        return self._scatter(self.mean[None], np.zeros_like(self.y))

    def within_classes(self) -> Scatter:
        """Return the scatter of the standardised rows about the means of their classes."""
        return self._scatter(self.mean + self.sums / self.mass[:, None], self.y)

    def _scatter(self, centres: Doubles, owner: Codes) -> Scatter:
        root = np.sqrt(self.weights)[:, None]
        n, dim = self.x.n, self.x.dim
        if dim <= n:
            gram = np.zeros((dim, dim))
            for rows, piece in self.x.by_rows():
                piece -= centres[owner[rows]]
                piece *= root[rows] / self.scale
                gram += piece.T @ piece
            values, vectors = np.linalg.eigh(gram)
            return Scatter(np.maximum(values, 0), vectors)
        kernel = np.zeros((n, n))
        for columns, piece in self.x.by_columns():
            kernel += _standardised(piece, columns, centres, owner, root, self.scale) @ piece.T
        values, vectors = np.linalg.eigh(kernel)
        kept = values > _LEAST * values[-1]
        values, vectors = values[kept], vectors[:, kept]
        directions = np.empty((dim, len(values)))
        for columns, piece in self.x.by_columns():
            directions[columns] = _standardised(piece, columns, centres, owner, root, self.scale).T @ vectors
        return Scatter(values, directions / np.sqrt(values))


def _standardised(
    piece: Doubles, columns: slice, centres: Doubles, owner: Codes, root: Doubles, scale: Doubles
) -> Doubles:
    """Centre and scale some columns of all rows, in place."""
    piece -= centres[owner, columns]
    piece *= root / scale[columns]
    return piece


@dataclass(frozen=True, eq=False)
class Scatter:
    """A sum of squares ``S = Σ w r rᵀ`` of standardised rows r.

    Attributes
    ----------
    values : NDArray[np.float64]
        ``(rank,)`` eigenvalues, 0 or more; the others are 0.
    vectors : NDArray[np.float64]
        ``(dim, rank)`` their directions, of length 1.
    """

    values: Doubles
    vectors: Doubles

    @property
    def trace(self) -> float:
        """The sum of all squares."""
        return float(self.values.sum())

    def divide(self, right: Doubles, alphas: Doubles) -> Doubles:
        """Return ``(S + alpha I)⁻¹ right``, ``(dim, n_alphas, n)``, of ``(dim, n)`` numbers for ``(n_alphas,)`` alphas.

        With ``S = V diag(s) Vᵀ`` it is ``V diag(1/(s + alpha)) Vᵀ right`` and, of what lies outside of V,
        ``right / alpha``: one decomposition serves every alpha.
        """
        inside = self.vectors.T @ right
        outside = right - self.vectors @ inside
        shrunk = inside[:, None] / (self.values[:, None] + alphas)[..., None]
        found = self.vectors @ shrunk.reshape(len(self.values), len(alphas) * right.shape[1])
        divided: Doubles = found.reshape(len(right), len(alphas), -1) + outside[:, None] / alphas[:, None]
        return divided


@dataclass(frozen=True, eq=False)
class LinearLearnt(Learnt):
    """Linear classifiers of every strength.

    Attributes
    ----------
    strengths : sequence of float
        As of `Learnt`.
    coef : NDArray[np.float64]
        ``(dim, n_strengths, n_classes)`` for raw features.
    intercept : NDArray[np.float64]
        ``(n_strengths, n_classes)`` decision values at `mean`.
    mean : NDArray[np.float64]
        ``(dim,)`` what is subtracted from the features.
    """

    strengths: Sequence[float]
    coef: Doubles
    intercept: Doubles
    mean: Doubles

    def decide(self, x: SideBySide) -> Floats:
        """Return ``(n_strengths, n, n_classes)`` decision values."""
        decision = np.empty((len(self.intercept), x.n, self.intercept.shape[1]), np.float32)
        flat = self.coef.reshape(len(self.mean), -1)
        for rows, piece in x.by_rows():
            piece -= self.mean
            found = (piece @ flat).reshape(len(piece), *self.intercept.shape) + self.intercept
            decision[:, rows] = found.swapaxes(0, 1)
        return decision

    def linear_map(self, number: int) -> LinearMap:
        """Return the classifier of one strength as a map."""
        return LinearMap.rounded(self.coef[:, number], self.intercept[number], self.mean)
