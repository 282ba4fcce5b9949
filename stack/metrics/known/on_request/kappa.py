"""Cohen's kappa: how far accuracy is above what chance would give, as a share of what it could be above it.

Cohen 1960, Educational and Psychological Measurement 20(1), 37-46.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class Kappa(Metric):
    """See the module."""

    name = "kappa"
    task = "classification"
    title = "kappa"
    place = 9
    aliases = ("cohen_kappa", "cohen_kappa_score")
    least = -1.0
    most = 1.0
    on_request = True
    note = "Cohen's kappa: accuracy above chance; 1 is perfect, 0 chance"

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        predicted, n_classes = scores.argmax(axis=1), scores.shape[1]
        share = np.ones(len(truth)) / len(truth) if weights is None else weights / weights.sum()
        by_chance = float(np.bincount(truth, share, n_classes) @ np.bincount(predicted, share, n_classes))
        right = float(share @ (truth == predicted))
        return (right - by_chance) / (1 - by_chance) if by_chance < 1 - 1e-12 else None  # both name one class


METRIC = Kappa()
