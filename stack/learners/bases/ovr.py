"""One-versus-rest logistic regressions on standardised features: the base learner of images with any number of labels.

All labels are fitted at once, by one product with the matrix for all of them, and each with a C of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.bases.lr import c_grid
from stackbone.stack.learners.labels.label_path import LabelPath
from stackbone.stack.learners.labels.thresholds import choose_thresholds
from stackbone.stack.learners.learner import BaseLearner, BaseScores, Part
from stackbone.stack.learners.linear_meta import within
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.searching.chosen_on_part import part_settings, part_to_choose_on, say_chosen_on
from stackbone.stack.learners.searching.regression_search import out_of_fold_scores
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.several.labels import average_precisions
from stackbone.stack.solvers.rows import Matrix, Rows, some_rows
from stackbone.stack.solvers.scales import MODERATION

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_PATIENCE = 2
"""Values of C in a row that are worse for a label than its best so far and end its search."""


class OneVersusRestBase(BaseLearner):
    """Standardise, choose each label's C, fit; see `score_labels`."""

    name = "ovr"
    task = "multilabel"
    what = "one-versus-rest logistic regressions on {name}"
    can_be_stacked = True
    can_be_saved = True
    place = 20

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        return {"name": "ovr", "c_grid": c_grid(options), "moderation": MODERATION}

    def size_settings(self, n_rows: int, dim: int, options: StackOptions) -> dict[str, object]:
        """Return on how many rows C is chosen, where it is on a part of them."""
        return part_settings(n_rows, dim) if len(c_grid(options)) > 1 else {}

    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> BaseScores:
        """Fit on the training part, out of fold and as a whole, and score the test part."""
        train, test = Rows(features, part.fold.train), Rows(features, part.fold.test)
        return score_labels(
            train,
            part.y_train,
            test,
            part.inner,
            c_grid(options),
            part.fitted,
            part.weight,
            part.row_weights,
            by_precision=part.metric is not None and not (part.metric.of_decisions or part.metric.lower_is_better),
        )


def score_labels(
    x_train: Matrix,
    presence: NDArray[np.int8],
    x_test: Matrix,
    folds: Sequence[Fold],
    grid: Sequence[float],
    fitted: NDArray[np.int64] | None = None,
    weight: float = 1.0,
    row_weights: Weights = None,
    *,
    by_precision: bool = False,
) -> BaseScores:
    """Standardise, choose C and threshold of each label, fit; score out-of-fold and test rows.

    As for classes (`stack.learners.bases.lr.score_classes`), the inner folds that give the out-of-fold scores choose C,
    here that of the least log-loss of each label by itself, and the threshold of the highest F1.
    Of a fit that is streamed, C is chosen on a part of the rows, and a warning says so, as for classes too.

    Parameters
    ----------
    x_train : NDArray[np.float32] or Rows
        ``(n_train, dim)`` features.
    presence : NDArray[np.int8]
        ``(n_train, n_labels)``: 1 where a row has a label, else 0.
    x_test : NDArray[np.float32] or Rows
        ``(n_test, dim)`` features.
    folds : sequence of Fold
        Inner folds over the rows of `x_train`; each training part has both sides of every label.
    grid : sequence of float
        Values of C, ascending. A label's search ends after two in a row that are worse than its best so far.
    fitted : NDArray[np.int64], optional
        Rows of `x_train` that the classifiers are fitted on; all by default. The others are scored out of fold alone.
    weight : float
        What each row counts for: C is multiplied by it.
    row_weights : NDArray[np.float64], optional
        ``(n_train,)`` what each row counts for beside, in all fits and choices; above 0.
    by_precision : bool
        Whether the average precision of each label chooses its C, and not the log-loss; of equal ones, as of a label
        that is told apart at any C, the log-loss decides, and the search goes on while either improves.

    Returns
    -------
    BaseScores
        The geometric mean of the chosen C, the logits of each label, the classifiers, and the thresholds.

    Raises
    ------
    StackError
        If a training part has one side of a label alone.
    """
    few = part_to_choose_on(presence, folds, x_train.shape[1])
    asked: dict[str, Any] = {"weight": weight, "by_precision": by_precision}
    chosen, out_of_fold = np.full(presence.shape[1], grid[0]), None
    if few is None:
        chosen, out_of_fold = _search(x_train, presence, folds, grid, row_weights=row_weights, **asked)
    elif len(grid) > 1:
        say_chosen_on(len(few), len(presence))
        own = None if row_weights is None else row_weights[few]
        inner_of_few = [within(few, fold) for fold in folds]
        chosen, _ = _search(some_rows(x_train, few), presence[few], inner_of_few, grid, row_weights=own, **asked)
    everything = np.arange(len(presence)) if fitted is None else fitted
    subsets = [*(fold.train for fold in folds), everything] if out_of_fold is None else [everything]
    path = LabelPath(x_train, presence, subsets, moderation=MODERATION / weight, weights=row_weights)
    for c in np.unique(chosen):
        *inner, linear = path.solve_some(float(c) * weight, chosen == c)
    if out_of_fold is None:
        out_of_fold = out_of_fold_scores(x_train, presence.shape[1], folds, inner)
    scored = np.concatenate([fold.test for fold in folds])
    counts = None if row_weights is None else row_weights[scored]
    thresholds = choose_thresholds(expit(out_of_fold[scored].astype(np.float64)), presence[scored], counts)
    strength = float(np.exp(np.log(chosen).mean()))
    return BaseScores(strength, out_of_fold, linear.decide(x_test), linear, thresholds=thresholds)


def _search(
    x: Matrix,
    presence: NDArray[np.int8],
    folds: Sequence[Fold],
    grid: Sequence[float],
    *,
    weight: float,
    row_weights: Weights,
    by_precision: bool,
) -> tuple[Doubles, Floats]:
    """Return the ``(n_labels,)`` C of each label, and the ``(n, n_labels)`` logits out of fold that it gave."""
    subsets = [fold.train for fold in folds]
    path = LabelPath(x, presence, subsets, moderation=MODERATION / weight, weights=row_weights)
    scored = np.concatenate([fold.test for fold in folds])
    counts = None if row_weights is None else row_weights[scored]
    n_labels = presence.shape[1]
    chosen = np.full(n_labels, grid[0])
    first, least, lowest = (np.full(n_labels, np.inf) for _ in range(3))
    n_worse, searched = np.zeros(n_labels, np.int64), np.ones(n_labels, np.bool_)
    out_of_fold = np.full((len(x), n_labels), np.nan, np.float32)
    for c in grid:
        scores = out_of_fold_scores(x, n_labels, folds, path.solve_some(c * weight, searched))
        told, truth = scores[scored], presence[scored]
        loss = label_losses(truth, told, counts)
        # No average precision where no image in hand has the label: there the log-loss alone decides.
        rank = -np.nan_to_num(average_precisions(truth, told, counts)) if by_precision else loss
        better = searched & ((rank < first) | ((rank == first) & (loss < least)))
        out_of_fold[:, better], first[better], least[better] = scores[:, better], rank[better], loss[better]
        chosen[better] = c
        improved = better | (searched & (loss < lowest))
        lowest = np.minimum(lowest, loss)
        n_worse = np.where(improved, 0, n_worse + 1)
        searched = searched & (n_worse < _PATIENCE)
        if not searched.any():
            break
    return chosen, out_of_fold


def label_losses(presence: NDArray[np.int8], logits: Floats | Doubles, weights: Weights = None) -> Doubles:
    """Return the ``(n_labels,)`` mean log-losses, in nats, of ``(n, n_labels)`` logits."""
    signed = np.where(presence == 1, logits, -logits).astype(np.float64)
    losses: Doubles = np.average(np.logaddexp(0, -signed), axis=0, weights=weights)
    return losses


LEARNER = OneVersusRestBase()
