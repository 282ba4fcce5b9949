"""Average precision: the mean precision at the scores of a class's images, the area under its precision-recall curve.

Without interpolation, as scikit-learn has it (Zhu 2004, Recall, Precision and Average Precision, University of
Waterloo). Of several classes the mean over classes, each against the rest; of two, that of the second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights
from stackbone.stack.metrics.one_against_rest import mean_of_classes


class AveragePrecision(Metric):
    """See the module."""

    name = "average_precision"
    task = "classification"
    title = "average precision"
    place = 8
    aliases = ("average_precision_score", "ap")
    least = 0.0
    most = 1.0
    on_request = True
    note = (
        "average precision of each class against the rest, mean over the classes that a fold tests; of two classes "
        "that of the second"
    )

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return mean_of_classes(truth, scores, weights, _precision, probability=probability)


def _precision(own: NDArray[np.float64], rest: NDArray[np.float64]) -> float:
    """Return the precision of all that score at least as high as each image of the class, in the mean."""
    found, wrong = np.cumsum(own[::-1]), np.cumsum(rest[::-1])
    return float(own[::-1] @ (found / (found + wrong)) / found[-1])


METRIC = AveragePrecision()
