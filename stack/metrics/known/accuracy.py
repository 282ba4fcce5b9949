"""Accuracy: the share of rows whose class has the highest score, the first of equals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class Accuracy(Metric):
    """See the module."""

    name = "accuracy"
    task = "classification"
    place = 0
    least = 0.0
    most = 1.0
    in_points = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.average(scores.argmax(axis=1) == truth, weights=weights))


METRIC = Accuracy()
