"""Hamming loss: the share of labels that are said wrongly, over all images and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class HammingLoss(Metric):
    """See the module."""

    name = "hamming_loss"
    task = "multilabel"
    title = "Hamming loss"
    place = 24
    least = 0.0
    most = 1.0
    lower_is_better = True
    of_decisions = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.average((scores != truth).mean(axis=1), weights=weights))


METRIC = HammingLoss()
