"""F1 of all labels together: twice what is said rightly, as a share of what is said and what is there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class MicroF1(Metric):
    """See the module."""

    name = "micro_f1"
    task = "multilabel"
    title = "micro-F1"
    place = 21
    aliases = ("f1_micro",)
    least = 0.0
    most = 1.0
    in_points = True
    of_decisions = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        right, total = (scores * truth).sum(axis=1), (scores + truth).sum(axis=1)
        if not total.any():
            return None
        return float(2 * np.average(right, weights=weights) / np.average(total, weights=weights))


METRIC = MicroF1()
