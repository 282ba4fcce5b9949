"""How much each part of the columns counts: penalties of their own, by what held-out rows ask for.

A first fit penalises all parts alike. In rows that its inner folds test, the decision values are sums of what each part
adds; by how much each of these terms had better be multiplied is a small convex problem, one number for each part
(`gains`: stacked regressions, Breiman 1996, Machine Learning 24, 49-64, of parts instead of models). A part that
overfits asks for less, one that is held down for more. Its columns are multiplied by that number, so that its
coefficients cost as much the more, or the less, and everything is fitted again; at the end every part asks for 1.

A group lasso over parts (Head2Toe has one over columns: Evci et al. 2022, ICML, arXiv 2201.03529) goes by the norms of
a part's coefficients instead: where a wide part overfits, they are as large as those of one that knows. See
docs/fusion.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from stackbone.stack.folds.fold import Fold
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.solvers.scales import ColumnParts

ROUNDS = 2
"""Times that everything is fitted again, at most."""

LEAST_GAIN = 1e-2
"""What a part is multiplied by at least in a round: it may be asked for again in the next."""

LEAST_FACTOR = 1e-3
"""Of the largest: below, a part is as good as left out, and solvers would lose its columns in rounding."""

_WORTHWHILE = 5e-3  # share of the loss by which a round has to lower it, for another to follow
_PRIOR = 1.0  # how dear it is to leave 1, in nats of one row
_MOST_VALUES = 2**24  # of what parts add in the rows that are looked at: enough to tell a handful of numbers by

Doubles = NDArray[np.float64]
Loss = Callable[[Doubles, NDArray[np.int64]], tuple[float, Doubles]]
"""Of ``(n, width)`` decision values of the rows named: the mean, and its ``(n, width)`` gradient."""


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
        Out of fold: log-loss in nats, or the squared error as a share of the variance.
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


@dataclass(frozen=True, eq=False)
class Carried:
    """What each part adds to the decision values of held-out rows.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n,)`` of the training part; all that an inner fold tests, or as many as `_MOST_VALUES` allow.
    terms : NDArray[np.float64]
        ``(n_parts, n, width)``.
    rest : NDArray[np.float64]
        ``(n, width)`` what remains: the decision at the mean of all columns.
    """

    rows: NDArray[np.int64]
    terms: Doubles
    rest: Doubles


Search = Callable[[ColumnParts, Sequence[float]], Choice]
"""Fit with these penalties of parts and each of these strengths; return the best."""


def coarse(grid: Sequence[float]) -> Sequence[float]:
    """Return every second value of a grid: gains make up for what lies between."""
    return grid[1::2] if len(grid) > 1 else grid


def choose_parts(search: Search, first: Choice, x: Matrix, folds: Sequence[Fold], loss: Loss) -> tuple[Choice, Carried]:
    """Multiply the parts by what held-out rows ask for, for as long as these are the better for it.

    Parameters
    ----------
    search : callable
        See `Search`.
    first : Choice
        With parts that are penalised alike.
    x : NDArray[np.float32] or Rows
        ``(n, dim)`` features of the training part.
    folds : sequence of Fold
        Its inner folds, which `search` fits.
    loss : callable
        See `Loss`.

    Returns
    -------
    best : Choice
        The last that lowered the loss.
    carried : Carried
        What its parts add.
    """
    best, carried = first, carry(first, x, folds)
    for _ in range(ROUNDS):
        tried = search(multiplied(_parts_of(best), gains(carried, loss)), [best.strength])
        if tried.loss >= best.loss:
            break
        is_worthwhile = tried.loss < (1 - _WORTHWHILE) * best.loss
        best, carried = tried, carry(tried, x, folds)
        if not is_worthwhile:
            break
    return best, carried


def carry(found: Choice, x: Matrix, folds: Sequence[Fold]) -> Carried:
    """Return what the parts of fits on inner folds add to the decision values of the rows that these test."""
    parts, width = _parts_of(found), len(found.maps[0].intercept)
    most = max(1, _MOST_VALUES // (width * len(parts.widths)))
    step = -(-sum(len(fold.test) for fold in folds) // most)
    tested = [fold.test[::step] for fold in folds]
    rows = np.concatenate(tested)
    terms = np.empty((len(parts.widths), len(rows), width))
    start = 0
    for own, linear in zip(tested, found.maps, strict=True):
        values = x[own] if linear.mean is None else x[own] - linear.mean
        for number, columns in enumerate(parts.slices()):
            terms[number, start : start + len(own)] = values[:, columns] @ linear.coef[columns]
        start += len(own)
    whole = found.out_of_fold.reshape(len(x), width)[rows].astype(np.float64)
    return Carried(rows, terms, whole - terms.sum(axis=0))


def gains(carried: Carried, loss: Loss) -> Doubles:
    """Return ``(n_parts,)`` what the terms had better be multiplied by, 0 or more, drawn towards 1.

    Parameters
    ----------
    carried : Carried
        What the parts add.
    loss : callable
        See `Loss`; convex.
    """
    dear = _PRIOR / len(carried.rows)

    def objective(a: Doubles) -> tuple[float, Doubles]:
        value, slope = loss(carried.rest + np.tensordot(a, carried.terms, 1), carried.rows)
        gradient = np.tensordot(carried.terms, slope, 2) + 2 * dear * (a - 1)
        return value + dear * float(np.square(a - 1).sum()), gradient

    start = np.ones(len(carried.terms))
    found: Doubles = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(start)).x
    return found


def multiplied(parts: ColumnParts, by: Doubles) -> ColumnParts:
    """Return the parts with their factors multiplied by `gains`."""
    factors = np.asarray(parts.factors) * np.maximum(by, LEAST_GAIN)
    return ColumnParts(parts.widths, tuple(np.maximum(factors, LEAST_FACTOR * factors.max()).tolist()))


def describe_parts(found: Choice, carried: Carried, loss: Loss) -> Doubles:
    """Return ``(n_parts, 3)`` numbers of `PartRecord`."""
    terms = carried.terms
    if terms.shape[2] > 1:  # what is added to every class alike says nothing
        terms = terms - terms.mean(axis=2, keepdims=True)
    squares = np.square(terms).sum(axis=(1, 2))
    whole = carried.rest + carried.terms.sum(axis=0)
    full, _ = loss(whole, carried.rows)
    rises = [loss(whole - term, carried.rows)[0] - full for term in carried.terms]
    shares = squares / max(float(squares.sum()), np.finfo(np.float64).tiny)
    return np.column_stack([_parts_of(found).factors, shares, rises])


def _parts_of(found: Choice) -> ColumnParts:
    if found.parts is None:
        message = "fits that know no parts have none to weigh"
        raise ValueError(message)
    return found.parts
