"""Matthews' correlation coefficient of truth and prediction, of any number of classes; 0 where either does not vary.

Gorodkin 2004, Computational Biology and Chemistry 28(5-6), 367-374.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class MatthewsCorrelation(Metric):
    """See the module."""

    name = "mcc"
    task = "classification"
    title = "MCC"
    place = 10
    aliases = ("matthews_corrcoef",)
    least = -1.0
    most = 1.0
    on_request = True
    note = "Matthews' correlation of truth and prediction: 1 is perfect, 0 chance"

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        predicted, n_classes = scores.argmax(axis=1), scores.shape[1]
        n = np.bincount(truth, weights, n_classes).astype(np.float64)
        named = np.bincount(predicted, weights, n_classes).astype(np.float64)
        total, right = n.sum(), float(np.bincount(truth == predicted, weights, 2)[1])
        spread = (total**2 - n @ n) * (total**2 - named @ named)
        return float((right * total - n @ named) / np.sqrt(spread)) if spread > 0 else 0.0


METRIC = MatthewsCorrelation()
