"""Mean average precision over the labels, each by its ranking of the images: no threshold takes part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.several.labels import average_precisions


class MeanAveragePrecision(Metric):
    """See the module."""

    name = "mean_ap"
    task = "multilabel"
    title = "mAP"
    place = 20
    aliases = ("map", "mean_average_precision")
    least = 0.0
    most = 1.0
    in_points = True
    note = "mean over labels of the average precision; labels that no tested image has are left out"

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        found = average_precisions(truth, scores, weights)
        return None if np.isnan(found).all() else float(np.nanmean(found))


METRIC = MeanAveragePrecision()
