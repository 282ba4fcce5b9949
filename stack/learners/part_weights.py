"""How much each part of the columns counts: penalties of their own, from what a first fit finds in them.

The group lasso penalises ``Σ √width ‖W_part‖``, so that parts that carry nothing fade out (Yuan & Lin 2006, J. R. Stat.
Soc. B 68(1), 49-67); Head2Toe selects what to keep of a network's layers by it (Evci et al. 2022, ICML, arXiv
2201.03529). Since ``‖W‖ = min over η of ½(‖W‖²/η + η)``, it is a ridge penalty whose weights follow the norms, fitted
again and again (Bach et al. 2012, Optimization with Sparsity-Inducing Penalties, section 5): the solvers of ridge
penalties serve, and each round is a candidate that the inner folds judge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.stack.folds.fold import Fold
from stackbone.stack.solvers.design import moments
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.solvers.scales import ColumnParts

ROUNDS = 2
"""Times that penalties follow the norms, at most: each costs about a third of the search for C before."""

LEAST_FACTOR = 1e-2
"""Of the largest: below, a part is as good as left out, and solvers would lose its columns in rounding."""

Doubles = NDArray[np.float64]
Loss = Callable[[NDArray[Any], NDArray[np.int64]], float]
"""Of the ``(n, width)`` decision values of all rows, in some of these."""

Search = Callable[[ColumnParts, Sequence[float]], "Choice"]
"""Fit with these penalties of parts and each of these strengths; return the best."""


class PartRecord(NamedTuple):
    """What one part of the columns carries, as a row of `BaseScores.parts`.

    Attributes
    ----------
    factor
        Chosen: what its standardised columns are multiplied by; 1 where all parts are penalised alike.
    share
        Its share of the decision values' squares, 0 to 1, in rows that the fits did not see.
    loss
        What the loss of these rows rises by where the part is replaced by its mean: log-loss in nats; of numbers the
        squared error as a share of their variance.
    """

    factor: float
    share: float
    loss: float


@dataclass(frozen=True, eq=False)
class Choice:
    """The best of several strengths of regularisation on inner folds.

    Attributes
    ----------
    strength : float
        C, or alpha of a ridge regression.
    loss : float
        Out of fold: see `PartRecord`.
    out_of_fold : NDArray[np.floating]
        ``(n, n_classes)`` decision values, NaN in rows of no test part; or ``(n,)`` numbers.
    maps : list of LinearMap
        One per inner fold.
    parts : ColumnParts, optional
        The penalties of parts that they were fitted with.
    """

    strength: float
    loss: float
    out_of_fold: NDArray[Any]
    maps: list[LinearMap]
    parts: ColumnParts | None


def choose_parts(search: Search, first: Choice, grid: Sequence[float], x: Matrix) -> Choice:
    """Let penalties follow the norms for as long as the inner folds are the better for it.

    Parameters
    ----------
    search : callable
        See `Search`.
    first : Choice
        Of all strengths, with parts that are penalised alike.
    grid : sequence of float
        All strengths; those near the last choice are tried with new penalties.
    x : NDArray[np.float32] or Rows
        ``(n, dim)`` features of the training part.
    """
    best, variances = first, column_variances(x)
    for _ in range(ROUNDS):
        if best.parts is None:
            break
        tried = search(reweighted(best.parts, squares_of_parts(best, variances)), near(grid, best.strength))
        if tried.loss >= best.loss:
            break
        best = tried
    return best


def near(grid: Sequence[float], strength: float) -> Sequence[float]:
    """Return the values of a grid around one of them."""
    place = list(grid).index(strength)
    return grid[max(0, place - 1) : place + 2]


def reweighted(parts: ColumnParts, squares: Doubles) -> ColumnParts:
    """Return the parts with the factors that the group lasso gives them after a fit.

    Parameters
    ----------
    parts : ColumnParts
        Of the fit.
    squares : NDArray[np.float64]
        ``(n_parts,)`` squared length of each part's coefficients for standardised columns.

    Returns
    -------
    ColumnParts
        With the square roots of ``‖W_part‖ / √width`` for factors, scaled so that the mean variance of a column remains
        1: a penalty means what it meant before.
    """
    widths = np.asarray(parts.widths, np.float64)
    factors = np.sqrt(np.sqrt(squares / widths))
    if not factors.any():
        return parts
    factors = np.maximum(factors, LEAST_FACTOR * factors.max())
    factors /= np.sqrt(np.square(factors) @ widths / widths.sum())
    return ColumnParts(parts.widths, tuple(factors.tolist()))


def column_variances(x: Matrix) -> Doubles:
    """Return the ``(dim,)`` variances of columns."""
    rows = np.arange(len(x))
    _, variances = moments(x, rows, np.ones((1, len(rows)), np.bool_), x[0].astype(np.float64))
    return variances[0]


def squares_of_parts(found: Choice, variances: Doubles) -> Doubles:
    """Return ``(n_parts,)`` squared lengths of the coefficients for standardised columns, the mean over fits."""
    squares = np.mean([np.square(one.coef, dtype=np.float64).sum(axis=1) for one in found.maps], axis=0) * variances
    return np.array([squares[own].sum() for own in (found.parts or ColumnParts.alike(len(squares))).slices()])


def describe_parts(found: Choice, x: Matrix, folds: Sequence[Fold], loss: Loss) -> Doubles:
    """Return ``(n_parts, 3)`` numbers of `PartRecord`, of the fits on inner folds in the rows that they test."""
    if found.parts is None:
        message = "fits that know no parts cannot tell what each carries"
        raise ValueError(message)
    rows = np.concatenate([fold.test for fold in folds])
    whole = found.out_of_fold.reshape(len(x), -1)
    silent = np.tile(whole, (len(found.parts.widths), 1, 1))
    for fold, linear in zip(folds, found.maps, strict=True):
        values = x[fold.test] if linear.mean is None else x[fold.test] - linear.mean
        for number, own in enumerate(found.parts.slices()):
            silent[number, fold.test] -= values[:, own] @ linear.coef[own]
    carried = (whole - silent)[:, rows].astype(np.float64)
    if carried.shape[2] > 1:  # what is added to every class alike says nothing
        carried -= carried.mean(axis=2, keepdims=True)
    squares = np.square(carried).sum(axis=(1, 2))
    rises = [loss(each, rows) - found.loss for each in silent]
    return np.column_stack([found.parts.factors, squares / max(squares.sum(), np.finfo(np.float64).tiny), rises])


def log_loss(decisions: NDArray[np.float32], y: NDArray[np.int64]) -> float:
    """Return the mean log-loss, in nats, of ``(n, n_classes)`` logits."""
    return -float(log_softmax(decisions.astype(np.float64), axis=1)[np.arange(len(y)), y].mean())
