"""Logistic regression on standardised features: the base learner of the ``oof`` recipe, of ``lr:`` and of ``concat``.

It sees the training part of one outer fold only, and returns what it makes of the test part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseLearner, BaseScores, Part
from stackbone.stack.learners.linear_meta import within
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.part_weights import ROUNDS
from stackbone.stack.learners.searching.chosen_on_part import part_settings, part_to_choose_on, say_chosen_on
from stackbone.stack.learners.searching.regression_search import Criterion, choose, out_of_fold_scores, regression_path
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.solvers.rows import Matrix, Rows, some_rows
from stackbone.stack.solvers.scales import MODERATION, ColumnParts

C_GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
"""Inverse regularisation strengths tried, ascending; each in scikit-learn's sense."""


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

    def size_settings(self, n_rows: int, dim: int, options: StackOptions) -> dict[str, object]:
        """Return on how many rows C is chosen, where it is on a part of them."""
        searches = len(c_grid(options)) > 1 or self._parts is not None
        return part_settings(n_rows, dim) if searches else {}

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

    Of a fit that is streamed (`stack.solvers.large.streamed`), C is chosen on a part of the training rows, and a
    warning says so: see `stack.learners.searching.chosen_on_part`. All its rows are then fitted, inner folds included.

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
    everything = np.arange(len(y_train)) if fitted is None else fitted
    c, weighed, carried, out_of_fold = c_grid[0], parts, None, None
    if len(c_grid) > 1 or parts is not None:
        few = part_to_choose_on(y_train, folds, x_train.shape[1])
        if few is None:
            found, carried = choose(x_train, y_train, n_classes, folds, c_grid, weight, parts, row_weights, criterion)
            out_of_fold = found.out_of_fold
        else:
            say_chosen_on(len(few), len(y_train))
            found, carried = choose(
                some_rows(x_train, few),
                y_train[few],
                n_classes,
                [within(few, fold) for fold in folds],
                c_grid,
                weight,
                parts,
                None if row_weights is None else row_weights[few],
                None if criterion is None else lambda said, rows: criterion(said, few[rows]),
            )
        c, weighed = found.strength, found.parts
    subsets = [*(fold.train for fold in folds), everything] if out_of_fold is None else [everything]
    path = regression_path(x_train, y_train, n_classes, subsets, weight, weighed, row_weights)
    *inner, whole = path.solve(c * weight)
    if out_of_fold is None:
        out_of_fold = out_of_fold_scores(x_train, n_classes, folds, inner)
    return BaseScores(c, out_of_fold, whole.decide(x_test), whole, carried)


LEARNER = LogisticRegressionBase()
