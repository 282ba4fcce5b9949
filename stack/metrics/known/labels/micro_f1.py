"""F1 of all labels together: twice what is said rightly, as a share of what is said and what is there."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric


class MicroF1(Metric):
    """See the module."""

    name = "micro_f1"
    task = "multilabel"
    title = "micro-F1"
    place = 21
    least = 0.0
    in_points = True
    of_decisions = True

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(2 * (scores * truth).sum() / (scores.sum() + truth.sum()))


METRIC = MicroF1()
