"""Several numbers of each image: a part of the folds as one of them sees it, and meta-learners target by target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.meta_model import NUMBERS, MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.solvers.linear import LinearMap


class _OfOne(Metric):
    """A metric of several numbers, measured of one alone."""

    def __init__(self, whole: Metric) -> None:
        self.name, self.task, self.lower_is_better = whole.name, whole.task, whole.lower_is_better
        self._whole = whole

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number of ``(n,)`` values, as if there were no others."""
        return self._whole.measure(truth[:, None], scores[:, None], probability=probability, weights=weights)


def part_of_target(part: Part, number: int) -> Part:
    """Return a part with one of several targets, as that of a regression of it alone.

    Parameters
    ----------
    part : Part
        Whose ``y_train`` is ``(n_train, n_targets)``.
    number : int
        Of the target, from 0.
    """
    metric = None if part.metric is None else _OfOne(part.metric)
    return replace(part, y_train=part.y_train[:, number], metric=metric)


def fit_each_target(learner: MetaLearner, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
    """Fit a meta-learner of one number to each of several, each on what the backbones say of it.

    Parameters
    ----------
    learner : MetaLearner
        Of one number: its models are linear maps of the backbones' predictions.
    scores : sequence of BaseScores
        One per backbone, ``(n, n_targets)``.
    part : Part
        Of all targets.
    options : MetaOptions
        As of `MetaLearner.fit`.

    Returns
    -------
    MetaModel
        One map of all predictions side by side, in which each target's output sees the predictions of it alone.
    """
    n_targets = part.y_train.shape[1]
    coef = np.zeros((len(scores), n_targets, n_targets), np.float32)
    mean, intercept = np.zeros((len(scores), n_targets), np.float32), np.zeros(n_targets, np.float32)
    for number in range(n_targets):
        own = [
            replace(each, out_of_fold=each.out_of_fold[:, number], test=each.test[:, number], linear_map=None)
            for each in scores
        ]
        linear = learner.fit(own, part_of_target(part, number), options).linear
        if linear is None:
            message = "a meta-learner of numbers is a linear map of predictions"
            raise TypeError(message)
        coef[:, number, number], intercept[number] = linear.coef[:, 0], linear.intercept[0]
        mean[:, number] = 0 if linear.mean is None else linear.mean
    whole = LinearMap(coef.reshape(-1, n_targets), intercept, mean.reshape(-1))
    return MetaModel(NUMBERS, None, whole, 1.0)
