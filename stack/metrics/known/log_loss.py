"""The mean negative natural log of the true class's probability, in nats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights

LEAST_LOG_PROBABILITY = float(np.log(np.finfo(np.float64).tiny))
"""A floor of about -708, so that one class held for impossible does not make the mean log-loss infinite."""


class LogLoss(Metric):
    """See the module."""

    name = "log_loss"
    task = "classification"
    title = "log-loss"
    place = 3
    aliases = ("neg_log_loss",)
    least = 0.0
    lower_is_better = True
    needs_probability = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        if not probability:
            return None
        of_truth = scores[np.arange(len(truth)), truth].astype(np.float64)
        return float(np.average(np.abs(np.clip(of_truth, LEAST_LOG_PROBABILITY, 0.0)), weights=weights))


METRIC = LogLoss()
