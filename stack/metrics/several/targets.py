"""How well each of several numbers is predicted, and the mean over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.metrics.checks import Scores, check_numbers
from stackbone.stack.metrics.metric import Metric, Weights


class MeanOverTargets(Metric):
    """The mean of a metric of one number over several numbers, each by itself.

    Attributes
    ----------
    of_one : Metric
        Of one number, in its own unit.
    """

    of_one: Metric

    def each(self, truth: NDArray[Any], scores: Scores, weights: Weights = None) -> list[float]:
        """Return the metric of each number, in the order of the columns; arguments as of `measure`."""
        found = [
            self.of_one.measure(true, predicted, probability=False, weights=weights)
            for true, predicted in zip(truth.T, scores.T, strict=True)
        ]
        return [float("nan") if value is None else value for value in found]

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the mean over the columns; see `Metric.measure`."""
        mean = float(np.mean(self.each(truth, scores, weights)))
        return None if np.isnan(mean) else mean


def check_targets_scored(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
    """Refuse predicted numbers that cannot be compared with the true ones.

    Parameters
    ----------
    truth, predicted : NDArray[np.float64]
        ``(n, n_targets)`` values, each column in its own unit.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, or a value is not finite.
    """
    if truth.ndim != 2 or truth.shape != predicted.shape or not truth.size:
        msg = (
            f"true values of shape {truth.shape} and predicted values of shape {predicted.shape} cannot be compared; "
            "expected (n, n_targets) of both, not empty: pass the same rows and columns of both"
        )
        raise StackError(msg)
    for true, said in zip(truth.T, predicted.T, strict=True):
        check_numbers(true, said)
