"""The share of rows whose class is among the five highest: of five classes or fewer always 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights

TOP5_CLASSES = 20
"""From so many classes on, five guesses are worth counting."""


class Top5(Metric):
    """See the module."""

    name = "top5"
    task = "classification"
    title = "top-5"
    place = 2
    least = 0.0
    most = 1.0
    in_points = True
    least_classes = TOP5_CLASSES

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return float(np.average(_rank_of_truth(truth, scores) < 5, weights=weights))


def _rank_of_truth(truth: NDArray[np.int64], scores: Scores) -> NDArray[np.int64]:
    """Return how many classes come before the true one, the first of equals first, as argmax has it."""
    of_truth = scores[np.arange(len(truth)), truth][:, None]
    first = np.arange(scores.shape[1]) < truth[:, None]
    rank: NDArray[np.int64] = ((scores > of_truth) | ((scores == of_truth) & first)).sum(axis=1)
    return rank


METRIC = Top5()
