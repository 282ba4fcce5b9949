"""The mean absolute error, in the labels' unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric


class MeanAbsoluteError(Metric):
    """See the module."""

    name = "mae"
    task = "regression"
    title = "MAE"
    place = 11

    def measure(self, truth: NDArray[Any], scores: Scores, *, probability: bool) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.abs(scores - truth).mean())


METRIC = MeanAbsoluteError()
