"""A picture of an image with boxes drawn over it: SVG in the pixels of the image, so that they fit at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stackbone.stack.report.blocks import Page, path, picture
from stackbone.stack.report.markup import Child, Markup, element

Corners = tuple[float, float, float, float]

RIGHT, MISSED, WRONG, SKIPPED, LABELLED, TRUE = "right", "missed", "wrong", "skipped", "labelled", "true"
LEGEND = {
    RIGHT: "found: a box on an object of its class",
    MISSED: "missed: an object that no box of its class has",
    WRONG: "wrong: a box on no object of its class",
    SKIPPED: "difficult or a crowd: neither to be found nor wrong",
    LABELLED: "labelled",
    TRUE: "the object's own box, where it was found",
}
"""Kind of a box to what it says."""

SIZE = 480
"""Pixels of the longer side of a picture."""


@dataclass(frozen=True)
class DrawnBox:
    """One box over a picture.

    Attributes
    ----------
    kind : str
        One of `LEGEND`.
    corners : tuple of float
        Left, top, right, bottom in pixels of the image.
    text : str
        What stands at its corner; empty for nothing.
    """

    kind: str
    corners: Corners
    text: str = ""


@dataclass(frozen=True)
class BoxedImage:
    """An image with boxes.

    Attributes
    ----------
    row : int
        Of the dataset's index.
    width, height : int
        Of the upright image, in pixels.
    boxes : list of DrawnBox
        From the lowest to the topmost.
    """

    row: int
    width: int
    height: int
    boxes: list[DrawnBox]


def boxed_card(page: Page, image: BoxedImage, *said: Child, later: bool = False) -> Markup:
    """Return a card of an image with its boxes, its path and what is said below it."""
    counts: dict[str, int] = {}
    for each in image.boxes:
        counts[each.kind] = counts.get(each.kind, 0) + 1
    told = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "no boxes"
    drawn = element(
        "svg",
        [_box(each, image) for each in image.boxes],
        viewBox=f"0 0 {image.width} {image.height}",
        role="img",
        aria_label=f"Boxes: {told}",
    )
    shape = f"aspect-ratio: {image.width} / {image.height}"
    return element(
        "li",
        element("div", picture(page, image.row, SIZE), drawn, class_="boxed", style=shape),
        said,
        path(page, image.row),
        class_="later" if later else None,
    )


def legend(kinds: Sequence[str]) -> Markup:
    """Return what the looks of boxes mean."""
    swatch = element("rect", x=1, y=3, width=22, height=10)
    return element(
        "ul",
        [
            element(
                "li",
                element("svg", element("g", swatch, class_=f"box {each}"), viewBox="0 0 24 16", aria_hidden="true"),
                LEGEND[each],
            )
            for each in kinds
        ],
        class_="box-legend",
    )


def _box(box: DrawnBox, image: BoxedImage) -> Markup:
    left, top, right, bottom = (round(each, 1) for each in box.corners)
    rect = element("rect", x=left, y=top, width=round(right - left, 1), height=round(bottom - top, 1))
    size = max(image.width, image.height) / 32
    text = None
    if box.text:
        at = top - size / 4 if top > size * 1.2 else min(bottom, image.height) - size / 3
        text = element("text", box.text, x=left + size / 6, y=round(at, 1), font_size=round(size, 1))
    return element("g", rect, text, class_=f"box {box.kind}")
