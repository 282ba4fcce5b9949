"""The mean recall of the classes that occur in the truth: accuracy, as if all classes were equally common.

Brodersen, Ong, Stephan & Buhmann 2010, ICPR, 3121-3124.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class BalancedAccuracy(Metric):
    """See the module."""

    name = "balanced_accuracy"
    task = "classification"
    title = "balanced accuracy"
    place = 5
    aliases = ("balanced_accuracy_score",)
    least = 0.0
    most = 1.0
    in_points = True
    on_request = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        n = np.bincount(truth, weights)
        hit = truth == scores.argmax(axis=1)
        right = np.bincount(truth[hit], None if weights is None else weights[hit], minlength=len(n))
        found = np.flatnonzero(n)
        return float((right[found] / n[found]).mean())


METRIC = BalancedAccuracy()
