"""The parts that a report's sections are made of: figures with their numbers, pictures, cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.images import ReportImage
from stackbone.stack.report.markup import Child, Markup, element, join
from stackbone.stack.report.pictures import Pictures

SHOWN_AT_FIRST = 24
"""Cards of single images; the others are behind a button."""


@dataclass(frozen=True)
class Page:
    """What the page holds beside a section's own record.

    Attributes
    ----------
    figures : mapping of str to Figure
        Of all sections, by name.
    images : mapping of int to ReportImage
        By row of the dataset's index.
    pictures : Pictures
        Thumbnails, and pictures of attention.
    classes : sequence of str
        Names by code; empty where images are not of one class each.
    """

    figures: Mapping[str, Figure]
    images: Mapping[int, ReportImage]
    pictures: Pictures = field(default_factory=Pictures)
    classes: Sequence[str] = ()


def figure(
    page: Page,
    name: str,
    *,
    says: str,
    title: str,
    note: Child = None,
    numbers: Child = None,
    controls: Child = None,
    beside: Child = None,
) -> Markup:
    """Return the place that a figure is drawn in.

    Parameters
    ----------
    page, name
        The figure; where the page lacks it, nothing is returned.
    says
        What it shows, for those who cannot see it.
    title, note
        Above and below it.
    numbers
        The same as a table, behind a click.
    controls
        Buttons above it.
    beside
        What stands beside it where there is room, else below.
    """
    if name not in page.figures:
        return Markup()
    canvas = element(
        "div",
        class_="canvas",
        role="img",
        aria_label=says,
        data_figure=name,
        style=f"--height:{page.figures[name].layout['height']}",
    )
    table = element("details", element("summary", "The numbers"), scrolled(numbers, f"Numbers: {title}"))
    return element(
        "figure",
        element("h3", title),
        controls,
        canvas if beside is None else element("div", canvas, beside, class_="with-beside"),
        element("figcaption", note) if note else None,
        table if numbers else None,
        id=f"figure-{name}",
    )


def scrolled(content: Child, label: str) -> Markup:
    """Return content that scrolls by itself, also by keyboard, so that a wide table does not widen the page."""
    return element("div", content, class_="scrolled", role="region", aria_label=label, tabindex="0")


def picture(page: Page, row: int, size: int = 160) -> Markup:
    """Return an image by its row in the index, as a button that enlarges it.

    The page's script fills it in, since many places show the same one.
    """
    if row in page.pictures.thumbnails:
        shown = element("img", data_image=row, alt="", width=size, height=size, decoding="async")
    else:
        reason = page.pictures.missing.get(row)  # it may be longer than its place: the whole of it shows on hover
        shown = element("span", reason or "no picture", class_="no-picture", title=reason)
    image = page.images[row]
    says = f"Enlarge {image.path}, labelled {image.label or 'nothing'}"
    return element("button", shown, type="button", class_="open", data_open=row, aria_label=says)


def path(page: Page, row: int) -> Markup:
    """Return the path of an image, which may break anywhere."""
    return element("code", page.images[row].path, class_="path")


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
    """Return a button that reveals the cards of class ``later`` in the list of that id; None where all are shown."""
    if n <= shown:
        return None
    return element("button", f"Show all {n}", type="button", class_="more", aria_controls=cards)


def search_field(title: str, **attributes: str) -> Markup:
    """Return a field by whose text images are found."""
    return element("label", f"{title} ", element("input", type="search", autocomplete="off", **attributes))


def image_list(label: str) -> Markup:
    """Return the place of a list of images that the page's script fills, and of the button for more of them."""
    more = element("button", "Show more", type="button", class_="next", data_next=True, hidden=True)
    return join_all(element("ul", class_="cards found", aria_label=label), more)


def zoom_buttons() -> Markup:
    """Return buttons that zoom a figure without a mouse."""
    labels = {"in": ("+", "Zoom in"), "out": ("-", "Zoom out"), "reset": ("Reset", "Reset the zoom")}
    buttons = [
        element("button", text, type="button", data_zoom=key, aria_label=label) for key, (text, label) in labels.items()
    ]
    return element("span", element("span", "Zoom", class_="legend"), buttons, class_="buttons")
