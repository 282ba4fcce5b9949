"""Subset accuracy: the share of images of which every label is said rightly, those that are not there too."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class SubsetAccuracy(Metric):
    """See the module."""

    name = "subset_accuracy"
    task = "multilabel"
    title = "subset acc."
    place = 23
    aliases = ("accuracy",)
    least = 0.0
    most = 1.0
    in_points = True
    of_decisions = True
    note = "share of images of which all labels are right"

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.average((scores == truth).all(axis=1), weights=weights))


METRIC = SubsetAccuracy()
