"""Figures of backbones: what each adds, which errors they share, what they cost, what weight they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stackbone.stack.metrics.compare import ErrorOverlap
from stackbone.stack.metrics.model_scores import PartScore
from stackbone.stack.report.figures.cells import cell_numbers
from stackbone.stack.report.figures.style import (
    BLUE,
    CLASS_LOOKS,
    NAMES,
    ROW,
    Figure,
    between,
    padded,
    plain_text,
    short_names,
)
from stackbone.stack.tables.losses import BackboneLoss
from stackbone.stack.tables.metric_names import PrimaryMetric


@dataclass(frozen=True)
class Cost:
    """What a backbone costs, and what it scores alone.

    Attributes
    ----------
    backbone : str
        Its name.
    dim : int
        Features of each image.
    megabytes : float
        Size of the features of the images that take part, as they lie on disk, in 10⁶ bytes.
    images_per_s : float, optional
        Speed of the run that embedded them, the median of several; None where none is recorded.
    score : float
        Primary metric of its logistic regression, or of its ridge regression.
    interval : tuple of float, optional
        95% interval of that; None where there is no spread to judge it by.
    """

    backbone: str
    dim: int
    megabytes: float
    images_per_s: float | None
    score: float
    interval: tuple[float, float] | None = None


def draw_overlap(overlap: ErrorOverlap) -> Figure:
    """Draw the share of their errors that each two backbones have in common."""
    names = short_names(overlap.names)
    shares = [
        [None if i == j else value for j, value in enumerate(row)] for i, row in enumerate(overlap.jaccard.tolist())
    ]
    heat = {
        "type": "heatmap",
        "x": names,
        "y": names,
        "z": shares,
        "zmin": 0,
        "zmax": 1,
        "autocolorscale": True,
        "hovertemplate": "%{x} and %{y}: %{z:.1%} of the errors are shared<extra></extra>",
        "hoverongaps": False,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    texts = [["" if value is None else f"{value:.0%}" for value in row] for row in shares]
    layout = {
        "height": 360,
        "xaxis": {**NAMES, "showgrid": False},
        "yaxis": {**NAMES, "showgrid": False, "autorange": "reversed"},
    }
    return Figure([heat, cell_numbers(names, texts, shares)], layout)


def draw_ablation(ablation: Sequence[BackboneLoss], metric: PrimaryMetric) -> Figure:
    """Draw what the stack loses without each backbone, with its interval."""
    ranked = sorted(ablation, key=lambda each: each.mean)
    lost = [each.mean for each in ranked]
    dots = {
        "type": "scatter",
        "mode": "markers",
        "x": lost,
        "y": short_names([each.without for each in ranked]),
        "error_x": between(lost, [(each.low, each.high) for each in ranked], BLUE),
        "marker": {"size": 12, "color": BLUE},
        "hovertemplate": "without %{y}: %{x:.3f} " + f"{metric.lost}<extra></extra>",
    }
    layout = {
        "height": max(360, 120 + ROW * len(ranked)),
        "xaxis": {"title": {"text": f"{metric.name} {metric.lost} without it{metric.in_points}"}, "zeroline": True},
        "yaxis": NAMES,
    }
    return Figure([dots], layout)


def draw_cost(costs: Sequence[Cost], metric: str) -> Figure:
    """Draw each backbone's score with its interval, and beside it the size of its features.

    Recorded speeds are in the table alone: what else the machine did meanwhile, nobody knows.
    """
    ranked = sorted(costs, key=lambda each: each.score)
    names, scores = short_names([each.backbone for each in ranked]), [each.score for each in ranked]
    ends = [each.interval or (each.score, each.score) for each in ranked]
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": scores,
        "y": names,
        "error_x": between(scores, ends, BLUE),
        "marker": {"size": 13, "color": BLUE},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    layout = {
        "height": max(360, 120 + ROW * len(ranked)),
        "xaxis": {"title": {"text": metric}, "range": padded([*scores, *(end for each in ends for end in each)], 0.08)},
        "yaxis": {"categoryorder": "array", "categoryarray": names, **NAMES},
        "margin": {"r": 72},
        "annotations": [
            {
                "x": 1,
                "xref": "paper",
                "xanchor": "left",
                "xshift": 10,
                "y": name,
                "text": f"{each.megabytes:,.3g} MB",
                "showarrow": False,
            }
            for name, each in zip(names, ranked, strict=True)
        ],
    }
    return Figure([points], layout)


def draw_weights(shares: Mapping[str, float]) -> Figure:
    """Draw how the meta-learner shares its weight among the backbones."""
    ranked = sorted(shares.items(), key=lambda each: each[1])
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [share for _, share in ranked],
        "y": short_names([name for name, _ in ranked]),
        "text": [f"{share:.0%}" for _, share in ranked],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": BLUE},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    layout = {
        "height": max(360, 120 + ROW * len(ranked)),
        "bargap": 0.35,
        "xaxis": {
            "title": {"text": "share of the meta-learner's weight"},
            "tickformat": ".0%",
            "range": [0, 1.12 * ranked[-1][1] or 1],
        },
        "yaxis": NAMES,
    }
    return Figure([bars], layout)


def draw_parts(parts: Mapping[str, Sequence[PartScore]], loss: str) -> Figure:
    """Draw what each backbone loses without each part of its columns, from the lowest fold to the highest."""
    names = list(dict.fromkeys(part.name for each in parts.values() for part in each))
    shown = dict(zip(names, short_names(names), strict=True))
    dots = []
    for number, (name, each) in enumerate(parts.items()):
        color, symbol = CLASS_LOOKS[number % len(CLASS_LOOKS)]
        means = [sum(part.losses) / len(part.losses) for part in each]
        dots.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain_text(name),
                "x": means,
                "y": [shown[part.name] for part in each],
                "error_x": between(means, [(min(part.losses), max(part.losses)) for part in each], color),
                "marker": {"size": 11, "color": color, "symbol": symbol},
                "hovertemplate": f"{plain_text(name)} without %{{y}}: %{{x:.4f}}<extra></extra>",
            }
        )
    layout = {
        "height": max(360, 140 + ROW * len(names)),
        "xaxis": {"title": {"text": f"{plain_text(loss)} added without it"}, "zeroline": True},
        "yaxis": {**NAMES, "autorange": "reversed", "categoryarray": list(shown.values())},
        "showlegend": len(parts) > 1,
        "legend": {"orientation": "h", "y": 1.1},
    }
    return Figure(dots, layout)
