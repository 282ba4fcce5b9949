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
    tasks = ("regression",)
    what = "linear SVR"
    place = 11

    def fit(self, scores: Sequence[BaseScores], part: Part, options: MetaOptions) -> MetaModel:
        """Choose C on the inner folds that made the predictions, and fit."""
        x = np.column_stack([each.out_of_fold for each in scores])
        return MetaModel(NUMBERS, None, _fit(x, part.y_train, _choose_c(x, part.y_train, part.inner)), 1.0)


def _choose_c(x: NDArray[np.float64], y: NDArray[np.float64], folds: Sequence[Fold]) -> float:
    errors = [
        sum(_squared_error(_fit(x[f.train], y[f.train], c), x[f.test], y[f.test]) for f in folds) for c in SVR_C_GRID
    ]
    return SVR_C_GRID[int(np.argmin(errors))]


def _squared_error(linear: LinearMap, x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    predicted = linear.decide(x.astype(np.float32))[:, 0].astype(np.float64)
    return float(np.square(predicted - y).sum())


def _fit(x: NDArray[np.float64], y: NDArray[np.float64], c: float) -> LinearMap:
    mean, variances = x.mean(axis=0), np.where(np.ptp(x, axis=0) > 0, x.var(axis=0), 0.0)
    scale = moderated_scales(variances[None], len(x), MODERATION)[0]
    centre, spread = y.mean(), y.std() if np.ptp(y) > 0 else 1.0
    model = LinearSVR(
        C=c, epsilon=SVR_EPSILON, loss="squared_epsilon_insensitive", dual=False, max_iter=SVR_MAX_ITER
    ).fit((x - mean) / scale, (y - centre) / spread)
    coef = spread * model.coef_ / scale
    return LinearMap.rounded(coef[:, None], np.ravel(centre + spread * model.intercept_), mean)


LEARNER = SupportVectorMeta()
