"""The mean F1 of the classes, each counted by its images in the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class WeightedF1(Metric):
    """See the module."""

    name = "weighted_f1"
    task = "classification"
    title = "weighted F1"
    place = 6
    aliases = ("f1_weighted",)
    least = 0.0
    most = 1.0
    on_request = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        predicted, n_classes = scores.argmax(axis=1), scores.shape[1]
        hit = truth == predicted
        n, named = np.bincount(truth, weights, n_classes), np.bincount(predicted, weights, n_classes)
        right = np.bincount(truth[hit], None if weights is None else weights[hit], n_classes)
        found = np.flatnonzero(n)
        return float(np.average(2 * right[found] / (n + named)[found], weights=n[found]))


METRIC = WeightedF1()
