"""A report as one HTML file that opens by a double click, without a network, and holds nothing but data and our script.

Text and tables are HTML already; figures are Plotly JSON, drawn by plotly.js, which is in the file too (compressed, or
it would be most of it). The content security policy lets run only the two scripts whose hashes it names, and forbids
every request. (``unsafe-eval`` is for plotly.js, which compiles the drawing of many points on the graphics card; no
data is in that code.)
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from stackbone.cache import FeatureStore
from stackbone.cache.disk.output_file import write_output
from stackbone.cache.progress import Progress
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.report.blocks import Page
from stackbone.stack.report.catalogue.catalogue import Catalogue, listed_images
from stackbone.stack.report.context import ReportOptions
from stackbone.stack.report.figures.style import CLASS_LOOKS, GREY, HEAT_ON_DARK, HEAT_ON_LIGHT, ON_DARK
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.pictures import DrawAttention, DrawThumbnails, Pictures, data_uri
from stackbone.stack.report.report import PageContent, Report, collect_report, draw_pictures
from stackbone.stack.report.section import Shown

_DRAWN = "Figures drawn by plotly.js (MIT license); both are in this file, and nothing is loaded."
_PARTS = ("start", "figures", "viewer", "gallery", "confusion", "tables", "map", "navigation")
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_SURROGATE = re.compile("[\ud800-\udfff]")


def write_report(
    experiment: Experiment,
    store: FeatureStore,
    path: str | os.PathLike[str],
    *,
    options: ReportOptions | None = None,
    thumbnails: DrawThumbnails | None = None,
    attention: DrawAttention | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write all there is to see of an experiment as one HTML file that needs nothing beside itself.

    Parameters
    ----------
    experiment : Experiment
        As of `run_experiment`.
    store : FeatureStore
        The cache it was made with.
    path : str or path
        The file, written whole or not at all.
    options : ReportOptions, optional
        What to show.
    thumbnails : callable, optional
        Draws the images, such as `extract.images.thumbnails.thumbnails`; without it, they are shown by path.
    attention : callable, optional
        Draws where steered backbones look; without it, the page does not show it.
    progress : callable, optional
        See `cache.progress.Progress`.

    Returns
    -------
    Report
        What the page shows, for `export_figures`, say.

    Raises
    ------
    CacheError
        If the file cannot be written; also as of `collect_report`.
    StackError, PluginError
        As of `collect_report`.
    """
    report = collect_report(experiment, store, options, progress=progress)
    write_page(report, path, draw_pictures(report, thumbnails, attention))
    return report


def write_page(report: PageContent, path: str | os.PathLike[str], pictures: Pictures | None = None) -> None:
    """Write a report that was collected already.

    Parameters
    ----------
    report : PageContent
        As of `collect_report`.
    path : str or path
        The file, written whole or not at all.
    pictures : Pictures, optional
        What it carries with it; by default none.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    content = render_page(report, pictures or Pictures())
    write_output(Path(path), content.encode("utf-8", "backslashreplace"))


def render_page(report: PageContent, pictures: Pictures) -> str:
    """Return the report's HTML."""
    catalogue = report.catalogue or listed_images(report.images)
    page = Page(report.figures(), report.images, pictures, catalogue.classes)
    written = [(part.section, part.section.html(part.record, page)) for part in report.parts]
    sections = [(section, content) for section, content in written if content]
    script, plotly = _script(), _plotly() if page.figures else ""
    runs = f"{_hash(plotly)} {_hash(script)} 'unsafe-eval'" if plotly else _hash(script)
    policy = (
        f"default-src 'none'; script-src {runs}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return Template(_own("page.html")).substitute(
        policy=policy,
        title=element("title", report.head.title),
        style=_own("page.css"),
        links=element("ul", [element("li", element("a", each.title, href=f"#{each.name}")) for each, _ in sections]),
        hero=report.head.html(),
        sections="\n".join(_section(*each) for each in sections),
        made=f"Made by Stackbone. {_DRAWN if plotly else 'All of it is in this file, and nothing is loaded.'}",
        data=to_script_json(_payload(report, page, catalogue)),
        plotly=_packed(plotly) if plotly else "",
        script=script,
    )


def to_script_json(value: object) -> str:
    r"""Return JSON that cannot end the script element it stands in: ``<``, ``>``, ``&`` are written as ``\u003c``...

    A name's bytes that are not UTF-8 are written as escapes.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return _SURROGATE.sub(lambda found: rf"\\u{ord(found[0]):04x}", text.translate(_ESCAPES))


def _payload(report: PageContent, page: Page, catalogue: Catalogue) -> dict[str, Any]:
    """Return what the script needs: the figures, the images, the looks, and what sections give to it."""
    payload: dict[str, Any] = {
        "figures": {name: each.to_page() for name, each in page.figures.items()},
        "catalogue": catalogue.to_page(),
        "thumbnails": {row: data_uri(content) for row, content in page.pictures.thumbnails.items()},
        "attention": {number: data_uri(content) for number, content in page.pictures.attention.items()},
        "maps": {},
        "rows": [],
        "classes": catalogue.classes,
        "highlighted": [],
        "suspects": [],
        "looks": CLASS_LOOKS,
        "grey": GREY,
        "heat": {"light": HEAT_ON_LIGHT, "dark": HEAT_ON_DARK},
        "onDark": ON_DARK,
    }
    for part in report.parts:
        payload |= part.section.script(part.record, page)
    return payload


def _section(section: Shown[Any], content: Markup) -> Markup:
    heading = element("h2", section.title, id=f"{section.name}-title")
    return element("section", heading, content, id=section.name, aria_labelledby=f"{section.name}-title")


def _own(name: str) -> str:
    return files("stackbone.stack.report").joinpath(name).read_text(encoding="utf-8")


def _packed(plotly: str) -> str:
    """Return the element that holds plotly.js, compressed."""
    content = base64.b64encode(gzip.compress(plotly.encode(), mtime=0)).decode()
    notice = "<!-- plotly.js, Copyright Plotly, Inc., MIT license; compressed -->"
    return f'{notice}\n<script type="application/gzip" id="plotly">{content}</script>'


def _script() -> str:
    """Return our own script: its parts in one scope, each building on those before it."""
    parts = "\n".join(_own(f"script/{name}.js") for name in _PARTS)
    return f'"use strict";\n{{\n{parts}}}\n'


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
