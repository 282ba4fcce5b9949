"""The expected calibration error of the predicted class, 0 to 1; see `stack.metrics.calibration`."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from stackbone.stack.metrics.calibration import calibration_curve, calibration_error
from stackbone.stack.metrics.checks import Scores
from stackbone.stack.metrics.metric import Metric, Weights


class CalibrationError(Metric):
    """See the module."""

    name = "calibration_error"
    task = "classification"
    title = "cal. error"
    place = 4
    aliases = ("ece",)
    least = 0.0
    lower_is_better = True
    needs_probability = True
    note = (
        "how far the probability of the predicted class is from the share that is right, in 15 bins of equally many "
        "images, mean over folds (Roelofs et al. 2022)"
    )

    def measure(
        self, truth: NDArray[Any], scores: Scores, *, probability: bool, weights: Weights = None
    ) -> float | None:
        """Return the number; see `Metric.measure`."""
        return calibration_error(calibration_curve(truth, scores, weights=weights)) if probability else None


METRIC = CalibrationError()
