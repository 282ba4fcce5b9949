"""The parts that a report's sections are made of: figures with their numbers, pictures, cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.markup import Child, Markup, element, join

SHOWN_AT_FIRST = 24
"""Cards of single images; the others are behind a button."""


@dataclass(frozen=True)
class Report:
    """What the sections show.

    Attributes
    ----------
    data : mapping
        `stack.report.data.ReportData.to_dict`.
    figures : dict of str to dict
        `stack.report.figures.figures.figures` of it.
    pictures, attention : frozenset of int
        Images of which there is a thumbnail, and entries of ``data["attention"]`` of which there is a picture.
    reasons : mapping of int to str
        Why there is no thumbnail of an image.
    """

    data: Mapping[str, Any]
    figures: dict[str, Figure]
    pictures: frozenset[int] = field(default_factory=frozenset)
    attention: frozenset[int] = field(default_factory=frozenset)
    reasons: Mapping[int, str] = field(default_factory=dict)

    def class_name(self, code: int) -> str:
        """Return the name of a class."""
        return str(self.data["classes"][code]["name"])

    @property
    def n_folds(self) -> int:
        """How many scores each model has."""
        return len(self.data["models"][0]["folds"])

    @property
    def counted(self) -> str:
        """What errors are counted in: of several repeats every image is predicted several times."""
        return "predictions" if self.data["provenance"]["options"]["repeats"] > 1 else "images"


@dataclass(frozen=True)
class Section:
    """A part of the page that the navigation leads to."""

    id: str
    title: str
    content: Markup


def figure(
    report: Report,
    name: str,
    *,
    says: str,
    title: str,
    note: Child = None,
    numbers: Child = None,
    controls: Child = None,
) -> Markup:
    """Return the place that a figure is drawn in.

    Parameters
    ----------
    report, name
        The figure; without it, nothing is returned.
    says
        What it shows, for who cannot see it.
    title, note
        Above and below it.
    numbers
        The same as a table, behind a click.
    controls
        Buttons above it.
    """
    if name not in report.figures:
        return Markup()
    canvas = element(
        "div",
        class_="canvas",
        role="img",
        aria_label=says,
        data_figure=name,
        style=f"--height:{report.figures[name]['layout']['height']}",
    )
    table = element("details", element("summary", "The numbers"), scrolled(numbers, f"Numbers: {title}"))
    return element(
        "figure",
        element("h3", title),
        controls,
        canvas,
        element("figcaption", note) if note else None,
        table if numbers else None,
        id=f"figure-{name}",
    )


def scrolled(content: Child, label: str) -> Markup:
    """Return content that scrolls by itself, by keyboard too, so that a wide table does not widen the page."""
    return element("div", content, class_="scrolled", role="region", aria_label=label, tabindex="0")


def picture(report: Report, index: int, size: int = 160) -> Markup:
    """Return an image by its number; the page's script fills it in, since many places show the same one."""
    label = report.data["images"][index]["label"]
    if index not in report.pictures:
        return element("span", report.reasons.get(index, "no picture").partition(";")[0], class_="no-picture")
    return element("img", data_image=index, alt=f"image labelled {label}", width=size, height=size)


def path(report: Report, index: int) -> Markup:
    """Return the path of an image, which may break anywhere."""
    return element("code", report.data["images"][index]["path"], class_="path")


def bar(value: float) -> Markup:
    """Return a share of 0 to 1 as a number with a bar behind it."""
    return element("span", f"{value:.3f}", class_="bar", style=f"--value:{value:.3f}")


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for a table, ``-`` where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def join_all(*children: Child) -> Markup:
    """Return children one after another, text escaped."""
    return join(children)


def more_button(n: int, shown: int, cards: str) -> Markup | None:
    """Return what reveals the cards of class ``later`` in the list of that id; None where all are shown already."""
    if n <= shown:
        return None
    return element("button", f"Show all {n}", type="button", class_="more", aria_controls=cards)


def zoom_buttons() -> Markup:
    """Return what zooms a figure without a mouse."""
    labels = {"in": ("+", "Zoom in"), "out": ("-", "Zoom out"), "reset": ("Reset", "Reset the zoom")}
    buttons = [
        element("button", text, type="button", data_zoom=key, aria_label=label) for key, (text, label) in labels.items()
    ]
    return element("span", element("span", "Zoom", class_="legend"), buttons, class_="buttons")
