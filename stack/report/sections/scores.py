"""How the models of an experiment compare, each with the interval of its mean score."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.judging.model_test import MODEL_ROW
from stackbone.stack.report.blocks import Page, figure, join_all, number, scrolled
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, GREEN, NAMES, ROW, VERMILION, Figure, between, short_names
from stackbone.stack.report.markup import Child, Markup, element, table
from stackbone.stack.report.section import Section
from stackbone.stack.tables.lessons import steered_lessons
from stackbone.stack.tables.metric_names import primary_metric, titles
from stackbone.stack.tables.table import footnotes
from stackbone.stack.tasks.findings import Lesson

_LOOKS = {"backbone": (BLUE, "circle"), "baseline": (GREEN, "square"), "stack": (VERMILION, "diamond")}
_MOST_FOLDS = 5  # shown one by one in the table


@dataclass(frozen=True)
class ModelSummary:
    """One model's scores.

    Attributes
    ----------
    name, what : str
        The model, and what it is in a few words.
    kind : str
        ``backbone`` (one alone), ``baseline`` (several, plainly joined) or ``stack``.
    mean, std : float
        Of the primary metric over folds; see `stack.metrics.model_scores.ModelScore`.
    folds : list of float
        The primary metric of each.
    interval : tuple of float, optional
        95% interval of the mean, by `stack.metrics.compare`; None where there is no spread to judge it by.
    metrics : dict of str to float
        Mean of each other score.
    """

    name: str
    kind: str
    what: str
    mean: float
    std: float
    folds: list[float]
    interval: tuple[float, float] | None
    metrics: dict[str, float]


@dataclass(frozen=True)
class ScoresRecord:
    """What the section shows.

    Attributes
    ----------
    metric : str
        Name of the primary metric.
    models : list of ModelSummary
        In the order of the table.
    about : ModelSummary
        The model that the page is about.
    best : ModelSummary
        The best by the mean, the first of equals.
    lessons : list of Lesson
        What is to be known of steered backbones; what else the experiment teaches, other sections show.
    footnotes : list of str
        What the scores are whose titles do not say it.
    lower_is_better : bool
        Whether the best model is the one of the lowest score.
    """

    metric: str
    models: list[ModelSummary]
    about: ModelSummary
    best: ModelSummary
    lessons: list[Lesson]
    footnotes: list[str] = field(default_factory=list)
    lower_is_better: bool = False


class Scores(Section[ScoresRecord]):
    """Compares all models."""

    name = "scores"
    title = "Scores"
    order = 10
    plots = (("scores", "scores"),)

    def collect(self, context: Context) -> ScoresRecord:
        """Return every model of the table, in its order."""
        experiment = context.experiment
        models = [
            ModelSummary(
                name=score.model,
                kind=_kind(experiment, score.model),
                what=experiment.describe(score.model),
                mean=score.mean,
                std=score.std,
                folds=score.folds,
                interval=experiment.interval(score.model),
                metrics={name: float(np.mean(folds)) for name, folds in score.metrics.items()},
            )
            for score in experiment.evaluation.results
        ]
        metric = primary_metric(experiment)
        best = (min if metric.lower_is_better else max)(models, key=lambda each: each.mean)
        return ScoresRecord(
            metric.name,
            models,
            next(each for each in models if each.name == experiment.model_name),
            best,
            steered_lessons(experiment),
            footnotes(experiment),
            metric.lower_is_better,
        )

    def figures(self, record: ScoresRecord) -> dict[str, Figure]:
        """Draw every model."""
        return {"scores": draw_models(record)}

    def html(self, record: ScoresRecord, page: Page) -> Markup:
        """Return figure, table and lessons."""
        about, best = record.about, record.best
        says = (
            f"Dot plot of the {record.metric} of {len(record.models)} models; {about.name}, which this page is about, "
            f"has {about.mean:.3f}, and the best, {best.name}, {best.mean:.3f}."
        )
        return join_all(
            figure(page, "scores", says=says, title="Every model on the same folds", note=_legend(record)),
            scrolled(_table(record), "Scores of all models"),
            [element("p", note, class_="quiet") for note in record.footnotes],
            element("h3", "Steered backbones") if record.lessons else None,
            element("ul", [_lesson(each) for each in record.lessons], class_="lessons") if record.lessons else None,
        )


SECTION = Scores()


def draw_models(record: ScoresRecord) -> Figure:
    """Draw every model's mean score, its folds, and its interval where there is one; the best on top."""
    ranked = sorted(record.models, key=lambda each: -each.mean if record.lower_is_better else each.mean)
    names = short_names([each.name for each in ranked])
    traces = []
    for kind, (color, symbol) in _LOOKS.items():
        of_kind = [(name, each) for name, each in zip(names, ranked, strict=True) if each.kind == kind]
        if not of_kind:
            continue
        folds = [(fold, name) for name, each in of_kind for fold in each.folds if len(each.folds) > 1]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [fold for fold, _ in folds],
                "y": [name for _, name in folds],
                "marker": {"size": 8, "color": color, "symbol": f"{symbol}-open"},
                "hovertemplate": "one fold: %{x:.3f}<extra></extra>",
                "legendgroup": kind,
                "showlegend": False,
            }
        )
        means = [each.mean for _, each in of_kind]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": kind,
                "x": means,
                "y": [name for name, _ in of_kind],
                "error_x": between(means, [each.interval or (each.mean, each.mean) for _, each in of_kind], color),
                "marker": {"size": 13, "color": color, "symbol": symbol},
                "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
                "legendgroup": kind,
            }
        )
    shown = [value for each in ranked for value in (each.mean, *each.folds, *(each.interval or ()))]
    pad = 0.05 * (max(shown) - min(shown)) or 0.01
    layout = {
        "height": 96 + ROW * len(names),
        "xaxis": {"title": {"text": record.metric}, "range": [min(shown) - pad, max(shown) + pad]},
        "yaxis": {"categoryorder": "array", "categoryarray": names, **NAMES},
        "legend": {"traceorder": "reversed"},
        "margin": {"r": 56},
        "annotations": [
            {
                "x": 1,
                "xref": "paper",
                "xanchor": "left",
                "xshift": 10,
                "y": name,
                "text": f"<b>{each.mean:.3f}</b>" if each is record.about else f"{each.mean:.3f}",
                "showarrow": False,
            }
            for name, each in zip(names, ranked, strict=True)
        ],
    }
    return Figure(traces, layout)


def _kind(experiment: Experiment, model: str) -> str:
    if model.startswith("stack:") or model == MODEL_ROW:
        return "stack"
    return "backbone" if model.startswith(experiment.kind.singles) else "baseline"


def _table(record: ScoresRecord) -> Markup:
    n_folds = len(record.best.folds)
    metrics = [name for name in titles() if any(name in each.metrics for each in record.models)]
    folds = n_folds if 1 < n_folds <= _MOST_FOLDS else 0
    spread = ["± std"] if n_folds > 1 else []
    header = ["model", record.metric, *spread, *(titles()[name] for name in metrics)]
    header += [f"fold {i + 1}" for i in range(folds)] + ["what it is"]
    rows = []
    for each in record.models:
        name = element("span", each.name, class_=f"model {each.kind}")
        cells: list[Child] = [element("strong", name) if each is record.about else name, number(each.mean)]
        cells += [number(each.std)] if n_folds > 1 else []
        cells += [number(each.metrics.get(metric)) for metric in metrics]
        cells += [number(each.folds[i]) for i in range(folds)]
        rows.append([*cells, each.what])
    return table(header, rows, caption="Scores of all models", class_="models sortable")


def _legend(record: ScoresRecord) -> str:
    parts = [f"Bold: {record.about.name}, which this page is about.", "Filled: mean."]
    if len(record.best.folds) > 1:
        parts.append("Open: single folds.")
    if any(each.interval for each in record.models):
        parts.append("Pale: 95% interval of the mean, wide when there are few folds.")
    return " ".join(parts)


def _lesson(lesson: Lesson) -> Markup:
    return element("li", element("b", lesson.topic), " ", lesson.text) if lesson.topic else element("li", lesson.text)
