"""Ridge regression of the classes' indicators on standardised features: least squares as a classifier, in closed form.

Indicators of 0 and 1, one column a class; the highest wins (Hastie, Tibshirani & Friedman, The Elements of Statistical
Learning, 2nd ed., section 4.2; regularised: Rifkin, Yeo & Poggio 2003).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.bases.ridge import ALPHA_GRID
from stackbone.stack.learners.heads.head import Head
from stackbone.stack.learners.heads.scatter import ClassMoments, LinearLearnt
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.solvers.ridge import SideBySide
from stackbone.stack.solvers.scales import MODERATION

ALPHAS = ALPHA_GRID[::-1]
"""Regularisation strengths that are tried, descending, in the sense of scikit-learn's ``RidgeClassifier``."""


class RidgeClassifierHead(Head):
    """See `learn_indicators`."""

    name = "ridge_classifier"
    what = "ridge regression of the classes on {name}"
    can_be_saved = True
    place = 6

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome."""
        return {"name": "ridge_classifier", "alphas": ALPHAS, "moderation": MODERATION}

    def learn(
        self, x: SideBySide, y: NDArray[np.int64], weights: NDArray[np.float64], n_classes: int, n_views: int = 1
    ) -> LinearLearnt:
        """Learn from rows; see `learn_indicators`."""
        return learn_indicators(ClassMoments.of(x, y, weights, n_classes), ALPHAS)


def learn_indicators(of: ClassMoments, alphas: tuple[float, ...] = ALPHAS) -> LinearLearnt:
    """Return the least squares fits of 0 and 1, an output a class, for every alpha.

    Minimised is ``Σ w ‖y - xW - b‖² + alpha ‖W‖²`` with the intercept b free; the columns are standardised.
    """
    strengths = np.array(alphas)
    coef = of.about_mean().divide((of.sums / of.scale).T, strengths)
    shares = of.mass / of.weights.sum()
    intercept = np.broadcast_to(shares, (len(strengths), len(shares)))
    return LinearLearnt(alphas, coef / of.scale[:, None, None], intercept, of.mean)


LEARNER = RidgeClassifierHead()
