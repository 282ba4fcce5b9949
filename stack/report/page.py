"""A report as one HTML file: opened by a double click, with no network, and nothing in it but data and our own script.

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
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from stackbone.cache.disk.output_file import write_output
from stackbone.stack.report.blocks import Report, Section
from stackbone.stack.report.figures.figures import figures
from stackbone.stack.report.figures.point_figures import highlighted_classes
from stackbone.stack.report.figures.style import CLASS_LOOKS, GREY, HEAT_ON_DARK, HEAT_ON_LIGHT, ON_DARK, Figure
from stackbone.stack.report.markup import element
from stackbone.stack.report.sections import backbones as report_backbones
from stackbone.stack.report.sections import classes as report_sections
from stackbone.stack.report.sections import head as report_head
from stackbone.stack.report.sections import targets as report_targets

_SECTIONS = (
    report_head.scores,
    report_targets.fit,
    report_sections.classes,
    report_sections.errors,
    report_backbones.backbones,
    report_sections.confidence,
    report_backbones.learning,
    report_backbones.maps,
    report_backbones.attention,
    report_backbones.provenance,
)
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def write_report(
    data: Mapping[str, Any],
    thumbnails: Mapping[int, bytes],
    file: Path,
    *,
    attention: Mapping[int, bytes] | None = None,
    reasons: Mapping[int, str] | None = None,
) -> None:
    """Write a report that needs nothing beside itself.

    Parameters
    ----------
    data : mapping
        `stack.report.data.ReportData.to_dict`.
    thumbnails : mapping of int to bytes
        WebP, JPEG or PNG by index into ``data["images"]``; images without one are shown by name.
    file : Path
        Written whole or not at all.
    attention : mapping of int to bytes, optional
        Pictures by index into ``data["attention"]``.
    reasons : mapping of int to str, optional
        Why there is no thumbnail, by index into ``data["images"]``, such as that the image was changed since.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    content = render_report(data, thumbnails, attention or {}, reasons or {})
    write_output(file, content.encode("utf-8", "backslashreplace"))


def render_report(
    data: Mapping[str, Any],
    thumbnails: Mapping[int, bytes],
    attention: Mapping[int, bytes],
    reasons: Mapping[int, str],
) -> str:
    """Return the report's HTML."""
    report = Report(data, figures(data), frozenset(thumbnails), frozenset(attention), reasons)
    sections = [section for make in _SECTIONS if (section := make(report)) is not None]
    script, plotly = _own("page.js"), _plotly()
    policy = (
        f"default-src 'none'; script-src {_hash(plotly)} {_hash(script)} 'unsafe-eval'; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return Template(_own("page.html")).substitute(
        policy=policy,
        title=element("title", f"{data['dataset']}: Stackbone report"),
        style=_own("page.css"),
        links=_links(sections),
        hero=report_head.hero(report),
        sections="\n".join(_section(each) for each in sections),
        data=to_script_json(_payload(report, thumbnails, attention)),
        plotly=base64.b64encode(gzip.compress(plotly.encode(), mtime=0)).decode(),
        script=script,
    )


def to_script_json(value: object) -> str:
    r"""Return JSON that cannot end the script element it stands in: ``<``, ``>``, ``&`` are written as ``\u003c``..."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate(_ESCAPES)


def _payload(report: Report, thumbnails: Mapping[int, bytes], attention: Mapping[int, bytes]) -> dict[str, Any]:
    """Return what the script needs; a map's points go in once, and it colours them itself."""
    data = report.data
    maps = dict(zip((name for name in report.figures if name.startswith("map_")), data["maps"], strict=True))
    by_class = {name for name, each in maps.items() if each["class"]}
    drawn: dict[str, Figure] = {
        name: {**figure, "data": []} if name in by_class else figure for name, figure in report.figures.items()
    }
    shared: list[dict[str, Any]] = []
    points = {}
    for name, each in maps.items():
        same = {"class": each["class"], "image": each["image"]}
        if same not in shared:
            shared.append(same)
        points[name] = (
            {"rows": shared.index(same), "x": each["x"], "y": each["y"]}
            if name in by_class
            else {"rows": shared.index(same)}
        )
    return {
        "figures": drawn,
        "maps": points,
        "rows": shared,
        "classes": [each["name"] for each in data["classes"]],
        "images": [{"label": each["label"], "path": each["path"]} for each in data["images"]],
        "thumbnails": {index: _data_uri(content) for index, content in thumbnails.items()},
        "attention": {index: _data_uri(content) for index, content in attention.items()},
        "looks": CLASS_LOOKS,
        "grey": GREY,
        "heat": {"light": HEAT_ON_LIGHT, "dark": HEAT_ON_DARK},
        "onDark": ON_DARK,
        "highlighted": highlighted_classes(data),
    }


def _data_uri(content: bytes) -> str:
    kind = "webp" if content[8:12] == b"WEBP" else "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _links(sections: list[Section]) -> str:
    return element("ul", [element("li", element("a", each.title, href=f"#{each.id}")) for each in sections])


def _section(section: Section) -> str:
    heading = element("h2", section.title, id=f"{section.id}-title")
    return element("section", heading, section.content, id=section.id, aria_labelledby=f"{section.id}-title")


def _own(name: str) -> str:
    return files("stackbone.stack.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
