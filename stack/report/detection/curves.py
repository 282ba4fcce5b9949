"""Precision against recall of each class, as the threshold falls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackbone.stack.detection.judging.errors import ImageErrors
from stackbone.stack.detection.judging.matches import match_fold
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.detection.scores.matching import RECALLS, precision_curve
from stackbone.stack.report.blocks import Page, figure, join_all
from stackbone.stack.report.figures.style import CLASS_LOOKS, Figure, short_names
from stackbone.stack.report.markup import Markup, table
from stackbone.stack.report.section import Shown

_MOST_CLASSES = 8  # that can be told apart


@dataclass(frozen=True)
class ClassCurve:
    """The curve of one class.

    Attributes
    ----------
    name : str
        The class.
    ap50 : float or None
        Its average precision.
    precision : list of float
        At recalls of 0, .01, ... 1, the mean over folds; 0 where a recall is not reached.
    recall_shown, precision_shown : float
        At the thresholds that were learnt.
    """

    name: str
    ap50: float | None
    precision: list[float]
    recall_shown: float
    precision_shown: float


@dataclass(frozen=True)
class CurvesRecord:
    """What the section shows.

    Attributes
    ----------
    model : str
        Whose they are.
    curves : list of ClassCurve
        Of the classes with the most objects.
    n_more : int
        Classes that are not drawn.
    """

    model: str
    curves: list[ClassCurve]
    n_more: int


def collect_curves(experiment: DetectionExperiment, errors: Sequence[ImageErrors]) -> CurvesRecord:
    """Collect what the section shows."""
    work = experiment.detectors[experiment.main]
    matches = [match_fold(experiment.annotated, fold, each) for fold, each in zip(experiment.folds, work, strict=True)]
    score = experiment.score(experiment.main)
    curves: list[tuple[int, ClassCurve]] = []
    for number, name in enumerate(experiment.classes):
        own = [each for each in matches if each.n_objects[:, number].any()]
        if not own:
            continue
        right = sum(int(((each.objects >= 0) & (each.shown.classes == number)).sum()) for each in errors)
        wrong = sum(int((each.wrong & (each.shown.classes == number)).sum()) for each in errors)
        n_objects = int(sum(each.n_objects[:, number].sum() for each in own))
        curve = ClassCurve(
            name=name,
            ap50=score.per_class[name],
            precision=np.mean([precision_curve(each, number) for each in own], axis=0).round(4).tolist(),
            recall_shown=right / n_objects,
            precision_shown=right / max(1, right + wrong),
        )
        curves.append((n_objects, curve))
    curves.sort(key=lambda each: -each[0])
    return CurvesRecord(
        experiment.main, [each for _, each in curves[:_MOST_CLASSES]], max(0, len(curves) - _MOST_CLASSES)
    )


class Curves(Shown[CurvesRecord]):
    """Shows precision and recall."""

    name = "curves"
    title = "Precision and recall"

    def figures(self, record: CurvesRecord) -> dict[str, Figure]:
        """Draw a curve for each class, and a mark where its threshold lies."""
        return {"detection_curves": _draw(record)}

    def html(self, record: CurvesRecord, page: Page) -> Markup:
        """Return the figure and its numbers."""
        more = f" {record.n_more:,} classes with fewer objects are not drawn." if record.n_more else ""
        header = ["class", "AP50", "precision at the threshold", "recall at the threshold"]
        rows = [
            [
                each.name,
                "-" if each.ap50 is None else f"{each.ap50:.3f}",
                f"{each.precision_shown:.3f}",
                f"{each.recall_shown:.3f}",
            ]
            for each in record.curves
        ]
        return join_all(
            figure(
                page,
                "detection_curves",
                says=f"Precision against recall of {len(record.curves)} classes.",
                title=f"How many boxes are right, and how many objects have one? ({record.model})",
                note="A box is right from an overlap of one half on. Means over folds. Marks: at the thresholds from "
                f"which boxes are shown, learnt on held-out training images.{more}",
                numbers=table(header, rows, caption="Precision and recall at the thresholds"),
            )
        )


def _draw(record: CurvesRecord) -> Figure:
    names = short_names([each.name for each in record.curves])
    traces: list[dict[str, Any]] = []
    for name, each, (color, symbol) in zip(names, record.curves, CLASS_LOOKS, strict=False):
        reached = [i for i, value in enumerate(each.precision) if value > 0]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "legendgroup": name,
                "x": [round(float(RECALLS[i]), 2) for i in reached],
                "y": [each.precision[i] for i in reached],
                "line": {"color": color, "width": 2},
                "hovertemplate": f"{name}<br>recall %{{x:.2f}}, precision %{{y:.3f}}<extra></extra>",
            }
        )
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"{name} at its threshold",
                "legendgroup": name,
                "showlegend": False,
                "x": [round(each.recall_shown, 4)],
                "y": [round(each.precision_shown, 4)],
                "marker": {"color": color, "symbol": symbol, "size": 11},
                "hovertemplate": f"{name} at its threshold<br>recall %{{x:.3f}}, precision %{{y:.3f}}<extra></extra>",
            }
        )
    layout = {
        "height": 460,
        "xaxis": {"title": {"text": "recall: objects found"}, "range": [0, 1.02]},
        "yaxis": {"title": {"text": "precision: boxes that are right"}, "range": [0, 1.04]},
    }
    return Figure(traces, layout)
