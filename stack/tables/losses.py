"""What the stack loses without each of its backbones."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.tables.metric_names import primary_metric


@dataclass(frozen=True)
class BackboneLoss:
    """What ``stack:oof`` loses without one backbone; below 0 where it does better without it.

    Attributes
    ----------
    without : str
        The backbone.
    mean : float
        Mean over folds, in the unit of `PrimaryMetric`.
    low, high : float, optional
        Ends of its confidence interval; None where there is none.
    """

    without: str
    mean: float
    low: float | None
    high: float | None


def losses(experiment: Experiment) -> list[BackboneLoss]:
    """Return what the stack loses without each backbone; empty where no such stacks were scored."""
    unit = primary_metric(experiment).unit

    def scaled(value: float | None) -> float | None:
        return None if value is None else unit * value

    return [
        BackboneLoss(name, unit * lost.mean, scaled(lost.low), scaled(lost.high))
        if isinstance(lost, Difference)
        else BackboneLoss(name, unit * lost, None, None)
        for name, lost in experiment.findings.ablation.items()
    ]
