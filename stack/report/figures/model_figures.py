"""Figures of models and backbones: which scores how high, what each adds, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stackbone.stack.report.figures.style import (
    BLUE,
    GREEN,
    NAMES,
    ORANGE,
    PURPLE,
    ROW,
    VERMILION,
    Figure,
    between,
    chief_name,
    padded,
    short_names,
)

_KINDS = {"backbone": (BLUE, "circle"), "baseline": (GREEN, "square"), "stack": (VERMILION, "diamond")}
_SERIES = ((BLUE, "circle"), (GREEN, "square"), (PURPLE, "cross"), (ORANGE, "triangle-up"))


def draw_models(models: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw every model's mean score, its folds, and its interval where there is one; the best on top."""
    ranked = sorted(models, key=lambda each: each["mean"])
    names = short_names([each["name"] for each in ranked])
    traces = []
    for kind, (color, symbol) in _KINDS.items():
        of_kind = [(name, each) for name, each in zip(names, ranked, strict=True) if each["kind"] == kind]
        if not of_kind:
            continue
        folds = [(fold, name) for name, each in of_kind for fold in each["folds"] if len(each["folds"]) > 1]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [fold for fold, _ in folds],
                "y": [name for _, name in folds],
                "marker": {"size": 8, "color": color, "symbol": f"{symbol}-open"},
                "hovertemplate": "one fold: %{x:.3f}<extra></extra>",
                "legendgroup": kind,
                "showlegend": False,
            }
        )
        low_high = [each["interval"] or [each["mean"]] * 2 for _, each in of_kind]
        means = [each["mean"] for _, each in of_kind]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": kind,
                "x": means,
                "y": [name for name, _ in of_kind],
                "error_x": between(means, low_high, color),
                "marker": {"size": 13, "color": color, "symbol": symbol},
                "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
                "legendgroup": kind,
            }
        )
    shown = [value for each in ranked for value in (each["mean"], *each["folds"], *(each["interval"] or ()))]
    pad = 0.05 * (max(shown) - min(shown)) or 0.01
    return {
        "data": traces,
        "layout": {
            "height": 96 + ROW * len(names),
            "xaxis": {"title": {"text": chief_name(models[0]["chief"])}, "range": [min(shown) - pad, max(shown) + pad]},
            "yaxis": {"categoryorder": "array", "categoryarray": names, **NAMES},
            "legend": {"traceorder": "reversed"},
            "margin": {"r": 56},
            "annotations": [
                {
                    "x": 1,
                    "xref": "paper",
                    "xanchor": "left",
                    "xshift": 10,
                    "y": name,
                    "text": f"<b>{each['mean']:.3f}</b>" if each["best"] else f"{each['mean']:.3f}",
                    "showarrow": False,
                }
                for name, each in zip(names, ranked, strict=True)
            ],
        },
    }


def draw_overlap(overlap: Mapping[str, Any]) -> Figure:
    """Draw which share of their errors each two backbones have in common (`stack.metrics.compare.ErrorOverlap`)."""
    names = short_names(overlap["models"])
    shares = [[None if i == j else value for j, value in enumerate(row)] for i, row in enumerate(overlap["matrix"])]
    return {
        "data": [
            {
                "type": "heatmap",
                "x": names,
                "y": names,
                "z": shares,
                "zmin": 0,
                "zmax": 1,
                "autocolorscale": True,
                "text": [["" if value is None else f"{value:.0%}" for value in row] for row in shares],
                "texttemplate": "%{text}",
                "hovertemplate": "%{x} and %{y}: %{z:.1%} of the errors are shared<extra></extra>",
                "hoverongaps": False,
                "showscale": False,
                "xgap": 2,
                "ygap": 2,
            }
        ],
        "layout": {
            "height": 360,
            "xaxis": {**NAMES, "showgrid": False},
            "yaxis": {**NAMES, "showgrid": False, "autorange": "reversed"},
        },
    }


def draw_ablation(ablation: Sequence[Mapping[str, Any]], chief: str) -> Figure:
    """Draw what the stack loses without each backbone, with its interval."""
    unit = 1 if chief == "R²" else 100
    ranked = sorted(ablation, key=lambda each: each["mean_difference"])
    lost = [unit * each["mean_difference"] for each in ranked]
    ends = [[None if each[end] is None else unit * each[end] for end in ("low", "high")] for each in ranked]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "x": lost,
                "y": short_names([each["without"] for each in ranked]),
                "error_x": between(lost, ends, BLUE),
                "marker": {"size": 12, "color": BLUE},
                "hovertemplate": "without %{y}: %{x:.3f} lost<extra></extra>",
            }
        ],
        "layout": {
            "height": max(360, 120 + ROW * len(ranked)),
            "xaxis": {
                "title": {"text": f"{chief} lost without it{', points' if unit == 100 else ''}"},
                "zeroline": True,
            },
            "yaxis": NAMES,
        },
    }


def draw_cost(cost: Sequence[Mapping[str, Any]], chief: str) -> Figure:
    """Draw score against speed, or against size where a speed is not known."""
    by_speed = all(each["images_per_s"] for each in cost)
    key, title = ("images_per_s", "images embedded a second") if by_speed else ("megabytes", "megabytes in the cache")
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers+text",
                "x": [each[key] for each in cost],
                "y": [each["accuracy"] for each in cost],
                "text": short_names([each["backbone"] for each in cost]),
                "textposition": "top center",
                "cliponaxis": False,
                "marker": {"size": 13, "color": BLUE},
                "hovertemplate": "%{text}: %{x:.4g}, %{y:.3f}<extra></extra>",
            }
        ],
        "layout": {
            "height": 360,
            "xaxis": {"title": {"text": title}, "range": padded([each[key] for each in cost], 0.3)},
            "yaxis": {"title": {"text": chief}, "range": padded([each["accuracy"] for each in cost], 0.25)},
        },
    }


def draw_weights(weights: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw how the meta-classifier shares its weight among the backbones."""
    ranked = sorted(weights, key=lambda each: each["share"])
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "x": [each["share"] for each in ranked],
                "y": short_names([each["backbone"] for each in ranked]),
                "text": [f"{each['share']:.0%}" for each in ranked],
                "textposition": "outside",
                "cliponaxis": False,
                "marker": {"color": BLUE},
                "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
            }
        ],
        "layout": {
            "height": max(360, 120 + ROW * len(ranked)),
            "bargap": 0.35,
            "xaxis": {
                "title": {"text": "share of the meta-classifier's weight"},
                "tickformat": ".0%",
                "range": [0, 1.12 * ranked[-1]["share"] or 1],
            },
            "yaxis": NAMES,
        },
    }


def draw_learning_curve(curves: Sequence[Mapping[str, Any]], chief: str) -> Figure:
    """Draw score against the number of training images."""
    names = short_names([each["model"] for each in curves])
    traces = []
    for i, (name, curve) in enumerate(zip(names, curves, strict=True)):
        is_stack = curve["model"].startswith("stack:")
        color, symbol = _KINDS["stack"] if is_stack else _SERIES[i % len(_SERIES)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": curve["n"],
                "y": curve["mean"],
                "error_y": {"type": "data", "array": curve["std"], "thickness": 1.5, "width": 4},
                "marker": {"size": 10, "symbol": symbol, "color": color},
                "line": {"color": color, "width": 2},
                "hovertemplate": "%{x:,} images: %{y:.3f}<extra></extra>",
            }
        )
    sizes = sorted({n for curve in curves for n in curve["n"]})
    return {
        "data": traces,
        "layout": {
            "height": 420,
            "xaxis": {
                "title": {"text": "training images"},
                "type": "log",
                "tickvals": sizes,
                "ticktext": [f"{n:,}" for n in sizes],
            },
            "yaxis": {"title": {"text": f"{chief} (mean ± std of the folds)"}},
        },
    }
