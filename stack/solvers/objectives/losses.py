"""Losses of linear classifiers, seen from their decision values, for many problems at once.

A *group* is one independent problem: a softmax over all classes (as wide as there are classes) or one class
against the rest (width 1). Decision values flow in as ``(groups, width, n_rows)``; per group the summed loss, and
per decision value its derivative, flow out. Rows that a group holds out add nothing to either.

Rows lie along the last axis, so that sums over classes and over rows both run over contiguous memory.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.computing.arithmetic import HOST, Arithmetic, Array

Groups = NDArray[np.int64] | slice
"""Which groups: an index array, or ``slice(None)`` for all."""


Values = Array
"""Decision values or what is by decision value: float32 where many groups are solved together, else float64."""


class Slope(NamedTuple):
    """A loss and its derivatives at one set of decision values.

    Attributes
    ----------
    value : NDArray[np.float64]
        ``(groups,)`` loss summed over rows.
    residual : NDArray[np.floating]
        ``(groups, width, n_rows)`` derivative by each decision value; 0 in held-out rows.
    curvature : NDArray[np.float32]
        ``(groups, width)`` second derivative, summed over rows.
    """

    value: NDArray[np.float64]
    residual: Values
    curvature: NDArray[np.float32]


class Loss(Protocol):
    """What the solver asks of a loss."""

    def evaluate(self, z: Values) -> Slope:
        """Return loss, derivative and curvature at `z`, ``(groups, width, n_rows)``, whose memory is reused."""

    def curve(self, residual: Values, dz: Values) -> Values:
        """Return the derivative of the residual along `dz`, at the `residual` that `evaluate` gave; shaped alike."""

    def curvatures(self, residual: Values) -> Values:
        """Return the second derivative by each decision value, where `evaluate` gave this `residual`."""

    def support(self, group: int, z: Array) -> tuple[Array, float | Array] | None:
        """Return the rows where a group's loss is curved at its ``(n_rows,)`` values `z`, and its curvature in each.

        None if the loss is not of that kind: flat in some rows, of a known curvature in the others.
        """

    def select(self, groups: Groups) -> Self:
        """Return the loss of these groups only."""


class SoftmaxLoss:
    """Multinomial log-loss.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n_rows,)`` class codes.
    n_classes : int
        Number of classes, the width of every group.
    fitted : NDArray[np.bool_]
        ``(groups, n_rows)`` which rows each group is fitted on.
    weights : NDArray[np.float32], optional
        ``(n_rows,)`` what the loss of each row is multiplied by, above 0.
    arithmetic : Arithmetic
        What it computes with.
    """

    def __init__(
        self,
        codes: Array,
        n_classes: int,
        fitted: Array,
        weights: Array | None = None,
        arithmetic: Arithmetic = HOST,
    ) -> None:
        self._arithmetic, self._n_classes = arithmetic, n_classes
        self._codes, self._fitted = arithmetic.array(codes), arithmetic.array(fitted)
        self._weights = None if weights is None else arithmetic.array(weights)
        self._counts = self._fitted if self._weights is None else self._fitted * self._weights
        self._rows = arithmetic.array(np.arange(len(codes)))

    def select(self, groups: Groups) -> Self:
        """Return the loss of these groups only."""
        return type(self)(self._codes, self._n_classes, self._fitted[groups], self._weights, self._arithmetic)

    def evaluate(self, z: Values) -> Slope:
        """Return loss, derivative and curvature at `z`, ``(groups, n_classes, n_rows)``, whose memory is reused.

        One minus the probability of the true class is summed from the other classes, never subtracted
        from 1: rows classified with near certainty keep all digits of their loss in float32.
        """
        xp = self._arithmetic.xp
        peak = xp.amax(z, 1)
        behind = peak - z[:, self._codes, self._rows]
        z -= peak[:, None]
        xp.exp(z, out=z)
        z[:, self._codes, self._rows] = 0
        others = z.sum(axis=1)
        true = xp.exp(-behind)
        loss = xp.log1p(others + (true - 1)) + behind
        share = self._counts / (others + true)
        z *= share[:, None]
        missed = others * share
        z[:, self._codes, self._rows] = -missed
        value = self._arithmetic.sums(loss, self._counts)
        return Slope(value, z, self._curvature(z, missed))

    def curve(self, residual: Values, dz: Values) -> Values:
        """Return the derivative of the residual along `dz`: p ∘ (dz - Σ p·dz), times the weights."""
        p = residual.copy()
        p[:, self._codes, self._rows] += self._counts
        mean = np.einsum("gkn,gkn->gn", p, dz)
        if self._weights is not None:
            mean /= self._weights
        curved: Values = p * (dz - mean[:, None])
        return curved

    def curvatures(self, residual: Values) -> Values:
        """Return p(1 - p) for each decision value, times the weights."""
        return _bernoulli(residual, self._weights)

    def support(self, group: int, z: Array) -> None:
        """Return None: the loss is curved everywhere."""

    def _curvature(self, residual: Array, missed: Array) -> NDArray[np.float32]:
        """Sum w·p(1 - p) over rows: the residual is w·p, or w·(p - 1) of the true class, so that it is |r| - r² / w."""
        of_one = residual if self._weights is None else residual / self._weights
        squares = self._arithmetic.xp.einsum("gkn,gkn->gk", residual, of_one)
        curvature: NDArray[np.float32] = self._arithmetic.numbers(residual.sum(axis=2) - squares)
        for group, of_truth in enumerate(missed):
            curvature[group] += 2 * self._arithmetic.count(self._codes, of_truth, self._n_classes)
        # The classes' common shift changes no probability: across it, the curvature of equal classes is larger by this.
        curvature *= self._n_classes / (self._n_classes - 1)
        return curvature


class _MarginLoss:
    """A loss of the margin y·z of one class against the rest.

    Parameters
    ----------
    signs : NDArray[np.float32]
        ``(groups, n_rows)`` +1 for the class, -1 for the rest, 0 for held-out rows.
    weights : NDArray[np.float32], optional
        ``(n_rows,)`` what the loss of each row is multiplied by, above 0.
    arithmetic : Arithmetic
        What it computes with.
    """

    def __init__(self, signs: Array, weights: Array | None = None, arithmetic: Arithmetic = HOST) -> None:
        self._arithmetic, self._signs = arithmetic, arithmetic.array(signs)
        self._weights = None if weights is None else arithmetic.array(weights)
        self._held_out = arithmetic.numbers(arithmetic.xp.count_nonzero(self._signs == 0, 1))

    def select(self, groups: Groups) -> Self:
        """Return the loss of these groups only."""
        return type(self)(self._signs[groups], self._weights, self._arithmetic)

    def _counts(self) -> Array:
        """Return ``(groups, 1, n_rows)`` what each row counts for: 0 where it is held out."""
        fitted = self._arithmetic.xp.abs(self._signs)[:, None]
        return fitted if self._weights is None else fitted * self._weights

    def curve(self, residual: Values, dz: Values) -> Values:
        """Return the derivative of the residual along `dz`."""
        curved: Values = self.curvatures(residual) * dz
        return curved

    def curvatures(self, residual: Values) -> Values:
        """Return the second derivative by each decision value; the subclasses know it."""
        raise NotImplementedError


class LogisticLoss(_MarginLoss):
    """Log-loss of two classes, log(1 + exp(-y·z))."""

    def evaluate(self, z: Values) -> Slope:
        """Return loss, derivative and curvature at `z`, ``(groups, 1, n_rows)``, whose memory is reused."""
        signs, counts = self._signs[:, None], self._counts()
        z *= signs
        value = self._arithmetic.sums(self._arithmetic.softplus(-z), counts)
        missed = self._arithmetic.expit(-z)
        curvature = self._arithmetic.numbers((missed * (1 - missed) * counts).sum(axis=2))
        self._arithmetic.xp.multiply(missed, -signs if self._weights is None else -signs * self._weights, out=z)
        return Slope(value, z, curvature)

    def curvatures(self, residual: Values) -> Values:
        """Return p(1 - p) for each decision value, times the weights."""
        return _bernoulli(residual, self._weights)

    def support(self, group: int, z: Array) -> None:
        """Return None: the loss is curved everywhere."""


class SquaredHingeLoss(_MarginLoss):
    """Squared hinge, max(0, 1 - y·z)²: quadratic in the rows short of their margin, the support vectors."""

    def evaluate(self, z: Values) -> Slope:
        """Return loss, derivative and curvature at `z`, ``(groups, 1, n_rows)``, whose memory is reused."""
        signs, xp = self._signs[:, None], self._arithmetic.xp
        z *= -signs
        z += 1
        xp.clip(z, 0, None, out=z)
        if self._weights is None:
            value = self._arithmetic.sums(z, z) - self._held_out  # whose slack is exactly 1
            active: NDArray[Any] = self._arithmetic.numbers(xp.count_nonzero(z, 2)) - self._held_out[:, None]
        else:
            counts = self._counts()
            value = self._arithmetic.sums(z, z, counts)
            short = self._arithmetic.singles(z > 0)
            active = self._arithmetic.numbers(xp.einsum("gwn,gwn->gw", short, counts))
            z *= self._weights
        z *= signs
        z *= -2
        return Slope(value, z, (2 * active).astype(np.float32))

    def curvatures(self, residual: Values) -> Values:
        """Return 2, times the weights, in the rows short of their margin, 0 in the others."""
        return np.where(residual == 0, 0.0, 2.0 if self._weights is None else 2.0 * self._weights)

    def support(self, group: int, z: Array) -> tuple[Array, float | Array]:
        """Return the rows short of their margin at a group's ``(n_rows,)`` values `z`, and the curvature there."""
        signs = self._signs[group]
        rows = self._arithmetic.where_true((signs != 0) & (signs * z < 1))
        return rows, 2.0 if self._weights is None else 2.0 * self._weights[rows]


def _bernoulli(residual: Values, weights: NDArray[np.float32] | None) -> Values:
    """Return w·p(1 - p) of probabilities p, from residuals that are w·p or w·(p - 1)."""
    size = np.abs(residual)
    variance: Values = size * (1 - (size if weights is None else size / weights))
    return variance
