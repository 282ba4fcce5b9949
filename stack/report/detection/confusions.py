"""Which classes boxes mix up, and how many objects and boxes have no counterpart at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stackbone.cache.text import counted
from stackbone.stack.detection.judging.errors import ImageErrors, SizeCounts, count_confusions, count_sizes
from stackbone.stack.detection.judging.kinds import count_kinds
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.report.blocks import Page, figure, join_all, scrolled
from stackbone.stack.report.figures.confusion_matrix import ConfusionMatrix, draw_confusion, similarity_order
from stackbone.stack.report.figures.style import VERMILION, Figure
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Shown

NOTHING = "(none)"
"""Of a box for which no object is left, and of an object without a box."""

_TOLD = {
    "duplicate": "a second box on an object that is found",
    "class": "on an object of another class",
    "place": "beside an object of the class",
    "class and place": "beside an object of another class",
    "background": "near no object that is to be found",
}

_YELLOW = "#9a8500"  # as boxes that are wrong


@dataclass(frozen=True, eq=False)
class ErrorsRecord:
    """What the section shows.

    Attributes
    ----------
    matrix : ConfusionMatrix
        True classes in rows, found ones in columns, `NOTHING` the last of both.
    sizes : dict of str to SizeCounts
        By size.
    kinds : dict of str to int
        Wrong boxes by kind.
    """

    matrix: ConfusionMatrix
    sizes: dict[str, SizeCounts]
    kinds: dict[str, int]


def collect_errors(experiment: DetectionExperiment, errors: Sequence[ImageErrors]) -> ErrorsRecord:
    """Collect what the section shows."""
    counts = count_confusions(errors, experiment.classes)
    order = np.append(similarity_order(counts[:-1, :-1]), len(experiment.classes))
    nothing = NOTHING if NOTHING not in experiment.classes else f"{NOTHING} "
    matrix = ConfusionMatrix([*experiment.classes, nothing], counts, order)
    return ErrorsRecord(matrix, dict(count_sizes(errors)), count_kinds(errors, experiment.classes))


class Errors(Shown[ErrorsRecord]):
    """Shows confusions, and errors by size."""

    name = "errors"
    title = "Errors"

    def figures(self, record: ErrorsRecord) -> dict[str, Figure]:
        """Draw the confusion matrix and the errors by size."""
        matrix = draw_confusion(record.matrix)
        matrix.layout["height"] = min(860, 300 + 60 * len(record.matrix.names))
        return {"detection_confusions": matrix, "detection_sizes": _draw_sizes(record)}

    def html(self, record: ErrorsRecord, page: Page) -> Markup:
        """Return the figures with their numbers."""
        names, counts = record.matrix.names, record.matrix.counts
        missed, left_over = int(counts[:-1, -1].sum()), int(counts[-1, :-1].sum())
        mixed = int(counts[:-1, :-1].sum() - np.trace(counts[:-1, :-1]))
        objects, boxes = (
            f"{counted(missed, 'object')} without a box",
            f"{counted(left_over, 'box', 'boxes')} without an object left (second, misplaced, or on nothing)",
        )
        header = ["size", "objects", "missed", "boxes", "wrong"]
        rows = [
            [name, f"{each.n_objects:,}", f"{each.n_missed:,}", f"{each.n_shown:,}", f"{each.n_wrong:,}"]
            for name, each in record.sizes.items()
        ]
        kinds = [[_TOLD[kind], f"{n:,}"] for kind, n in record.kinds.items()]
        of_classes = [[name, *(f"{n:,}" for n in row)] for name, row in zip(names, counts.tolist(), strict=True)]
        return join_all(
            element(
                "p",
                f"At the thresholds: {objects}, {boxes}, and {counted(mixed, 'object')} with a box of another class.",
                class_="lead",
            ),
            element(
                "div",
                figure(
                    page,
                    "detection_confusions",
                    says=f"Confusion matrix of {len(names) - 1} classes and none.",
                    title="What is found in place of what?",
                    note="Rows are what is annotated, columns what is found, from an overlap of one half on. The last "
                    "row counts boxes for which no object is left, the last column objects without a box; the table "
                    "below tells second boxes from misplaced ones and from those on nothing.",
                    numbers=table(["annotated", *names], of_classes, caption="Confusions"),
                ),
                figure(
                    page,
                    "detection_sizes",
                    says="Shares of objects that are missed, and of boxes that are wrong, by size.",
                    title="Which sizes are hard?",
                    note="Small objects have an area below 32 x 32 pixels of the image, large ones of 96 x 96 or more.",
                ),
                class_="pair-of-figures",
            ),
            scrolled(table(header, rows, caption="Errors by size"), "Errors by size"),
            scrolled(table(["wrong boxes", "number"], kinds, caption="Wrong boxes by kind"), "Wrong boxes by kind"),
        )


def _draw_sizes(record: ErrorsRecord) -> Figure:
    names = list(record.sizes)
    shares = {
        "objects missed": ([_share(each.n_missed, each.n_objects) for each in record.sizes.values()], VERMILION),
        "boxes wrong": ([_share(each.n_wrong, each.n_shown) for each in record.sizes.values()], _YELLOW),
    }
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": names,
            "y": values,
            "marker": {"color": color},
            "hovertemplate": "%{x}: %{y:.1%}<extra>" + name + "</extra>",
        }
        for name, (values, color) in shares.items()
    ]
    layout = {
        "height": 420,
        "barmode": "group",
        "xaxis": {"type": "category"},
        "yaxis": {"title": {"text": "share"}, "tickformat": ".0%", "rangemode": "tozero"},
    }
    return Figure(traces, layout)


def _share(n: int, total: int) -> float | None:
    return round(n / total, 4) if total else None
