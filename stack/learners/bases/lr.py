"""Logistic regression on standardised features: the base learner of the ``oof`` recipe, of ``lr:`` and of ``concat``.

It sees the training part of one outer fold only, and returns what it makes of the test part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseLearner, BaseScores, Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.part_weights import ROUNDS, Choice, choose_parts, coarse, describe_parts
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from stackbone.stack.solvers.rows import Matrix, Rows
from stackbone.stack.solvers.scales import MODERATION, ColumnParts

C_GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
"""Inverse regularisation strengths tried, ascending; each in scikit-learn's sense."""

Doubles = NDArray[np.float64]
Criterion = Callable[[NDArray[np.float32], NDArray[np.int64]], float]

_PATIENCE = 2
"""Values of C in a row that are worse than the best so far and end the search."""


class LogisticRegressionBase(BaseLearner):
    """Standardise, choose C, fit; see `score_classes`.

    Parameters
    ----------
    widths : tuple of int
        Columns of each part of the features that counts by itself; of fewer than two parts, none.
    """

    name = "lr"
    task = "classification"
    what = "logistic regression on {name}"
    can_be_stacked = True
    can_be_saved = True
    place = 0

    def __init__(self, widths: tuple[int, ...] = ()) -> None:
        self._parts = ColumnParts.alike(*widths) if len(widths) > 1 else None

    def of_parts(self, widths: tuple[int, ...]) -> LogisticRegressionBase:
        """Return the learner that weighs parts of so many columns against each other."""
        return LogisticRegressionBase(widths)

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        plain = {"name": "lr", "c_grid": c_grid(options), "moderation": MODERATION}
        return plain if self._parts is None else {**plain, "parts": self._parts.widths, "rounds": ROUNDS}

    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> BaseScores:
        """Fit on the training part, out of fold and as a whole, and score the test part."""
        train, test = Rows(features, part.fold.train), Rows(features, part.fold.test)

        def by_metric(said: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
            return part.loss(log_softmax(said.astype(np.float64), axis=1), rows, probability=True)

        asked: dict[str, Any] = {
            "parts": self._parts,
            "row_weights": part.row_weights,
            "criterion": None if part.metric is None else by_metric,
        }
        return score_classes(
            train,
            part.y_train,
            test,
            part.n_classes,
            part.inner,
            c_grid(options),
            part.fitted,
            part.weight,
            **{name: value for name, value in asked.items() if value is not None},
        )


def c_grid(options: StackOptions) -> tuple[float, ...]:
    """Return the values of C to try, ascending."""
    return C_GRID if options.c is None else (options.c,)


def score_classes(
    x_train: Matrix,
    y_train: NDArray[np.int64],
    x_test: Matrix,
    n_classes: int,
    folds: Sequence[Fold],
    c_grid: Sequence[float] = C_GRID,
    fitted: NDArray[np.int64] | None = None,
    weight: float = 1.0,
    parts: ColumnParts | None = None,
    row_weights: Weights = None,
    criterion: Criterion | None = None,
) -> BaseScores:
    """Standardise, choose C, fit a multinomial logistic regression; score out-of-fold and test rows.

    The out-of-fold scores for each C come from the same inner folds; the C of the least log-loss wins, or the one that
    `criterion` prefers, and its scores go to the meta-learner. So choosing C costs no fit beyond the out-of-fold scores
    themselves (stacked generalization: Wolpert 1992, Neural Networks 5(2), 241-259).

    The scores handed on are thus slightly optimistic: the label of a row helped to choose, among at most
    ``len(c_grid)`` values, the one C of its own score, and with `parts` one number for each of them. All this
    happens inside the training part of an outer fold, whose test part had no say, so that outer scores stay honest.

    Parameters
    ----------
    x_train : NDArray[np.float32] or Rows
        ``(n_train, dim)`` features.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes, 0 to ``n_classes - 1``.
    x_test : NDArray[np.float32] or Rows
        ``(n_test, dim)`` features.
    n_classes : int
        Number of classes; each has a row in the training part of every inner fold.
    folds : sequence of Fold
        Inner folds over the rows of `x_train`.
    c_grid : sequence of float
        Values of C, ascending. The search ends after two in a row that are worse than the best so far: the
        log-loss has one valley along C (with a ripple where rows are few), and the values beyond cost most.
        One value: no search.
    fitted : NDArray[np.int64], optional
        Rows of `x_train` that the classifier is fitted on; all by default. The others are scored out of fold alone.
    weight : float
        What each row counts for: the loss is multiplied by it, and so is C.
    parts : ColumnParts, optional
        Parts of the columns, whose penalties are chosen too: see `stack.learners.part_weights`.
    row_weights : NDArray[np.float64], optional
        ``(n_train,)`` what each row counts for beside `weight`, in all fits and in the log-loss; above 0.
    criterion : callable, optional
        Of ``(n, n_classes)`` decision values and the rows that they are of: the less, the better, and of equals the
        less log-loss. The search goes on for as long as either of the two does better. The penalties of parts are
        chosen by log-loss all the same.

    Returns
    -------
    BaseScores
        The chosen C, the scores, and the classifier.

    Raises
    ------
    StackError
        If an inner fold's training part lacks a class.
    """
    everything = [np.arange(len(y_train)) if fitted is None else fitted]
    if len(c_grid) == 1 and parts is None:
        c = c_grid[0]
        subsets = [*(fold.train for fold in folds), *everything]
        path = regression_path(x_train, y_train, n_classes, subsets, weight, weights=row_weights)
        *inner, whole = path.solve(c * weight)
        return BaseScores(c, _out_of_fold(x_train, n_classes, folds, inner), whole.decide(x_test), whole)

    counted: dict[str, Any] = {"weight": weight, "weights": row_weights, "criterion": criterion}
    if parts is None:
        found = _search(x_train, y_train, n_classes, folds, c_grid, **counted)
        carried = None
    else:

        def search(weighed: ColumnParts, grid: Sequence[float]) -> Choice:
            return _search(x_train, y_train, n_classes, folds, grid, parts=weighed, patience=1, **counted)

        def loss(decisions: Doubles, rows: NDArray[np.int64]) -> tuple[float, Doubles]:
            return _log_loss(decisions, y_train[rows], None if row_weights is None else row_weights[rows])

        found, terms = choose_parts(search, search(parts, coarse(c_grid)), x_train, folds, loss)
        carried = describe_parts(found, terms, loss)
    path = regression_path(x_train, y_train, n_classes, everything, weight, found.parts, row_weights)
    (whole,) = path.solve(found.strength * weight)
    return BaseScores(found.strength, found.out_of_fold, whole.decide(x_test), whole, carried)


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
        scores = _out_of_fold(x, n_classes, folds, maps)
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


def _out_of_fold(x: Matrix, n_classes: int, folds: Sequence[Fold], maps: Sequence[LinearMap]) -> NDArray[np.float32]:
    scores = np.full((len(x), n_classes), np.nan, np.float32)
    for fold, linear in zip(folds, maps, strict=True):
        scores[fold.test] = linear.decide(x[fold.test])
    return scores


LEARNER = LogisticRegressionBase()
