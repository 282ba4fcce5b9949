"""What more training images would bring."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.stack.experiments.learning_curve import LearningCurve, learning_curves
from stackbone.stack.report.blocks import Page, figure, number
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, GREEN, ORANGE, PURPLE, VERMILION, Figure, short_names
from stackbone.stack.report.markup import Markup, table
from stackbone.stack.report.section import Section
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
    lower_is_better : bool
        Whether curves fall where more images help.
    """

    metric: str
    curves: list[LearningCurve]
    lower_is_better: bool = False


class Learning(Section[LearningRecord]):
    """Shows scores against the number of training images."""

    name = "learning"
    title = "Learning"
    order = 70

    def collect(self, context: Context) -> LearningRecord | None:
        """Score shares of the training images, if that was asked for."""
        options = context.options
        if not options.learning_curve:
            return None
        curves = learning_curves(context.experiment, context.store, n_jobs=options.n_jobs, progress=context.progress)
        metric = primary_metric(context.experiment)
        return LearningRecord(metric.name, curves, metric.lower_is_better) if curves else None

    def figures(self, record: LearningRecord) -> dict[str, Figure]:
        """Draw the curves."""
        return {"learning_curve": draw_learning_curve(record)}

    def html(self, record: LearningRecord, page: Page) -> Markup:
        """Return the figure."""
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


SECTION = Learning()


def draw_learning_curve(record: LearningRecord) -> Figure:
    """Draw score against the number of training images."""
    names = short_names([each.model for each in record.curves])
    traces = []
    for i, (name, curve) in enumerate(zip(names, record.curves, strict=True)):
        color, symbol = _STACK if curve.model.startswith("stack:") else _SERIES[i % len(_SERIES)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "x": curve.n,
                "y": curve.mean,
                "error_y": {"type": "data", "array": curve.std, "thickness": 1.5, "width": 4},
                "marker": {"size": 10, "symbol": symbol, "color": color},
                "line": {"color": color, "width": 2},
                "hovertemplate": "%{x:,} images: %{y:.3f}<extra></extra>",
            }
        )
    sizes = sorted({n for curve in record.curves for n in curve.n})
    layout = {
        "height": 420,
        "xaxis": {
            "title": {"text": "training images"},
            "type": "log",
            "tickvals": sizes,
            "ticktext": [f"{n:,}" for n in sizes],
        },
        "yaxis": {"title": {"text": f"{record.metric} (mean ± std of the folds)"}},
    }
    return Figure(traces, layout)
