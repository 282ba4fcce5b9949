"""How well each of several numbers is predicted, and the images on which the model is furthest off in one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.model_scores import ModelScore, Prediction, pool
from stackbone.stack.report.blocks import (
    SHOWN_AT_FIRST,
    Page,
    figure,
    join_all,
    more_button,
    number,
    path,
    picture,
    scrolled,
)
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, VERMILION, Figure, draw_dots, short_names
from stackbone.stack.report.markup import Child, Markup, element, table
from stackbone.stack.report.section import Section
from stackbone.stack.report.sections.fit import FitRecord, draw_fit, target_points
from stackbone.stack.tasks.target_findings import furthest_off, score_each

_MOST_NUMBERS = 60  # in the figure of scores: the weakest; the page's table has all
_MOST_FITS = 6  # drawn point by point, the weakest
_MOST_WORST = 60


@dataclass(frozen=True)
class WorstCard:
    """One image of which the model misses one number by far.

    Attributes
    ----------
    row : int
        Of the dataset's index.
    name : str
        Of the number.
    true, predicted : float
        In its unit; of several repeats the mean.
    """

    row: int
    name: str
    true: float
    predicted: float


@dataclass(frozen=True, eq=False)
class NumbersRecord:
    """What the section shows.

    Attributes
    ----------
    model, single : str
        The model examined, and the best single backbone.
    scores, of_single : list of ModelScore
        Of each number, the weakest of the model first, by both.
    spans : dict of str to (float, float)
        The least and the greatest of each number, by its name.
    fits : dict of str to FitRecord
        Predicted against true values of the weakest numbers; the figure's name is that of the number's column.
    names : dict of str to str
        Name of each of these figures to its number.
    worst : list of WorstCard
        Furthest off, as shares of the spread of their numbers.
    """

    model: str
    single: str
    scores: list[ModelScore]
    of_single: list[ModelScore]
    spans: dict[str, tuple[float, float]]
    fits: dict[str, FitRecord]
    names: dict[str, str]
    worst: list[WorstCard]


class Numbers(Section[NumbersRecord]):
    """Shows each of several numbers."""

    name = "numbers"
    title = "Numbers"
    order = 20
    tasks = frozenset({"multitarget"})
    plots = (("numbers", "per_number"), ("fits", "fit"))

    def collect(self, context: Context) -> NumbersRecord | None:
        """Score the numbers of the examined model, and of the best single backbone."""
        experiment, truth = context.experiment, context.experiment.truth
        model, single = experiment.model_name, experiment.findings.single
        predictions = experiment.evaluation.predictions
        scores, of_single = (
            score_each(truth, predictions[each], experiment.folds, experiment.weights) for each in (model, single)
        )
        ranked = sorted(range(len(truth.targets)), key=lambda column: scores[column].mean)
        weakest = ranked[:_MOST_FITS]
        fits = {f"fit_{column + 1}": _fit(context, predictions[model], column) for column in weakest}
        tested, values = pool(predictions[model], experiment.folds)
        worst = [
            WorstCard(
                int(context.rows[tested[row]]),
                str(truth.targets[column]),
                float(truth.values[tested[row], column]),
                float(values[row, column]),
            )
            for row, column in furthest_off(truth, tested, values, _MOST_WORST)
        ]
        context.images.add(each.row for each in worst)
        return NumbersRecord(
            model,
            single,
            [scores[column] for column in ranked],
            [of_single[column] for column in ranked],
            spans={
                str(name): (float(column.min()), float(column.max()))
                for name, column in zip(truth.targets, truth.values.T, strict=True)
            },
            fits=fits,
            names={f"fit_{column + 1}": str(truth.targets[column]) for column in weakest},
            worst=worst,
        )

    def figures(self, record: NumbersRecord) -> dict[str, Figure]:
        """Draw the scores of each number, and the points of the weakest."""
        return {"per_number": draw_numbers(record)} | {name: draw_fit(each) for name, each in record.fits.items()}

    def html(self, record: NumbersRecord, page: Page) -> Markup:
        """Return the figures, the table and the images."""
        n = len(record.scores)
        note = "1 is perfect, 0 what the mean of a number would score; below -1 is not drawn."
        if n > _MOST_NUMBERS:
            note += f" The {_MOST_NUMBERS} weakest of {n:,} numbers."
        fits = join_all(
            *(
                figure(
                    page,
                    name,
                    says=f"Scatter plot of predicted against true {title}, with the line on which they are equal.",
                    title=f"Predicted against true values: {title}",
                    note="Each point is an image that the model had not seen.",
                )
                for name, title in record.names.items()
            )
        )
        return join_all(
            figure(
                page,
                "per_number",
                says=f"Dot plot of the R² of {record.model} and {record.single} for each number, the weakest first.",
                title=f"How well {record.model} knows each number",
                note=note,
            ),
            scrolled(_table(record), "Scores of each number"),
            element("div", fits, class_="pair-of-figures"),
            _furthest(record.worst, page),
        )


SECTION = Numbers()


def draw_numbers(record: NumbersRecord) -> Figure:
    """Draw R² of each number by the model and by the best single backbone, the weakest first."""
    shown = record.scores[:_MOST_NUMBERS]
    values: dict[str, list[float | None]] = {record.model: [each.mean for each in shown]}
    looks = {record.model: (VERMILION, "diamond")}
    if record.single != record.model:
        values[record.single] = [each.mean for each in record.of_single[:_MOST_NUMBERS]]
        looks[record.single] = (BLUE, "circle-open")
    return draw_dots(short_names([each.model for each in shown]), values, looks, title="R²")


def _fit(context: Context, predictions: list[Prediction], column: int) -> FitRecord:
    experiment = context.experiment
    own = [Prediction(each.scores[:, column], probability=False) for each in predictions]
    y: NDArray[np.float64] = experiment.truth.values[:, column]
    points = target_points(own, experiment.folds, y, experiment.seed)
    return FitRecord(experiment.model_name, points, context.rows[points.rows], {})


def _table(record: NumbersRecord) -> Markup:
    rows: list[list[Child]] = [
        [
            each.model,
            " to ".join(f"{end:g}" for end in record.spans[each.model]),
            number(each.mean),
            number(each.std),
            *(f"{np.mean(each.metrics[name]):.4g}" for name in ("mae", "rmse")),
            number(single.mean),
        ]
        for each, single in zip(record.scores, record.of_single, strict=True)
    ]
    header = ["number", "values", "R²", "± std", "MAE", "RMSE", f"R² of {record.single}"]
    return table(header, rows, caption="Scores of each number, in its own unit, the weakest first", class_="sortable")


def _furthest(worst: list[WorstCard], page: Page) -> Markup:
    cards = [
        element(
            "li",
            element("div", picture(page, each.row), class_="thumbnail"),
            element("p", f"{each.name}: labelled ", element("b", f"{each.true:g}")),
            element("p", "taken for ", element("b", f"{each.predicted:.4g}")),
            path(page, each.row),
            class_="later" if position >= SHOWN_AT_FIRST else None,
        )
        for position, each in enumerate(worst)
    ]
    lead = "Test images of which one number is missed by far, for how much it varies. Check the label first."
    return join_all(
        element("h3", "Furthest off, or mislabelled"),
        element("p", lead, class_="lead"),
        element("ul", cards, class_="cards wrong", id="furthest-numbers"),
        more_button(len(cards), SHOWN_AT_FIRST, "furthest-numbers"),
    )
