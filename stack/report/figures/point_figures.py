"""Figures of single images: the embedding maps, and predicted against true numbers.

Their points say nothing on hover by themselves: the page shows the image instead, by its number in ``customdata``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from stackbone.stack.report.figures.style import BLUE, CLASS_LOOKS, GREY, VERMILION, Figure, plain_text

_DRAWN_AS_VECTORS = 3000  # points; more of them are drawn by the graphics card


def draw_maps(data: Mapping[str, Any]) -> dict[str, Figure]:
    """Draw the projections, with the classes of `highlighted_classes` in colour and all others in grey.

    Returns
    -------
    dict of str to dict
        Figures by ``map_METHOD_BACKBONE``; what does not belong in a file's name is a hyphen there.
    """
    chosen = highlighted_classes(data)
    names = [plain_text(each["name"]) for each in data["classes"]]
    drawn: dict[str, Figure] = {}
    for each in data.get("maps") or ():
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", each["backbone"])
        name = f"map_{each['method'].lower()}_{safe}"
        while name in drawn:
            name += "-2"
        drawn[name] = _draw_map(each, names, chosen)
    return drawn


def highlighted_classes(data: Mapping[str, Any]) -> list[int]:
    """Return which classes a map colours at first: all if they are few, else those that are most often confused."""
    n_classes = len(data["classes"])
    if n_classes <= len(CLASS_LOOKS):
        return list(range(n_classes))
    found: dict[int, None] = {}
    for pair in data.get("confused_pairs") or ():
        found |= dict.fromkeys((pair["true"], pair["predicted"]))
    return sorted([*found, *(i for i in range(n_classes) if i not in found)][: len(CLASS_LOOKS)])


def _draw_map(points: Mapping[str, Any], names: Sequence[str], chosen: Sequence[int]) -> Figure:
    titles = [f"{points['method']} {axis}" for axis in (1, 2)]
    if points["explained"]:
        titles = [f"{title} ({share:.0%})" for title, share in zip(titles, points["explained"], strict=True)]
    return {
        "data": _by_value(points) if points["value"] else _by_class(points, names, chosen),
        "layout": {
            "height": 640,
            "hovermode": "closest",
            "dragmode": "zoom",
            "legend": {"itemsizing": "constant"},
            "xaxis": {"title": {"text": titles[0]}, "showticklabels": False, "zeroline": False},
            "yaxis": {"title": {"text": titles[1]}, "showticklabels": False, "zeroline": False},
        },
    }


def _by_value(points: Mapping[str, Any]) -> list[dict[str, Any]]:
    fast = len(points["x"]) > _DRAWN_AS_VECTORS
    return [
        {
            "type": "scattergl" if fast else "scatter",
            "mode": "markers",
            "x": points["x"],
            "y": points["y"],
            "customdata": list(range(len(points["x"]))),
            "marker": {
                "size": 6 if len(points["x"]) <= 20_000 else 4,
                "color": points["value"],
                "autocolorscale": True,
                "colorbar": {"title": {"text": "label"}, "thickness": 10, "outlinewidth": 0},
                "opacity": 0.75,
            },
            "hoverinfo": "none",
        }
    ]


def _by_class(points: Mapping[str, Any], names: Sequence[str], chosen: Sequence[int]) -> list[dict[str, Any]]:
    fast = len(points["x"]) > _DRAWN_AS_VECTORS
    color_of = {code: i for i, code in enumerate(chosen)}
    groups: list[list[int]] = [[] for _ in range(len(chosen) + 1)]
    for row, code in enumerate(points["class"]):
        groups[color_of.get(code, -1)].append(row)
    looks = [(names[code], *CLASS_LOOKS[i], 0.75) for i, code in enumerate(chosen)] + [("others", GREY, "circle", 0.25)]
    traces = [
        {
            "type": "scattergl" if fast else "scatter",
            "mode": "markers",
            "name": name,
            "x": [points["x"][row] for row in rows],
            "y": [points["y"][row] for row in rows],
            "customdata": rows,
            "marker": {
                "size": 6 if len(points["x"]) <= 20_000 else 4,
                "color": color,
                "symbol": symbol,
                "opacity": opacity,
            },
            "hoverinfo": "none",
        }
        for (name, color, symbol, opacity), rows in zip(looks, groups, strict=True)
        if rows
    ]
    return traces[::-1]  # what is drawn last lies on top


def draw_fit(regression: Mapping[str, Any]) -> Figure:
    """Draw predicted against true numbers."""
    true, predicted = regression["true"], regression["predicted"]
    ends = [min(*true, *predicted), max(*true, *predicted)]
    return _points(regression, true, predicted, ("true value", "predicted value"), (ends, ends))


def draw_residuals(regression: Mapping[str, Any]) -> Figure:
    """Draw how far off predictions are, against the predictions."""
    true, predicted = regression["true"], regression["predicted"]
    off = [round(p - t, 6) for t, p in zip(true, predicted, strict=True)]
    line = ([min(predicted), max(predicted)], [0, 0])
    return _points(regression, predicted, off, ("predicted value", "predicted less true"), line)


def _points(
    regression: Mapping[str, Any],
    x: Sequence[float],
    y: Sequence[float],
    titles: tuple[str, str],
    line: tuple[Sequence[float], Sequence[float]],
) -> Figure:
    fast = len(x) > _DRAWN_AS_VECTORS
    kind = "scattergl" if fast else "scatter"
    return {
        "data": [
            {
                "type": kind,
                "mode": "markers",
                "x": x,
                "y": y,
                "customdata": regression["image"],
                "marker": {"size": 5 if fast else 7, "color": BLUE, "opacity": 0.35 if fast else 0.6},
                "hoverinfo": "none",
            },
            {
                "type": "scatter",
                "mode": "lines",
                "x": line[0],
                "y": line[1],
                "line": {"dash": "dot", "color": VERMILION, "width": 1.5},
                "hoverinfo": "skip",
            },
        ],
        "layout": {
            "height": 480,
            "showlegend": False,
            "hovermode": "closest",
            "xaxis": {"title": {"text": titles[0]}},
            "yaxis": {"title": {"text": titles[1]}},
        },
    }
