"""A ridge regression on the backbones' out-of-fold predictions (stacked regressions: Breiman 1996)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.bases.ridge import choose_alpha
from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.meta_model import NUMBERS, MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.targets.each_target import fit_each_target
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge


class RidgeMeta(MetaLearner):
    """See the module."""

    name = "ridge"
    tasks = ("regression", "multitarget")
    what = "ridge"
    place = 10

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Choose alpha on the inner folds that made the predictions, and fit."""
        if part.y_train.ndim == 2:
            return fit_each_target(self, scores, part, options)
        x = SideBySide.whole(np.column_stack([each.out_of_fold for each in scores]))

        def by_metric(said: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
            return part.loss(said, rows, probability=False)

        criterion = None if part.metric is None else by_metric
        alpha, _ = choose_alpha(x, part.y_train, part.inner, row_weights=part.row_weights, criterion=criterion)
        return MetaModel(NUMBERS, None, fit_ridge(x, part.y_train, [alpha], weights=part.row_weights).linear_map(), 1.0)


LEARNER = RidgeMeta()
