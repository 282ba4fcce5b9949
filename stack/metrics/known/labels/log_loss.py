"""The mean negative natural log of the probability that a label is as it is, there or not, in nats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.known.log_loss import LEAST_LOG_PROBABILITY
from stackbone.stack.metrics.metric import Metric, Weights


class LabelLogLoss(Metric):
    """See the module."""

    name = "label_log_loss"
    task = "multilabel"
    title = "log-loss"
    place = 25
    aliases = ("log_loss", "neg_log_loss")
    least = 0.0
    lower_is_better = True
    needs_probability = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        if not probability:
            return None
        present = np.minimum(scores.astype(np.float64), 0.0)
        with np.errstate(divide="ignore"):
            absent = np.log(-np.expm1(present))
        of_truth = np.where(truth == 1, present, absent)
        losses = np.abs(np.clip(of_truth, LEAST_LOG_PROBABILITY, 0.0)).mean(axis=1)
        return float(np.average(losses, weights=weights))


METRIC = LabelLogLoss()
