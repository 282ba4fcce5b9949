"""R²: the share of the variance of the true numbers that is explained.

1 is perfect, 0 what their mean would score, below 0 worse; where the truth does not vary, 1 if every row is right and 0
if not, as scikit-learn has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class R2(Metric):
    """See the module."""

    name = "r2"
    task = "regression"
    title = "R²"
    place = 11
    aliases = ("r2_score",)
    most = 1.0

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        squares = np.square(scores - truth)
        # By the range, since the mean of equal numbers need not equal them to the last bit.
        if np.ptp(truth) == 0:
            return float(squares.sum() == 0)
        counts = np.ones(len(truth)) if weights is None else weights
        apart = np.square(truth - np.average(truth, weights=weights))
        return float(1.0 - (counts * squares).sum() / (counts * apart).sum())


METRIC = R2()
