"""Which classes a classification confuses: the confusion matrix, every class, and the pairs most often confused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackbone.cache.text import counted
from stackbone.stack.metrics.confusion import ClassReport, ConfusedPair, confused_pairs
from stackbone.stack.report.blocks import (
    Page,
    bar,
    figure,
    image_list,
    join_all,
    more_button,
    picture,
    scrolled,
    zoom_buttons,
)
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.confusion_matrix import ConfusionMatrix, count_confusions, draw_confusion
from stackbone.stack.report.figures.style import BLUE, GREEN, VERMILION, Figure, draw_dots, short_names
from stackbone.stack.report.markup import Child, Markup, element, table
from stackbone.stack.report.section import Section

_WHOLE_MATRIX = 20  # classes; of more, the numbers are those of the most frequent confusions
_LISTED = 100
_NAMED = 10
_EXAMPLES = 6  # of each confused pair
_PAIRS_AT_FIRST = 9
_MOST_CLASSES = 60  # in the figure of single classes: the weakest; the page's table has all


@dataclass(frozen=True)
class PairPictures:
    """One class taken for another, and rows of the dataset's index of images for which it is so, the surest first."""

    pair: ConfusedPair
    examples: list[int]


@dataclass(frozen=True, eq=False)
class ClassesRecord:
    """What the section shows.

    Attributes
    ----------
    model : str
        The model examined.
    repeats : int
        Predictions of each image; the matrix counts predictions, all else images.
    matrix : ConfusionMatrix
        How often each class is taken for each.
    frequent : list of ConfusedPair, optional
        The most frequent confusions, in place of the matrix's numbers where it is large; else None.
    scored : list of ClassReport
        Scores of each class that was tested, the weakest first.
    untested : list of str
        Classes of which no image was tested.
    pairs : list of PairPictures
        The most frequent confusions, with examples.
    """

    model: str
    repeats: int
    matrix: ConfusionMatrix
    frequent: list[ConfusedPair] | None
    scored: list[ClassReport]
    untested: list[str]
    pairs: list[PairPictures]


class Classes(Section[ClassesRecord]):
    """Shows which classes the model confuses."""

    name = "classes"
    title = "Classes"
    order = 30
    tasks = frozenset({"classification"})
    plots = (("confusion", "confusion"), ("per_class", "per_class"))

    def collect(self, context: Context) -> ClassesRecord | None:
        """Count the confusions of the examined model."""
        experiment, found, answers = context.experiment, context.class_findings, context.answers
        if found is None or answers is None:
            return None
        predictions = context.class_predictions[experiment.model_name]
        truth = context.codes[np.concatenate([fold.test for fold in experiment.folds])]
        predicted = np.concatenate([each.scores.argmax(axis=1) for each in predictions])
        is_large = len(context.classes) > _WHOLE_MATRIX
        pairs = [PairPictures(each, answers.examples(each.true, each.predicted, _EXAMPLES)) for each in found.confused]
        for each in pairs:
            context.images.add(each.examples)
        return ClassesRecord(
            model=experiment.model_name,
            repeats=experiment.repeats,
            matrix=count_confusions(truth, predicted, context.classes),
            frequent=confused_pairs(truth, predicted, context.classes, top=_LISTED, repeats=experiment.repeats)
            if is_large
            else None,
            scored=sorted((each for each in found.classes if each.n), key=lambda each: each.f1),
            untested=[each.name for each in found.classes if not each.n],
            pairs=pairs,
        )

    def figures(self, record: ClassesRecord) -> dict[str, Figure]:
        """Draw the confusion matrix, and the scores of each class."""
        return {"confusion": draw_confusion(record.matrix), "per_class": draw_per_class(record.scored)}

    def html(self, record: ClassesRecord, page: Page) -> Markup:
        """Return the matrix, the classes and the pairs."""
        model, names = record.model, record.matrix.names
        says = f"Heat map of the confusions of {model} among {len(names)} classes; its numbers are in the table below."
        note = (
            "Colour is the share of the true class, on a square-root scale so that rare confusions show. Empty: none. "
            "Click a cell to see its images; drag to zoom, double-click to zoom out."
        )
        if record.repeats > 1:
            note += f" Numbers are predictions, {record.repeats} of each image."
        return join_all(
            figure(
                page,
                "confusion",
                says=says,
                title=f"Which classes {model} confuses",
                note=note,
                numbers=_confusions(record),
                controls=_matrix_controls(names),
                beside=_cell(names, record.repeats),
            ),
            element("h3", "Class by class"),
            scrolled(_per_class(record), "Scores of each class"),
            _never_tested(record.untested),
            _pairs(record, page),
        )


SECTION = Classes()


def draw_per_class(scored: list[ClassReport]) -> Figure:
    """Draw precision, recall and F1 of each class that was tested, the weakest first."""
    shown = scored[:_MOST_CLASSES]
    names = short_names([each.name for each in shown])
    values = {
        "precision": [each.precision for each in shown],
        "recall": [each.recall for each in shown],
        "F1": [each.f1 for each in shown],
    }
    looks = {"precision": (BLUE, "circle-open"), "recall": (GREEN, "square-open"), "F1": (VERMILION, "diamond")}
    return draw_dots(names, values, looks)


def _matrix_controls(names: list[str]) -> Markup:
    orders = [
        element("button", title, type="button", data_order=order, aria_pressed="true" if i == 0 else "false")
        for i, (order, title) in enumerate((("similarity", "by similarity"), ("alphabetical", "A to Z")))
    ]
    jump = element(
        "label",
        "Go to ",
        element(
            "select",
            element("option", "all classes", value=""),
            [element("option", name, value=i) for i, name in sorted(enumerate(names), key=lambda each: each[1])],
            data_jump=True,
        ),
    )
    ordered = element("span", element("span", "Order", class_="legend"), orders, class_="buttons")
    return element(
        "div", ordered, zoom_buttons(), jump, class_="controls", role="group", aria_label="Order and zoom of the matrix"
    )


def _cell(names: list[str], repeats: int) -> Markup:
    """Return the place of the images of one cell, with fields by which it is chosen without a mouse."""
    ordered = sorted(enumerate(names), key=lambda each: each[1])
    true, predicted = (
        element("label", title, element("select", [element("option", name, value=i) for i, name in ordered]))
        for title in ("Labelled ", "taken for ")
    )
    chosen = element("div", true, predicted, class_="controls", role="group", aria_label="Cell of the matrix")
    listed = image_list("Images of this cell")
    how = "By the mean of the repeats, so there may be fewer images than the cell counts, or none."
    return element(
        "div",
        chosen,
        element("p", role="status", class_="quiet"),
        element("p", how, class_="quiet") if repeats > 1 else None,
        listed,
        class_="beside",
        data_cell=True,
    )


def _confusions(record: ClassesRecord) -> Markup:
    names = record.matrix.names
    if record.frequent is None:
        rows: list[list[Child]] = [
            [name, *map(str, row)] for name, row in zip(names, record.matrix.counts.tolist(), strict=True)
        ]
        return table(["true \\ predicted", *names], rows, caption="Confusion matrix: rows are true classes")
    listed = [[each.true, each.predicted, str(each.n), f"{each.share:.1%}"] for each in record.frequent]
    caption = f"The {len(listed)} most frequent confusions"
    return table(["true class", "taken for", "images", "share of the true class"], listed, caption=caption)


def _per_class(record: ClassesRecord) -> Markup:
    rows = [[each.name, f"{each.n:,}", bar(each.precision), bar(each.recall), bar(each.f1)] for each in record.scored]
    header = ["class", "images", "precision", "recall", "F1"]
    return table(header, rows, caption="Scores of each class, the weakest first", class_="sortable per-class")


def _never_tested(names: list[str]) -> Markup | None:
    if not names:
        return None
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    listed = ", ".join(names[:_NAMED])
    return element("p", f"No image of these classes was tested, so they have no score: {listed}{more}.", class_="quiet")


def _pairs(record: ClassesRecord, page: Page) -> Markup | None:
    if not record.pairs:
        return None
    cards = [
        element(
            "li",
            element("p", element("b", each.pair.true), " taken for ", element("b", each.pair.predicted), class_="pair"),
            element("p", f"{counted(each.pair.n, 'image')}, {each.pair.share:.1%} of the class", class_="quiet"),
            element("div", [picture(page, row, 88) for row in each.examples], class_="strip"),
            class_="later" if position >= _PAIRS_AT_FIRST else None,
        )
        for position, each in enumerate(record.pairs)
    ]
    return join_all(
        element("h3", "Most often confused"),
        element("ul", cards, class_="cards pairs", id="pairs"),
        more_button(len(cards), _PAIRS_AT_FIRST, "pairs"),
    )
