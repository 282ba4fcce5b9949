"""Hamming loss: the share of labels that are said wrongly, over all images and labels."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric


class HammingLoss(Metric):
    """See the module."""

    name = "hamming_loss"
    task = "multilabel"
    title = "Hamming loss"
    place = 24
    of_decisions = True

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float((scores != truth).mean())


METRIC = HammingLoss()
