"""Figures of classes and probabilities: what is taken for what, and how sure the model is of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from stackbone.stack.report.figures.style import BLUE, GREEN, GREY, NAMES, VERMILION, Figure, between, short_names

_CELLS_WITH_NUMBERS = 16  # more classes than these, and the numbers no longer fit their cells
_CELLS_WITH_GAPS = 60
_HATCH = {"fillmode": "overlay", "fgcolor": "#ffffffaa", "size": 6}
_MOST_CLASSES = 60  # in the figure of single classes: the weakest; the page's table has all


def draw_confusion(confusion: Mapping[str, Any], classes: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw rows as shares of the true class; the root of the share is coloured, so that rare confusions show too."""
    names = short_names([each["name"] for each in classes])
    counts, order = confusion["counts"], confusion["order"]
    roots, numbers, hover = [], [], []
    for i in order:
        total = sum(counts[i]) or 1
        row = [counts[i][j] for j in order]
        roots.append([round(math.sqrt(n / total), 4) if n else None for n in row])
        numbers.append([str(n) if n else "" for n in row])
        hover.append([f"{n} of {total} ({n / total:.1%})" if n else "" for n in row])
    alphabetical = sorted(range(len(order)), key=lambda position: classes[order[position]]["name"])
    ordered = [names[i] for i in order]
    ticks = [0.01, 0.2, 0.5, 1]
    axis = {"type": "category", "automargin": True, "showgrid": False}
    heat = {
        "type": "heatmap",
        "z": roots,
        "x": ordered,
        "y": ordered,
        "zmin": 0,
        "zmax": 1,
        "autocolorscale": True,
        "hovertext": hover,
        "hovertemplate": "%{y} taken for %{x}<br>%{hovertext}<extra></extra>",
        "hoverongaps": False,
        "xgap": 1 if len(order) <= _CELLS_WITH_GAPS else 0,
        "ygap": 1 if len(order) <= _CELLS_WITH_GAPS else 0,
        "colorbar": {
            **_BAR,
            "title": {"text": "share of the true class", "side": "top", "font": {"size": 12}},
            "tickvals": [round(math.sqrt(share), 4) for share in ticks],
            "ticktext": [f"{share:.0%}" for share in ticks],
        },
    }
    if len(order) <= _CELLS_WITH_NUMBERS:
        heat |= {"text": numbers, "texttemplate": "%{text}"}
    return {
        "data": [heat],
        "layout": {
            "height": 860,
            "dragmode": "zoom",
            "xaxis": {**axis, "title": {"text": "predicted class"}, "tickangle": -45 if len(order) > 4 else 0},
            "yaxis": {**axis, "title": {"text": "true class"}, "autorange": "reversed"},
            "meta": {"alphabetical": alphabetical, "position": [order.index(i) for i in range(len(order))]},
        },
    }


_BAR = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "y": 1.01,
    "yanchor": "bottom",
    "len": 0.6,
    "tickangle": 0,
    "thickness": 10,
    "outlinewidth": 0,
}


def draw_per_class(rows: Sequence[Mapping[str, Any]], classes: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw precision, recall and F1 of each class that was tested, the weakest first."""
    shown = sorted((each for each in rows if each["n"]), key=lambda each: each["f1"])[:_MOST_CLASSES]
    names = short_names([classes[each["class"]]["name"] for each in shown])
    looks = {"precision": (BLUE, "circle-open"), "recall": (GREEN, "square-open"), "f1": (VERMILION, "diamond")}
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": "F1" if metric == "f1" else metric,
                "x": [each[metric] for each in shown],
                "y": names,
                "marker": {"color": color, "symbol": symbol, "size": 10},
            }
            for metric, (color, symbol) in looks.items()
        ],
        "layout": {
            "height": 96 + 24 * len(names),
            "xaxis": {"title": {"text": "score"}, "range": [0, 1.02]},
            "yaxis": {"autorange": "reversed", "dtick": 1, **NAMES},
        },
    }


def draw_calibration(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the share that is right against the probability (a reliability diagram); pale: the width of each bin."""
    filled = [each for each in bins if each["n"]]
    largest = max(each["n"] for each in filled)
    confidence = [each["confidence"] for each in filled]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "name": "perfectly calibrated",
                "x": [0, 1],
                "y": [0, 1],
                "line": {"dash": "dot", "color": GREY, "width": 1.5},
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "this model",
                "x": confidence,
                "y": [each["accuracy"] for each in filled],
                "error_x": between(confidence, [(each["low"], each["high"]) for each in filled], BLUE),
                "text": [f"{each['n']:,} predictions" for each in filled],
                "marker": {"size": 10, "color": BLUE, "opacity": [0.4 + 0.6 * each["n"] / largest for each in filled]},
                "line": {"color": BLUE, "width": 2},
                "hovertemplate": "sure %{x:.1%}, right %{y:.1%}<br>%{text}<extra></extra>",
            },
        ],
        "layout": {
            "height": 460,
            "xaxis": {"title": {"text": "probability of the predicted class"}, "range": [0, 1.02]},
            "yaxis": {"title": {"text": "share that is right"}, "range": [0, 1.02]},
        },
    }


def draw_scores(scores: Mapping[str, Any]) -> Figure:
    """Draw how the right predictions are spread over the probabilities, and how the wrong ones are."""
    edges = scores["edges"]
    looks = {"right": (BLUE, ""), "wrong": (VERMILION, "/")}
    return {
        "data": [
            {
                "type": "bar",
                "name": f"{sum(scores[name]):,} {name}",
                "x": [(low + high) / 2 for low, high in pairwise(edges)],
                "y": [n / max(sum(scores[name]), 1) for n in scores[name]],
                "text": [f"{n:,} {name}" for n in scores[name]],
                "textposition": "none",
                "marker": {"color": color, "pattern": {"shape": shape, **_HATCH}, "line": {"width": 0}},
                "hovertemplate": "%{text} (%{y:.1%})<extra></extra>",
            }
            for name, (color, shape) in looks.items()
        ],
        "layout": {
            "height": 460,
            "barmode": "group",
            "bargap": 0.15,
            "xaxis": {"title": {"text": "probability of the predicted class"}, "range": [edges[0], edges[-1]]},
            "yaxis": {"title": {"text": "share of the right, and of the wrong"}, "tickformat": ".0%"},
        },
    }
