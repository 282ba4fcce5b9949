"""What more training images would bring, and what few of them teach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackbone.stack.experiments.learning_curve import LearningCurve, learning_curves
from stackbone.stack.experiments.shots import FewShots
from stackbone.stack.report.blocks import Page, figure, join_all, number
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, GREEN, ORANGE, PURPLE, VERMILION, Figure, short_names
from stackbone.stack.report.markup import Markup, table
from stackbone.stack.report.section import Section
from stackbone.stack.tables import few_shots as few_table
from stackbone.stack.tables.metric_names import primary_metric

_STACK = (VERMILION, "diamond")
_SERIES = ((BLUE, "circle"), (GREEN, "square"), (PURPLE, "cross"), (ORANGE, "triangle-up"))


@dataclass(frozen=True)
class LearningRecord:
    """What the section shows.

    Attributes
    ----------
    metric : str
        Name of the metric that the curves are of.
    curves : list of LearningCurve
        Learning curves.
    few : FewShots, optional
        Scores with a few images of each class.
    lower_is_better : bool
        Whether curves fall where more images help.
    """

    metric: str
    curves: list[LearningCurve]
    few: FewShots | None = None
    lower_is_better: bool = False


class Learning(Section[LearningRecord]):
    """Shows scores against the number of training images."""

    name = "learning"
    title = "Learning"
    order = 70
    plots = (("learning_curve", "learning_curve"), ("few_shots", "few_shots"))

    def collect(self, context: Context) -> LearningRecord | None:
        """Score shares of the training images, if that was asked for, and take what few images teach."""
        experiment, options = context.experiment, context.options
        learns = all(len(fold.train) for fold in experiment.folds)  # a saved model that is tested learns no more
        curves = (
            learning_curves(experiment, context.store, n_jobs=options.n_jobs, progress=context.progress)
            if options.learning_curve and learns
            else []
        )
        if not curves and experiment.few_shots is None:
            return None
        metric = primary_metric(experiment)
        return LearningRecord(metric.name, curves, experiment.few_shots, metric.lower_is_better)

    def figures(self, record: LearningRecord) -> dict[str, Figure]:
        """Draw the curves, and the scores with few images."""
        curves = {"learning_curve": draw_learning_curve(record)} if record.curves else {}
        return curves | ({"few_shots": draw_few_shots(record.metric, record.few)} if record.few else {})

    def html(self, record: LearningRecord, page: Page) -> Markup:
        """Return the figures."""
        return join_all(
            _curves_html(record, page) if record.curves else None,
            _few_shots_html(record.few, page) if record.few else None,
        )


SECTION = Learning()


def draw_learning_curve(record: LearningRecord) -> Figure:
    """Draw score against the number of training images."""
    names = short_names([each.model for each in record.curves])
    traces = [
        _trace(i, name, curve.model, curve.n, curve.mean, curve.std, "%{x:,} images: %{y:.3f}<extra></extra>")
        for i, (name, curve) in enumerate(zip(names, record.curves, strict=True))
    ]
    sizes = sorted({n for curve in record.curves for n in curve.n})
    return Figure(traces, _layout(sizes, "training images", f"{record.metric} (mean ± std of the folds)"))


def draw_few_shots(metric: str, few: FewShots) -> Figure:
    """Draw score against the number of training images of each class."""
    traces = []
    for i, (name, model) in enumerate(zip(short_names(few.models), few.models, strict=True)):
        scores = few.of(model)
        reach = [each.reach or 0.0 for each in scores]
        means = [each.mean for each in scores]
        said = "%{x:,} of each class: %{y:.3f}<extra></extra>"
        traces.append(_trace(i, name, model, few.shots, means, reach, said))
    spread = f"mean and 95% interval of {few.tries} draws" if few.tries > 1 else "one draw"
    return Figure(traces, _layout(few.shots, "training images of each class", f"{metric} ({spread})"))


def _trace(
    i: int, name: str, model: str, x: list[int], y: list[float], error: list[float], hover: str
) -> dict[str, Any]:
    color, symbol = _STACK if model.startswith("stack:") else _SERIES[i % len(_SERIES)]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "y": y,
        "error_y": {"type": "data", "array": error, "thickness": 1.5, "width": 4},
        "marker": {"size": 10, "symbol": symbol, "color": color},
        "line": {"color": color, "width": 2},
        "hovertemplate": hover,
    }


def _layout(sizes: list[int], x: str, y: str) -> dict[str, Any]:
    return {
        "height": 420,
        "xaxis": {"title": {"text": x}, "type": "log", "tickvals": sizes, "ticktext": [f"{n:,}" for n in sizes]},
        "yaxis": {"title": {"text": y}},
    }


def _curves_html(record: LearningRecord, page: Page) -> Markup:
    rows = [
        [each.model, f"{n:,}", number(mean), number(std)]
        for each in record.curves
        for n, mean, std in zip(each.n, each.mean, each.std, strict=True)
    ]
    models = ", ".join(each.model for each in record.curves)
    return figure(
        page,
        "learning_curve",
        says=f"Score of {models} against the number of training images.",
        title="Would more images help?",
        note=f"If a curve still {'falls' if record.lower_is_better else 'rises'} at its right end, yes. The test "
        "images are the same at every size.",
        numbers=table(["model", "training images", "mean", "± std"], rows, caption="Learning curve"),
    )


def _few_shots_html(few: FewShots, page: Page) -> Markup:
    notes = [f"{note[:1].upper()}{note[1:]}." for note in few_table.footnotes(few)]
    return figure(
        page,
        "few_shots",
        says=f"Score of {', '.join(few.models)} against the number of training images of each class.",
        title="What do few labels teach?",
        note=" ".join(notes),
        numbers=table(few_table.header(few), few_table.rows(few), caption="Few labels"),
    )
