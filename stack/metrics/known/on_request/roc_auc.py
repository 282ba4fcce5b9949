"""The area under the ROC curve: how often an image of a class scores higher for it than an image of another class.

Hanley & McNeil 1982, Radiology 143(1), 29-36. Of several classes the mean over classes, each against the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.one_against_rest import mean_of_classes


class RocAuc(Metric):
    """See the module."""

    name = "roc_auc"
    task = "classification"
    title = "ROC AUC"
    place = 7
    aliases = ("roc_auc_ovr", "roc_auc_score", "auc")
    least = 0.0
    most = 1.0
    on_request = True
    note = "area under the ROC curve of each class against the rest, mean over the classes that a fold tests"

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return mean_of_classes(truth, scores, weights, _area, probability=probability)


def _area(own: NDArray[np.float64], rest: NDArray[np.float64]) -> float:
    """Return the share of pairs whose member of the class scores higher; of equal scores, half a pair."""
    lower = np.cumsum(rest) - rest / 2
    return float(own @ lower / (own.sum() * rest.sum()))


METRIC = RocAuc()
