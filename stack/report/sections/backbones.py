"""What each backbone adds and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.used_features import UsedFeatures
from stackbone.stack.judging.model_test import MODEL_ROW
from stackbone.stack.learners.member import Member
from stackbone.stack.metrics.compare import ErrorOverlap
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.report.blocks import Page, figure, join_all, number
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.backbone_figures import Cost, draw_ablation, draw_cost, draw_overlap, draw_weights
from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section
from stackbone.stack.tables.losses import BackboneLoss, losses
from stackbone.stack.tables.metric_names import PrimaryMetric, primary_metric

_ABLATED = "stack:oof"  # the recipe that is scored without each backbone, and whose weights are known


@dataclass(frozen=True, eq=False)
class BackbonesRecord:
    """What the section shows.

    Attributes
    ----------
    metric : PrimaryMetric
        What models are ranked by.
    ablation : list of BackboneLoss
        What the stack loses without each backbone; empty where it has only one.
    overlap : ErrorOverlap, optional
        Of the backbones' errors; None for a single backbone, or where labels are not classes.
    costs : list of Cost
        Of each backbone.
    shares : dict of str to float
        Share of the meta-learner's weight that is on each backbone, 0 to 1; empty where it has no weights.
    """

    metric: PrimaryMetric
    ablation: list[BackboneLoss]
    overlap: ErrorOverlap | None
    costs: list[Cost]
    shares: dict[str, float]


class Backbones(Section[BackbonesRecord]):
    """Shows what each backbone adds and costs."""

    name = "backbones"
    title = "Backbones"
    order = 50
    plots = (("overlap", "overlap"), ("ablation", "ablation"), ("cost", "cost"), ("weights", "weights"))

    def collect(self, context: Context) -> BackbonesRecord | None:
        """Return what each backbone adds and costs; None where there is nothing to compare."""
        experiment, found = context.experiment, context.class_findings
        overlap = found.overlap if found and len(found.overlap.names) > 1 else None
        is_examined = experiment.model_name in (_ABLATED, MODEL_ROW)  # a page speaks of one model
        record = BackbonesRecord(
            primary_metric(experiment),
            losses(experiment) if is_examined else [],
            overlap,
            [
                _cost(experiment, member, context.features, alone)
                for member in experiment.members
                if (alone := _alone(experiment, member)) is not None
            ],
            dict(experiment.evaluation.shares) if is_examined else {},
        )
        return record if self.figures(record) else None

    def figures(self, record: BackbonesRecord) -> dict[str, Figure]:
        """Draw what there is to compare."""
        drawn = {
            "overlap": draw_overlap(record.overlap) if record.overlap else None,
            "ablation": draw_ablation(record.ablation, record.metric) if record.ablation else None,
            "cost": draw_cost(record.costs, record.metric.name) if len(record.costs) > 1 else None,
            "weights": draw_weights(record.shares) if record.shares else None,
        }
        return {name: each for name, each in drawn.items() if each is not None}

    def html(self, record: BackbonesRecord, page: Page) -> Markup:
        """Return the figures, two side by side."""
        figures = join_all(
            figure(
                page,
                "ablation",
                says="Dot plot of what the stack loses without each backbone, with intervals.",
                title="What each backbone adds",
                note="Right of zero: the stack is worse without it. An interval that crosses zero may be chance.",
                numbers=_ablation(record),
            ),
            figure(
                page,
                "overlap",
                says="Heat map of the share of errors that two backbones have in common.",
                title="Shared errors",
                note="Among the images that either gets wrong, the share that both get wrong. "
                "A stack can correct errors that are not shared." + _oracle(record.overlap),
                numbers=_overlap(record.overlap) if record.overlap else None,
            ),
            figure(
                page,
                "cost",
                says=f"Dot plot of the {record.metric.name} of each backbone alone, with intervals, and their sizes.",
                title="What each backbone scores and costs",
                note="Pale: 95% interval. MB: its features of these images. The speeds in the table are those "
                "of the runs that embedded them, whatever else the machine did meanwhile.",
                numbers=_costs(record),
            ),
            figure(
                page,
                "weights",
                says="Bars of the share that each backbone has in the meta-learner's weights.",
                title="Weights of the meta-learner",
                numbers=_weights(record),
            ),
        )
        return element("div", figures, class_="pair-of-figures")


SECTION = Backbones()


def _alone(experiment: Experiment, member: Member) -> ModelScore | None:
    """Return what a backbone scores alone, by the task's own learner; None in a saved model that has no such."""
    row = f"{experiment.kind.base}:{member.name}"
    return next((each for each in experiment.evaluation.results if each.model == row), None)


def _cost(experiment: Experiment, member: Member, features: Sequence[UsedFeatures], alone: ModelScore) -> Cost:
    """Return what a backbone costs; one that is read at several places has the features of all, by the slowest run."""
    sets = [used.of_fold(0) for used in features if used.name in member.blocks]
    headers, rates = [each.header() for each in sets], [each.provenance().images_per_s for each in sets]
    size = sum(experiment.n_images * each.dim * np.dtype(each.dtype).itemsize for each in headers) / 1e6
    known = [each for each in rates if each is not None]
    rate = min(known) if len(known) == len(rates) else None
    dim = sum(each.dim for each in headers)
    return Cost(member.name, dim, size, rate, alone.mean, experiment.interval(alone.model))


def _ablation(record: BackbonesRecord) -> Markup:
    metric = record.metric
    digits = metric.digits + 1
    lost = [
        [each.without, number(each.mean, digits), number(each.low, digits), number(each.high, digits)]
        for each in record.ablation
    ]
    header = ["without", f"{metric.name} {metric.lost}{metric.in_points}", "low", "high"]
    return table(header, lost, caption="Loss without each backbone")


def _overlap(overlap: ErrorOverlap) -> Markup:
    rows = [[name, *map(number, row)] for name, row in zip(overlap.names, overlap.jaccard.tolist(), strict=True)]
    return table(["", *overlap.names], rows, caption="Shared errors")


def _oracle(overlap: ErrorOverlap | None) -> str:
    return "" if overlap is None else f" At least one backbone is right on {overlap.oracle:.1%} of the images."


def _costs(record: BackbonesRecord) -> Markup:
    rows = [
        [
            each.backbone,
            f"{each.dim:,}",
            number(each.megabytes, 1),
            number(each.images_per_s, 1),
            number(each.score),
        ]
        for each in record.costs
    ]
    header = ["backbone", "dimensions", "MB", "images/s", record.metric.name]
    return table(header, rows, caption="Cost and score of each backbone")


def _weights(record: BackbonesRecord) -> Markup:
    rows = [[name, f"{share:.1%}"] for name, share in record.shares.items()]
    return table(["backbone", "share"], rows, caption="Shares of the meta-learner's weights")
