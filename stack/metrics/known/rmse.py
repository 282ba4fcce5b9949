"""The root mean squared error, in the labels' unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric


class RootMeanSquaredError(Metric):
    """See the module."""

    name = "rmse"
    task = "regression"
    title = "RMSE"
    place = 12

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.sqrt(np.square(scores - truth).mean()))


METRIC = RootMeanSquaredError()
