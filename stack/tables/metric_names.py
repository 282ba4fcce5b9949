"""Scores as people write them, and the units in which differences between them are given."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stackbone.stack.experiments.experiment import Experiment

METRICS = {
    "macro_f1": "macro-F1",
    "top5": "top-5",
    "log_loss": "log-loss",
    "calibration_error": "cal. error",
    "mae": "MAE",
    "rmse": "RMSE",
}
"""Column titles of the scores beside the primary one, in the order of the columns."""


@dataclass(frozen=True)
class PrimaryMetric:
    """The score that models are ranked by.

    Attributes
    ----------
    name : str
        As people write it.
    least : float
        Its lowest possible value.
    unit : float
        What a difference is multiplied by to be shown: 100 where it is given in percentage points.
    unit_name : str
        ``points``, or the name of the score.
    suffix, in_points : str
        What follows a difference in a sentence, and the title of a column of differences; empty unless in points.
    digits : int
        Decimals of a difference in a sentence.
    """

    name: str
    least: float
    unit: float
    unit_name: str
    suffix: str
    in_points: str
    digits: int


PRIMARY = {
    "accuracy": PrimaryMetric("accuracy", 0.0, 100.0, "points", " points", ", points", 1),
    "r2": PrimaryMetric("R²", -math.inf, 1.0, "R²", "", "", 3),
}


def primary_metric(experiment: Experiment) -> PrimaryMetric:
    """Return the score that the models of an experiment are ranked by."""
    return PRIMARY[experiment.evaluation.results[0].primary_metric]
