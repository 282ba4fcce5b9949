"""The mean absolute error, in the labels' unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class MeanAbsoluteError(Metric):
    """See the module."""

    name = "mae"
    task = "regression"
    title = "MAE"
    place = 12
    aliases = ("neg_mean_absolute_error", "mean_absolute_error")
    least = 0.0
    lower_is_better = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.average(np.abs(scores - truth), weights=weights))


METRIC = MeanAbsoluteError()
