"""A linear support vector regression on the backbones' out-of-fold predictions.

Squared epsilon-insensitive loss in the primal; columns, as those of every learner, and target are standardised (Ho &
Lin 2012, JMLR 13, 3323-3348).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import LinearSVR

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseScores, MetaLearner, Part
from stackbone.stack.learners.meta_model import NUMBERS, MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.targets.each_target import fit_each_target
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.solvers.scales import MODERATION, moderated_scales

SVR_C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths of the support vector meta-learner, ascending."""

SVR_EPSILON = 0.1
"""Errors up to this share of the target's standard deviation cost the support vector meta-learner nothing."""

SVR_MAX_ITER = 10_000
"""A ceiling for liblinear's trust-region Newton, which a handful of columns stops far below."""


class SupportVectorMeta(MetaLearner):
    """See the module."""

    name = "svr"
    tasks = ("regression", "multitarget")
    what = "linear SVR"
    place = 11

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Choose C on the inner folds that made the predictions, and fit."""
        if part.y_train.ndim == 2:
            return fit_each_target(self, scores, part, options)
        x = np.column_stack([each.out_of_fold for each in scores])
        return MetaModel(NUMBERS, None, _fit(x, part.y_train, _choose_c(x, part), part.row_weights), 1.0)


def _choose_c(x: NDArray[np.float64], part: Part) -> float:
    """Return the C of the least squared error on inner folds, or the one that the part's metric prefers."""
    tested = np.concatenate([fold.test for fold in part.inner])
    losses = []
    for c in SVR_C_GRID:
        said = np.concatenate([_predict_fold(x, part, fold, c) for fold in part.inner])
        squares = np.square(said - part.y_train[tested])
        weighed = squares if part.row_weights is None else squares * part.row_weights[tested]
        losses.append(float(weighed.sum()) if part.metric is None else part.loss(said, tested, probability=False))
    return SVR_C_GRID[int(np.argmin(losses))]


def _predict_fold(x: NDArray[np.float64], part: Part, fold: Fold, c: float) -> NDArray[np.float64]:
    weights = None if part.row_weights is None else part.row_weights[fold.train]
    linear = _fit(x[fold.train], part.y_train[fold.train], c, weights)
    return linear.decide(x[fold.test].astype(np.float32))[:, 0].astype(np.float64)


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], c: float, weights: Weights) -> LinearMap:
    mean, variances = _moments(x, weights)
    scale = moderated_scales(variances[None], len(x) if weights is None else weights.sum(), MODERATION)[0]
    centre, variance = _moments(y, weights)
    spread = np.sqrt(variance) if variance > 0 else 1.0
    model = LinearSVR(
        C=c, epsilon=SVR_EPSILON, loss="squared_epsilon_insensitive", dual=False, max_iter=SVR_MAX_ITER
    ).fit((x - mean) / scale, (y - centre) / spread, sample_weight=weights)
    coef = spread * model.coef_ / scale
    return LinearMap.rounded(coef[:, None], np.ravel(centre + spread * model.intercept_), mean)


def _moments(values: NDArray[np.float64], weights: Weights) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the population variance of each column, 0 where it is constant."""
    mean = np.average(values, axis=0, weights=weights)
    variance = np.average(np.square(values - mean), axis=0, weights=weights)
    return mean, np.where(np.ptp(values, axis=0) > 0, variance, 0.0)


LEARNER = SupportVectorMeta()
