"""How far off the numbers of a regression are, and on which images the most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.model_scores import Prediction, pool
from stackbone.stack.report.blocks import SHOWN_AT_FIRST, Page, figure, join_all, more_button, number, path, picture
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, DRAWN_AS_VECTORS, VERMILION, Figure
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section

_MOST_TARGETS = 20_000
_WORST_TARGETS = 60
_QUANTILES = (5, 25, 50, 75, 95)  # percent


@dataclass(frozen=True, eq=False)
class TargetPoints:
    """Predicted numbers against true ones.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n,)`` images among those that took part, ascending.
    true, predicted : NDArray[np.float64]
        ``(n,)`` in the label's unit; of several repeats the mean.
    worst : NDArray[np.int64]
        ``(<= 60,)`` positions of the images that are furthest off, the worst first.
    """

    rows: NDArray[np.int64]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    worst: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FitRecord:
    """What the section shows.

    Attributes
    ----------
    model : str
        The model examined.
    points : TargetPoints
        Its predictions.
    images : NDArray[np.int64]
        ``(n,)`` row of the dataset's index of each point.
    quantiles : dict of int to float
        Of predicted minus true, by percent.
    """

    model: str
    points: TargetPoints
    images: NDArray[np.int64]
    quantiles: dict[int, float]


class Fit(Section[FitRecord]):
    """Shows a regression's predictions, point by point."""

    name = "fit"
    title = "Fit"
    order = 20
    tasks = frozenset({"regression"})
    plots = (("fit", "fit"), ("residuals", "residuals"))

    def collect(self, context: Context) -> FitRecord | None:
        """Return the predictions of the examined model."""
        if context.targets is None:
            return None
        model = context.experiment.model_name
        experiment = context.experiment
        points = target_points(context.target_predictions[model], experiment.folds, context.targets, experiment.seed)
        images = context.rows[points.rows]
        context.images.add(images[points.worst])
        off = np.percentile(points.predicted - points.true, _QUANTILES)
        return FitRecord(model, points, images, dict(zip(_QUANTILES, off.tolist(), strict=True)))

    def figures(self, record: FitRecord) -> dict[str, Figure]:
        """Draw predictions and residuals."""
        return {"fit": draw_fit(record), "residuals": draw_residuals(record)}

    def html(self, record: FitRecord, page: Page) -> Markup:
        """Return both figures, and the images that the model misses by most."""
        rows = [[f"{percent}%", number(value)] for percent, value in record.quantiles.items()]
        summary = table(["quantile", "predicted minus true"], rows, caption="Quantiles of the residuals")
        figures = join_all(
            figure(
                page,
                "fit",
                says="Scatter plot of predicted against true values, with the line on which they are equal.",
                title=f"Predicted against true values, {record.model}",
                note="Each point is an image that the model had not seen.",
                numbers=summary,
            ),
            figure(
                page,
                "residuals",
                says="Scatter plot of the residuals against the predicted values.",
                title="How far off",
                note="A slope or a funnel shows that the model errs systematically.",
                numbers=summary,
            ),
        )
        return join_all(element("div", figures, class_="pair-of-figures"), _furthest(record, page))


SECTION = Fit()


def target_points(
    predictions: Sequence[Prediction], folds: Sequence[Fold], y: NDArray[np.float64], seed: int
) -> TargetPoints:
    """Return the points of a regression; of more than 20,000 images, a random sample and the worst.

    Parameters
    ----------
    predictions : sequence of Prediction
        One per fold.
    folds : sequence of Fold
        Their folds.
    y : NDArray[np.float64]
        ``(n_images,)`` targets.
    seed : int
        Of the sample.
    """
    tested, values = pool(predictions, folds)
    worst = np.argsort(-np.abs(values - y[tested]), kind="stable")[:_WORST_TARGETS]
    kept = np.arange(len(tested))
    if len(tested) > _MOST_TARGETS:
        drawn = np.random.default_rng(seed).permutation(len(tested))[: _MOST_TARGETS - len(worst)]
        kept = np.union1d(drawn, worst)
    rows = tested[kept]
    return TargetPoints(rows, y[rows], values[kept], np.searchsorted(kept, worst).astype(np.int64))


def draw_fit(record: FitRecord) -> Figure:
    """Draw predicted against true numbers."""
    true, predicted = record.points.true.tolist(), record.points.predicted.tolist()
    ends = [min(*true, *predicted), max(*true, *predicted)]
    return _points(record, true, predicted, ("true value", "predicted value"), (ends, ends))


def draw_residuals(record: FitRecord) -> Figure:
    """Draw how far off the predictions are, against the predictions."""
    true, predicted = record.points.true.tolist(), record.points.predicted.tolist()
    off = [round(p - t, 6) for t, p in zip(true, predicted, strict=True)]
    line = ([min(predicted), max(predicted)], [0, 0])
    return _points(record, predicted, off, ("predicted value", "predicted minus true"), line)


def _points(
    record: FitRecord,
    x: list[float],
    y: list[float],
    titles: tuple[str, str],
    line: tuple[Sequence[float], Sequence[float]],
) -> Figure:
    """Draw points that say nothing on hover by themselves: the page shows the image, by its row."""
    fast = len(x) > DRAWN_AS_VECTORS
    points = {
        "type": "scattergl" if fast else "scatter",
        "mode": "markers",
        "x": x,
        "y": y,
        "customdata": record.images.tolist(),
        "marker": {"size": 5 if fast else 7, "color": BLUE, "opacity": 0.35 if fast else 0.6},
        "hoverinfo": "none",
    }
    ideal = {
        "type": "scatter",
        "mode": "lines",
        "x": line[0],
        "y": line[1],
        "line": {"dash": "dot", "color": VERMILION, "width": 1.5},
        "hoverinfo": "skip",
    }
    layout = {
        "height": 480,
        "showlegend": False,
        "hovermode": "closest",
        "xaxis": {"title": {"text": titles[0]}},
        "yaxis": {"title": {"text": titles[1]}},
    }
    return Figure([points, ideal], layout)


def _furthest(record: FitRecord, page: Page) -> Markup:
    """Return the images that the model misses by most; wrong labels gather here."""
    points = record.points
    cards = [
        element(
            "li",
            element("div", picture(page, int(record.images[i])), class_="thumbnail"),
            element("p", "labelled ", element("b", f"{points.true[i]:g}")),
            element("p", "taken for ", element("b", f"{points.predicted[i]:.4g}")),
            path(page, int(record.images[i])),
            class_="later" if position >= SHOWN_AT_FIRST else None,
        )
        for position, i in enumerate(points.worst)
    ]
    return join_all(
        element("h3", "Furthest off, or mislabelled"),
        element("ul", cards, class_="cards wrong", id="furthest"),
        more_button(len(cards), SHOWN_AT_FIRST, "furthest"),
    )
