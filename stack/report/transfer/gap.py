"""How far the domains are apart, for each class too, and which source images help least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackbone.stack.report.blocks import Page, figure, join_all, number, path, picture, scrolled
from stackbone.stack.report.figures.style import BLUE, GREY, NAMES, Figure, short_names
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Shown
from stackbone.stack.transfer.explanation import DomainGap, LeastHelpful
from stackbone.stack.transfer.results.told import Told


@dataclass(frozen=True)
class GapRecord:
    """What the section shows.

    Attributes
    ----------
    gaps : list of DomainGap
        By backbone.
    least : list of LeastHelpful
        The source images that help least, the worst first.
    n_hurting, n_source : int
        Source images that hurt, and all.
    """

    gaps: list[DomainGap]
    least: list[LeastHelpful]
    n_hurting: int
    n_source: int


def collect_gap(told: Told) -> GapRecord:
    """Collect what the section shows."""
    found = told.explanation
    return GapRecord(found.gaps, found.least, found.n_hurting, told.n_source)


class Gap(Shown[GapRecord]):
    """Shows the gap between the domains."""

    name = "gap"
    title = "Gap"

    def figures(self, record: GapRecord) -> dict[str, Figure]:
        """Draw the gap of each class, on the backbone where domains are closest."""
        return {"class_gaps": _draw(_closest(record))}

    def html(self, record: GapRecord, page: Page) -> Markup:
        """Return the numbers of each backbone, the classes, and the images."""
        header = ["backbone", "proxy A-distance", "squared MMD", "p"]
        rows = [
            [each.backbone, number(each.a_distance, 2), number(each.squared_discrepancy, 4), number(each.p_value)]
            for each in record.gaps
        ]
        closest = _closest(record)
        classes = [[name, number(each.own, 2), number(each.nearest, 2)] for name, each in closest.classes.items()]
        return join_all(
            element(
                "p",
                "The proxy A-distance is 0 where a classifier cannot tell the domains apart and 2 where it never errs. "
                "The maximum mean discrepancy compares their means in a kernel space; p is of its permutation test.",
                class_="lead",
            ),
            scrolled(table(header, rows, caption="Gap by backbone"), "Gap by backbone"),
            figure(
                page,
                "class_gaps",
                says="Distance of each class from itself across the domains, and from the nearest other class.",
                title=f"Which classes moved? ({closest.backbone})",
                note="In standard deviations of an image about its class. A class that is as far from itself as from "
                "another is one that the source cannot teach.",
                numbers=table(["class", "from itself", "from the nearest other"], classes, caption="Gap by class"),
            ),
            element("h3", "Source images that help least"),
            element(
                "p",
                f"{record.n_hurting:,} of {record.n_source:,} source images hurt a classifier trained on the "
                "source: with any of these counted twice, its log-loss on the target would rise. The size is a share "
                "of the mean over all source images; below 0 an image hurts. These numbers use every target label: to "
                "drop such images and score again on the same target flatters.",
                class_="lead",
            ),
            _least(record.least, page),
        )


def _least(least: list[LeastHelpful], page: Page) -> Markup:
    """Return a card for each image where the page has images, which are known by their place in the list."""
    rows = [[each.path, each.domain, each.label, number(each.influence, 2)] for each in least]
    caption = "Source images that help least"
    numbers = scrolled(table(["image", "source", "label", "influence"], rows, caption=caption), caption)
    if not page.images:
        return numbers
    cards = [
        element(
            "li",
            element("div", picture(page, place), class_="thumbnail"),
            element("p", "labelled ", element("b", each.label)),
            element("p", f"{each.domain}: {number(each.influence, 2)}"),
            path(page, place),
        )
        for place, each in enumerate(least)
        if place in page.images
    ]
    return join_all(
        element("ul", cards, class_="cards"), element("details", element("summary", "The numbers"), numbers)
    )


def _closest(record: GapRecord) -> DomainGap:
    return min(record.gaps, key=lambda each: each.a_distance)


def _draw(gap: DomainGap) -> Figure:
    names = short_names(list(gap.classes))
    looks = {"from itself": (BLUE, "circle"), "from the nearest other": (GREY, "square")}
    values = {
        "from itself": [each.own for each in gap.classes.values()],
        "from the nearest other": [each.nearest for each in gap.classes.values()],
    }
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": values[name],
            "y": names,
            "marker": {"color": color, "symbol": symbol, "size": 10},
        }
        for name, (color, symbol) in looks.items()
    ]
    layout = {
        "height": 96 + 24 * len(names),
        "xaxis": {"title": {"text": "standard deviations"}, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "dtick": 1, **NAMES},
    }
    return Figure(traces, layout)
