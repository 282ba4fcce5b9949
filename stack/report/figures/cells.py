"""Numbers in the cells of a heat map, black or white by which of them is read on the cell's colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stackbone.stack.report.figures.style import HEAT_ON_DARK, HEAT_ON_LIGHT

BLACK, WHITE = "#000000", "#ffffff"


def cell_numbers(
    names: Sequence[str], texts: Sequence[Sequence[str]], values: Sequence[Sequence[float | None]]
) -> dict[str, Any]:
    """Return the texts of a square heat map as a trace of its own; the page takes its colours for dark paper itself.

    Parameters
    ----------
    names : sequence of str
        Of rows and columns.
    texts : sequence of sequence of str
        Row by row; empty where there is nothing to say.
    values : sequence of sequence of (float or None)
        0 to 1, by which the cells are coloured; None of those that are not.
    """
    cells = [
        (column, row, text, value)
        for row, line, of_line in zip(names, texts, values, strict=True)
        for column, text, value in zip(names, line, of_line, strict=True)
        if text and value is not None
    ]
    inks = {
        paper: [ink_on(color_at(value, heat)) for *_, value in cells]
        for paper, heat in (("light", HEAT_ON_LIGHT), ("dark", HEAT_ON_DARK))
    }
    return {
        "type": "scatter",
        "mode": "text",
        "x": [column for column, *_ in cells],
        "y": [row for _, row, *_ in cells],
        "text": [text for _, _, text, _ in cells],
        "textfont": {"color": inks["light"]},
        "hoverinfo": "skip",
        "showlegend": False,
        "meta": inks,
    }


def color_at(value: float, heat: Sequence[str]) -> tuple[float, float, float]:
    """Return red, green and blue, 0 to 255, of a value of 0 to 1 on a scale of colours, as Plotly interpolates them."""
    place = value * (len(heat) - 1)
    low = min(int(place), len(heat) - 2)
    start, end = ([int(each[i : i + 2], 16) for i in (1, 3, 5)] for each in heat[low : low + 2])
    red, green, blue = (a + (place - low) * (b - a) for a, b in zip(start, end, strict=True))
    return red, green, blue


def ink_on(color: tuple[float, float, float]) -> str:
    """Return black or white, whichever has the higher contrast with a colour: 4.5 or more (WCAG 2.2, 1.4.3)."""
    return BLACK if contrast(color, 0) > contrast(color, 1) else WHITE


def contrast(color: tuple[float, float, float], luminance: float) -> float:
    """Return the contrast of a colour with another of that relative luminance, 1 to 21 (WCAG 2.2)."""
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in (c / 255 for c in color)]
    own = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (max(own, luminance) + 0.05) / (min(own, luminance) + 0.05)
