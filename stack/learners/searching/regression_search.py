"""Logistic regressions of standardised features, and the search for their C on inner folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.part_weights import Choice, choose_parts, coarse, describe_parts
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from stackbone.stack.solvers.rows import Matrix, some_rows
from stackbone.stack.solvers.scales import MODERATION, ColumnParts

Doubles = NDArray[np.float64]
Criterion = Callable[[NDArray[np.float32], NDArray[np.int64]], float]
"""Of ``(n, n_classes)`` decision values and the rows that they are of: the less, the better."""

_PATIENCE = 2
"""Values of C in a row that are worse than the best so far and end the search."""


def regression_path(
    x: Matrix,
    y: NDArray[np.int64],
    n_classes: int,
    subsets: Sequence[NDArray[np.int64]],
    weight: float = 1.0,
    parts: ColumnParts | None = None,
    weights: Weights = None,
) -> LinearPath:
    """Return the logistic regressions of ``lr:``, ``concat`` and the stack, on these subsets of the rows.

    A row of this `weight` stands for so many images where features are standardised; C is the caller's to multiply.
    """
    moderation = MODERATION / weight
    return LinearPath(
        x, y, n_classes, subsets, loss="log", standardise=True, moderation=moderation, parts=parts, weights=weights
    )


def choose(
    x: Matrix,
    y: NDArray[np.int64],
    n_classes: int,
    folds: Sequence[Fold],
    c_grid: Sequence[float],
    weight: float,
    parts: ColumnParts | None,
    row_weights: Weights,
    criterion: Criterion | None,
) -> tuple[Choice, Doubles | None]:
    """Return the best C with the scores that it gave, and what parts carry; parameters as of `score_classes`."""
    counted: dict[str, Any] = {"weight": weight, "weights": row_weights, "criterion": criterion}
    if parts is None:
        return _search(x, y, n_classes, folds, c_grid, **counted), None

    def search(weighed: ColumnParts, grid: Sequence[float]) -> Choice:
        return _search(x, y, n_classes, folds, grid, parts=weighed, patience=1, **counted)

    def loss(decisions: Doubles, rows: NDArray[np.int64]) -> tuple[float, Doubles]:
        return _log_loss(decisions, y[rows], None if row_weights is None else row_weights[rows])

    found, terms = choose_parts(search, search(parts, coarse(c_grid)), x, folds, loss)
    return found, describe_parts(found, terms, loss)


def choose_c(
    x: Matrix,
    y: NDArray[np.int64],
    n_classes: int,
    folds: Sequence[Fold],
    c_grid: Sequence[float],
    weight: float = 1.0,
) -> tuple[float, NDArray[np.float32]]:
    """Find the C of the least out-of-fold log-loss, with the scores that it gave.

    Parameters
    ----------
    x : NDArray[np.float32] or Rows
        ``(n_train, dim)`` features.
    y : NDArray[np.int64]
        ``(n_train,)`` class codes, 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes.
    folds : sequence of Fold
        Inner folds; no row is in more than one test part.
    c_grid : sequence of float
        Values of C, ascending.
    weight : float
        As of `score_classes`.

    Returns
    -------
    c : float
        The chosen value.
    out_of_fold : NDArray[np.float32]
        ``(n_train, n_classes)`` decision values; NaN in rows of no test part.

    Raises
    ------
    StackError
        If an inner fold's training part lacks a class.
    """
    found = _search(x, y, n_classes, folds, c_grid, weight=weight)
    return found.strength, found.out_of_fold


def _search(
    x: Matrix,
    y: NDArray[np.int64],
    n_classes: int,
    folds: Sequence[Fold],
    c_grid: Sequence[float],
    *,
    weight: float = 1.0,
    parts: ColumnParts | None = None,
    patience: int = _PATIENCE,
    weights: Weights = None,
    criterion: Criterion | None = None,
) -> Choice:
    """Return the best of what `choose_c` tries, with values in a row that may be worse before it gives up."""
    path = regression_path(x, y, n_classes, [fold.train for fold in folds], weight, parts, weights)
    scored = np.concatenate([fold.test for fold in folds])
    best = Choice(np.nan, np.inf, np.empty((0, 0), np.float32), [], parts)
    counts = None if weights is None else weights[scored]
    least, lowest, n_worse = (np.inf, np.inf), np.inf, 0
    for c in c_grid:
        maps = path.solve(c * weight)
        scores = out_of_fold_scores(x, n_classes, folds, maps)
        loss, _ = _log_loss(scores[scored].astype(np.float64), y[scored], counts)
        rank = (0.0 if criterion is None else criterion(scores[scored], scored), loss)
        n_worse = 0 if rank < least or loss < lowest else n_worse + 1
        if rank < least or not best.maps:
            best, least = Choice(c, loss, scores, maps, parts), rank
        lowest = min(lowest, loss)
        if n_worse == patience:
            break
    return best


def _log_loss(decisions: Doubles, y: NDArray[np.int64], weights: Weights = None) -> tuple[float, Doubles]:
    """Return the mean log-loss, in nats, of ``(n, n_classes)`` logits, and its gradient."""
    log_probability, own = log_softmax(decisions, axis=1), (np.arange(len(y)), y)
    gradient = np.exp(log_probability)
    gradient[own] -= 1
    if weights is None:
        return -float(log_probability[own].mean()), gradient / len(y)
    shares = weights / weights.sum()
    return -float(shares @ log_probability[own]), gradient * shares[:, None]


def out_of_fold_scores(
    x: Matrix, n_classes: int, folds: Sequence[Fold], maps: Sequence[LinearMap]
) -> NDArray[np.float32]:
    """Return ``(n, n_classes)`` decision values of the rows that folds test, each by its fold's map; NaN of others."""
    scores = np.full((len(x), n_classes), np.nan, np.float32)
    for fold, linear in zip(folds, maps, strict=True):
        scores[fold.test] = linear.decide(some_rows(x, fold.test))
    return scores
