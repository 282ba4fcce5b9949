"""Figures as files for papers and slides: SVG and PNG, on white, drawn by the same plotly.js as the page."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from stackbone.cache import CacheError, StackError, UsageError
from stackbone.cache.disk.output_file import check_output, write_output
from stackbone.stack.report.figures.style import HEAT_ON_LIGHT, Figure

FORMATS = ("svg", "png")

_WIDTH = 900  # pixels
_NARROW = {"confusion": 960, "overlap": 560, "calibration": 560, "fit": 640, "residuals": 640}
_PNG_SCALE = 2
_AXIS = {
    "gridcolor": "#e0e0e0",
    "zerolinecolor": "#5e5e5e",
    "zeroline": False,
    "ticks": "",
    "ticklabelstandoff": 4,
    "automargin": True,
    "title": {"standoff": 12},
}
TEMPLATE: dict[str, Any] = {
    "layout": {
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {
            "family": "Helvetica Neue, Helvetica, Arial, Liberation Sans, sans-serif",
            "size": 14,
            "color": "#1d1d1d",
        },
        "colorscale": {"sequential": [[i / (len(HEAT_ON_LIGHT) - 1), color] for i, color in enumerate(HEAT_ON_LIGHT)]},
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "margin": {"l": 16, "r": 24, "t": 24, "b": 16},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
    }
}
"""Does for exported figures what its style sheet does for the page."""

_ADVICE = (
    "figures are drawn by Chrome or Chromium through kaleido. Install a browser (Debian and Ubuntu: `apt install "
    "chromium`; anywhere: `plotly_get_chrome`), or leave --figures out; the report itself needs neither"
)


def export_figures(figures: Mapping[str, Figure], folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write every figure of a report to a file of its own, ``NAME.svg`` and ``NAME.png`` (twice the pixels).

    Parameters
    ----------
    figures : mapping of str to Figure
        By name, as of `Report.figures`.
    folder : Path
        Made if it is not there; files of the same names are replaced.
    formats : sequence of str
        Of `FORMATS`.

    Returns
    -------
    list of Path
        The files, figure after figure.

    Raises
    ------
    UsageError
        If a format is unknown, or kaleido or a browser is not installed.
    CacheError
        If the folder cannot be made or written to.
    StackError
        If the browser could not draw a figure.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        message = f"figures cannot be written as {', '.join(unknown)}: choose from {', '.join(FORMATS)}"
        raise UsageError(message)
    files = [(name, folder / f"{name}.{kind}") for name, kind in product(figures, formats)]
    for _, file in files:
        check_output(file)
    with tempfile.TemporaryDirectory() as place:  # the browser writes where it is told, over links and piece by piece
        drafts = [Path(place, file.name) for _, file in files]
        _draw([_job(name, figures[name], draft) for (name, _), draft in zip(files, drafts, strict=True)], folder)
        if empty := [draft.name for draft in drafts if not draft.is_file() or not draft.stat().st_size]:
            message = (
                f"the browser drew nothing into {', '.join(empty)}: is {tempfile.gettempdir()} full? Free some space "
                "and run again"
            )
            raise StackError(message)
        for (_, file), draft in zip(files, drafts, strict=True):
            write_output(file, draft.read_bytes())
    return [file for _, file in files]


def to_plotly(figure: Figure) -> dict[str, Any]:
    """Return a figure as Plotly takes it, with the look of an exported one."""
    return {"data": figure.data, "layout": {**figure.layout, "template": TEMPLATE}}


def _job(name: str, figure: Figure, file: Path) -> dict[str, Any]:
    size = {
        "width": _NARROW.get(name, _WIDTH),
        "height": figure.layout["height"],
        "scale": _PNG_SCALE if file.suffix == ".png" else 1,
    }
    return {"fig": to_plotly(figure), "path": file, "opts": {"format": file.suffix[1:], **size}}


def _draw(jobs: list[dict[str, Any]], folder: Path) -> None:
    try:
        import kaleido
        from kaleido.errors import ChromeNotFoundError
    except ImportError as exc:
        message = "kaleido, which writes figures, is not installed: run `pip install 'stackbone[figures]'`"
        raise UsageError(message) from exc
    try:
        # MathJax would be asked for on the network.
        kaleido.write_fig_from_object_sync(jobs, kopts={"mathjax": False}, cancel_on_error=True)
    except ChromeNotFoundError as exc:
        message = f"no browser was found; {_ADVICE}"
        raise UsageError(message) from exc
    except OSError as exc:
        message = f"could not write figures to {folder}: {exc.strerror or exc}. Free some space or name another folder"
        raise CacheError(message) from exc
    except Exception as exc:
        message = f"the browser could not draw the figures for {folder} ({type(exc).__name__}: {exc}); {_ADVICE}"
        raise StackError(message) from exc
