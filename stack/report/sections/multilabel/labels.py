"""How well each label is found, and the images that the model is surely wrong about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackbone.stack.metrics.several.labels import LabelReport, per_label
from stackbone.stack.report.blocks import (
    SHOWN_AT_FIRST,
    Page,
    bar,
    figure,
    join_all,
    more_button,
    path,
    picture,
    scrolled,
)
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, GREEN, VERMILION, Figure, draw_dots, short_names
from stackbone.stack.report.markup import Child, Markup, element, table
from stackbone.stack.report.section import Section
from stackbone.stack.tasks.findings import Examined
from stackbone.stack.tasks.label_findings import pooled_labels, surely_wrong

_MOST_LABELS = 60  # in the figure: the weakest; the page's table has all
_MOST_WRONG = 60


@dataclass(frozen=True)
class WrongCard:
    """An image that the model is surely wrong about.

    Attributes
    ----------
    row : int
        Of the dataset's index.
    label : str
        The label.
    has : bool
        Whether the dataset says that the image has it.
    probability : float
        That the model gives it, 0 to 1.
    """

    row: int
    label: str
    has: bool
    probability: float


@dataclass(frozen=True)
class LabelsRecord:
    """What the section shows.

    Attributes
    ----------
    model : str
        The model examined.
    labels : list of LabelReport
        The weakest first; those that no tested image has come last.
    thresholds : dict of str to list of float
        Of each label, the probability from which on it is said to be there, fold by fold.
    wrong : list of WrongCard
        The surest first.
    """

    model: str
    labels: list[LabelReport]
    thresholds: dict[str, list[float]]
    wrong: list[WrongCard]


class Labels(Section[LabelsRecord]):
    """Shows each label, and single images."""

    name = "labels"
    title = "Labels"
    order = 30
    tasks = frozenset({"multilabel"})
    plots = (("labels", "per_label"),)

    def collect(self, context: Context) -> LabelsRecord | None:
        """Score the labels of the examined model."""
        experiment = context.experiment
        joined, truth = experiment.joined, experiment.truth
        examined = Examined(
            experiment.evaluation, truth, experiment.folds, joined.paths, joined.groups, experiment.seed
        )
        rows, presence, probability, present = pooled_labels(examined, experiment.model_name)
        labels = per_label(truth.classes, presence, probability, present)
        wrong = [
            WrongCard(
                int(context.rows[rows[image]]),
                str(truth.classes[code]),
                bool(presence[image, code]),
                float(probability[image, code]),
            )
            for image, code in surely_wrong(presence, probability, _MOST_WRONG)
        ]
        context.images.add(each.row for each in wrong)
        predictions = experiment.evaluation.predictions[experiment.model_name]
        folds = [each.thresholds for each in predictions if each.thresholds is not None]
        thresholds = {
            str(name): [float(each[code]) for each in folds] for code, name in enumerate(truth.classes) if folds
        }
        ranked = sorted(labels, key=lambda each: (each.ap is None, each.ap or 0.0, each.name))
        return LabelsRecord(experiment.model_name, ranked, thresholds, wrong)

    def figures(self, record: LabelsRecord) -> dict[str, Figure]:
        """Draw the scores of each label."""
        return {"per_label": draw_labels(record.labels)}

    def html(self, record: LabelsRecord, page: Page) -> Markup:
        """Return the figure, the table and the images."""
        n = len(record.labels)
        note = "Average precision needs no threshold; F1 is of what is said from each label's own threshold on."
        if n > _MOST_LABELS:
            note += f" The {_MOST_LABELS} weakest of {n:,} labels."
        return join_all(
            figure(
                page,
                "per_label",
                says=f"Dot plot of the average precision and F1 of {record.model} for each label, the weakest first.",
                title=f"How well {record.model} finds each label",
                note=note,
            ),
            scrolled(_table(record), "Scores of each label"),
            _wrong(record.wrong, page),
        )


SECTION = Labels()


def draw_labels(labels: list[LabelReport]) -> Figure:
    """Draw average precision, F1 and recall of each label, the weakest first."""
    shown = [each for each in labels if each.ap is not None][:_MOST_LABELS]
    names = short_names([each.name for each in shown])
    values: dict[str, list[float | None]] = {
        "average precision": [each.ap for each in shown],
        "F1": [each.f1 for each in shown],
        "recall": [each.recall for each in shown],
    }
    looks = {
        "average precision": (BLUE, "circle"),
        "F1": (VERMILION, "diamond-open"),
        "recall": (GREEN, "square-open"),
    }
    return draw_dots(names, values, looks)


def _table(record: LabelsRecord) -> Markup:
    rows: list[list[Child]] = [
        [
            each.name,
            f"{each.n:,}",
            "-" if each.ap is None else bar(each.ap),
            bar(each.precision),
            bar(each.recall),
            bar(each.f1),
            _threshold(record.thresholds.get(each.name, [])),
        ]
        for each in record.labels
    ]
    header = ["label", "images", "average precision", "precision", "recall", "F1", "threshold"]
    return table(header, rows, caption="Scores of each label, the weakest first", class_="sortable per-class")


def _threshold(folds: list[float]) -> str:
    return f"{np.mean(folds):.3f}" if folds else "-"


def _wrong(wrong: list[WrongCard], page: Page) -> Markup | None:
    if not wrong:
        return None
    lead = (
        "Test images with a label that the model gives a probability far from what the dataset says. Check the label "
        "first."
    )
    cards = [
        element(
            "li",
            element("div", picture(page, each.row), class_="thumbnail"),
            element("p", "labelled " if each.has else "not labelled ", element("b", each.label)),
            element("p", f"probability {each.probability:.1%}"),
            path(page, each.row),
            class_="later" if position >= SHOWN_AT_FIRST else None,
        )
        for position, each in enumerate(wrong)
    ]
    return join_all(
        element("h3", "Surely wrong, or mislabelled"),
        element("p", lead, class_="lead"),
        element("ul", cards, class_="cards wrong", id="wrong-labels"),
        more_button(len(wrong), SHOWN_AT_FIRST, "wrong-labels"),
    )
