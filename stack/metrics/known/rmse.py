"""The root mean squared error, in the labels' unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class RootMeanSquaredError(Metric):
    """See the module."""

    name = "rmse"
    task = "regression"
    title = "RMSE"
    place = 13
    aliases = ("neg_root_mean_squared_error", "root_mean_squared_error")
    least = 0.0
    lower_is_better = True

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.sqrt(np.average(np.square(scores - truth), weights=weights)))


METRIC = RootMeanSquaredError()
