"""What the report's figures share: colours that everyone can tell apart, and names that stay text.

Colours: Okabe & Ito 2008, "Color Universal Design", figure 16; those of them that can be seen on light and on dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure as Plotly JSON; colours of text, grid and heat maps come from a template that is laid under it.

    Attributes
    ----------
    data : list of dict
        Its traces.
    layout : dict
        With its ``height`` in pixels.
    drawn_by_script : bool
        Whether the page's script makes the traces itself, of what `Section.script` gives to it.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    drawn_by_script: bool = False

    def to_page(self) -> dict[str, Any]:
        """Return the figure for the page's script."""
        return {"data": [] if self.drawn_by_script else self.data, "layout": self.layout}


BLUE, ORANGE, GREEN, VERMILION = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, GREY = "#cc79a7", "#56b4e9", "#8c8c8c"

CLASS_LOOKS = (
    (BLUE, "circle"),
    (ORANGE, "square"),
    (GREEN, "diamond"),
    (PURPLE, "triangle-up"),
    (VERMILION, "cross"),
    (SKY, "triangle-down"),
    ("#9a8500", "star"),  # the palette's yellow is lost on white: the same hue, darker
    ("#7a5195", "x"),  # the palette's black is lost on dark
)
"""Colour and shape of up to eight classes that are compared."""

ON_DARK = {"#0072b2": "#4ba3dd", "#009e73": "#27b98f", "#d55e00": "#f0813a", "#7a5195": "#b18bd0", "#9a8500": "#c9b43a"}
"""The same colours a step lighter, for dark paper."""

HEAT_ON_LIGHT = ("#c2eddb", "#93d6ca", "#5fbebf", "#34a3b5", "#0087aa", "#006a9c", "#0d4d88", "#1c316b", "#1b1a49")
HEAT_ON_DARK = ("#333962", "#345082", "#2b699d", "#2183b0", "#149fbf", "#38b9c7", "#64d1cd", "#98e5d4", "#cdf6e3")
"""Heat maps: lightness changes evenly (in OKLCH), so they read without colour; few is close to the paper's
colour, many far from it."""

NAMES: dict[str, Any] = {"type": "category", "automargin": True, "fixedrange": True}
"""An axis of names."""

ROW = 34
"""Pixels between two names."""

DRAWN_AS_VECTORS = 3000
"""Points in a figure; more of them are drawn by the graphics card."""

_LONGEST = 28  # characters of a name on an axis


def plain_text(name: object) -> str:
    """Return text that Plotly shows as it is: it reads a subset of HTML, and entities, in every label.

    A name's bytes that are not UTF-8 are written as escapes.
    """
    text = " ".join(str(name).split()).encode(errors="backslashreplace").decode()
    return escape(text, quote=False) or "(no name)"


def short_names(names: Sequence[str]) -> list[str]:
    """Return names that fit an axis, as `plain_text`; they stay different from one another."""
    found: dict[str, None] = {}
    for name in names:
        flat = " ".join(name.split())
        short = flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 11]}…{flat[-10:]}"
        text, number = plain_text(short), 2
        while text in found:
            text, number = f"{plain_text(short)} ({number})", number + 1
        found[text] = None
    return list(found)


def between(means: Sequence[float], intervals: Sequence[Sequence[float | None]], color: str) -> dict[str, Any]:
    """Return pale error bars from ``low`` to ``high``; an unknown end is not drawn."""
    ends = [
        (mean if low is None else low, mean if high is None else high)
        for mean, (low, high) in zip(means, intervals, strict=True)
    ]
    return {
        "type": "data",
        "symmetric": False,
        "array": [round(high - mean, 6) for mean, (_, high) in zip(means, ends, strict=True)],
        "arrayminus": [round(mean - low, 6) for mean, (low, _) in zip(means, ends, strict=True)],
        "thickness": 7,
        "width": 0,
        "color": translucent(color, 1 / 3),
    }


def translucent(color: str, share: float) -> str:
    """Return a color ``#rrggbb`` of this opacity, in the only form that every version of plotly takes."""
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return f"rgba({red},{green},{blue},{share:.2f})"


def padded(values: Sequence[float], share: float) -> list[float]:
    """Return an axis range with room at both ends, as a share of the values' own range."""
    pad = share * (max(values) - min(values)) or 0.05 * abs(values[0]) or 1
    return [min(values) - pad, max(values) + pad]


def draw_dots(
    names: Sequence[str],
    values: Mapping[str, Sequence[float | None]],
    looks: Mapping[str, tuple[str, str]],
    title: str = "score",
) -> Figure:
    """Return a dot plot of scores of 1 at most: a line for each name, the first on top, and a mark for each score.

    It begins at 0, or where there are scores below at the lowest, though no further down than -1.

    Parameters
    ----------
    names : sequence of str
        Of the lines.
    values : mapping of str to sequence of (float or None)
        Name of a score to its value in each line; None where it cannot be told.
    looks : mapping of str to (str, str)
        Name of a score to the colour and the symbol of its marks.
    title : str
        Of the axis.
    """
    traces = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": metric,
            "x": list(values[metric]),
            "y": list(names),
            "marker": {"color": color, "symbol": symbol, "size": 10},
        }
        for metric, (color, symbol) in looks.items()
    ]
    lowest = min((value for each in values.values() for value in each if value is not None), default=0.0)
    start = max(-1.0, lowest - 0.02) if lowest < 0 else 0
    layout = {
        "height": 96 + 24 * len(names),
        "xaxis": {"title": {"text": title}, "range": [start, 1.02]},
        "yaxis": {"autorange": "reversed", "dtick": 1, **NAMES},
    }
    return Figure(traces, layout)
