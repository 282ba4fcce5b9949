"""Accuracy: the share of rows whose class has the highest score, the first of equals."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric


class Accuracy(Metric):
    """See the module."""

    name = "accuracy"
    task = "classification"
    place = 0
    least = 0.0
    in_points = True

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float((scores.argmax(axis=1) == truth).mean())


METRIC = Accuracy()
