"""Scores as people write them, and the units in which differences between them are given."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.metrics.metrics import METRICS


def titles() -> dict[str, str]:
    """Return what people call each metric, by name, in the order of the columns."""
    return {each.name: each.title or each.name for each in METRICS.values()}


@dataclass(frozen=True)
class PrimaryMetric:
    """The score that models are ranked by.

    Attributes
    ----------
    name : str
        As people write it.
    least, most : float
        Its lowest and highest possible values.
    lower_is_better : bool
        Whether the best model is the one of the lowest score.
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
    most: float = math.inf
    lower_is_better: bool = False

    @property
    def better(self) -> str:
        """How a score that is the better of two is said to be, before the other."""
        return "better than" if self.lower_is_better else "above"

    @property
    def lost(self) -> str:
        """What became of the difference where a model got worse by it: of an error, it was added."""
        return "added" if self.lower_is_better else "lost"

    @property
    def worse(self) -> str:
        """How a score that is the worse of two is said to be."""
        return "worse than" if self.lower_is_better else "below"


def primary_metric(experiment: Experiment) -> PrimaryMetric:
    """Return the score that the models of an experiment are ranked by."""
    return as_primary(experiment.evaluation.results[0].primary_metric)


def as_primary(name: str) -> PrimaryMetric:
    """Return a metric as the score that models are ranked by."""
    metric, title = METRICS[name], titles()[name]
    unit = (100.0, "points", " points", ", points", 1) if metric.in_points else (1.0, title, "", "", 3)
    return PrimaryMetric(title, metric.least, *unit, metric.most, metric.lower_is_better)
