"""The mean of what the backbones say: of classes and labels the calibrated mean probability, of numbers their mean."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackbone.stack.learners.labels.label_meta import fit_label_mean
from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.linear_meta import fit_mean
from stackbone.stack.learners.meta_model import NUMBERS, MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.targets.each_target import fit_each_target
from stackbone.stack.solvers.linear import LinearMap


class MeanMeta(MetaLearner):
    """See the module."""

    name = "mean"
    tasks = ("classification", "regression", "multilabel", "multitarget")
    what = "mean"
    has_weights = False
    averages = True
    place = 20

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Learn nothing but, of classes and labels, the calibration."""
        if part.y_train.ndim == 2 and part.n_classes:
            return fit_label_mean(scores, part, options)
        if part.n_classes:
            return fit_mean(scores, part, options)
        if part.y_train.ndim == 2:
            return fit_each_target(self, scores, part, options)
        n = len(scores)
        return MetaModel(NUMBERS, None, LinearMap(np.full((n, 1), 1 / n, np.float32), np.zeros(1, np.float32)), 1.0)


LEARNER = MeanMeta()
