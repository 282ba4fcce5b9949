"""Whether the probabilities of a classification can be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.text import counted
from stackbone.stack.metrics.calibration import CalibrationBin
from stackbone.stack.report.blocks import Page, figure, join_all, number
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, GREY, VERMILION, Figure, between
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section

_BINS = 20  # of the histogram of probabilities
_HATCH = {"fillmode": "overlay", "fgcolor": "#ffffffaa", "size": 6}


@dataclass(frozen=True)
class CalibrationRange:
    """Predictions of about the same confidence: its range, its mean, how many are right, how many there are."""

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class ScoreHistogram:
    """The probability of the predicted class, of right and of wrong predictions.

    Attributes
    ----------
    edges : list of float
        Of the bins, from 0 to 1.
    right, wrong : list of int
        Predictions in each bin.
    """

    edges: list[float]
    right: list[int]
    wrong: list[int]


@dataclass(frozen=True)
class ConfidenceRecord:
    """What the section shows.

    Attributes
    ----------
    noun : str
        What is counted: ``image``, or ``prediction`` where there are several of each image.
    ranges : list of CalibrationRange
        By ascending confidence; each holds a prediction or more.
    error : float
        Expected calibration error, 0 to 1: mean over folds, the number of the table.
    histogram : ScoreHistogram
        How sure the model is, right and wrong.
    """

    noun: str
    ranges: list[CalibrationRange]
    error: float
    histogram: ScoreHistogram


class Confidence(Section[ConfidenceRecord]):
    """Shows calibration, and how sure the model is."""

    name = "confidence"
    title = "Confidence"
    order = 60
    tasks = frozenset({"classification"})
    plots = (("calibration", "calibration"), ("confidence", "scores"))

    def collect(self, context: Context) -> ConfidenceRecord | None:
        """Return what the probabilities of the examined model are worth; None where it gives none."""
        experiment, found = context.experiment, context.class_findings
        if found is None or not found.calibration:
            return None
        scores = np.concatenate([each.scores for each in context.class_predictions[experiment.model_name]])
        truth = context.codes[np.concatenate([fold.test for fold in experiment.folds])]
        confidence = np.exp(np.minimum(scores.max(axis=1).astype(np.float64), 0.0))
        return ConfidenceRecord(
            context.noun,
            calibration_ranges(found.calibration, np.sort(confidence)),
            float(np.mean(experiment.evaluation.score(experiment.model_name).numbers["calibration_error"])),
            score_histogram(confidence, scores.argmax(axis=1) == truth),
        )

    def figures(self, record: ConfidenceRecord) -> dict[str, Figure]:
        """Draw the reliability diagram and the histogram."""
        return {"calibration": draw_calibration(record.ranges), "scores": draw_scores(record.histogram)}

    def html(self, record: ConfidenceRecord, page: Page) -> Markup:
        """Return both figures."""
        bins = [
            [f"{each.low:.2f} to {each.high:.2f}", number(each.confidence), number(each.accuracy), f"{each.n:,}"]
            for each in record.ranges
        ]
        histogram = record.histogram
        spans = [
            [f"{low:.2f} to {high:.2f}", f"{right:,}", f"{wrong:,}"]
            for (low, high), right, wrong in zip(
                pairwise(histogram.edges), histogram.right, histogram.wrong, strict=True
            )
        ]
        says = f"Calibration error {record.error:.3f}, as in the table: the mean over folds."
        figures = join_all(
            figure(
                page,
                "calibration",
                says=f"Share of right predictions against their probability. {says}",
                title="Is it right as often as it claims?",
                note=f"Below the line: overconfident. {says} The points show all folds together. {_counts(record)}",
                numbers=table(
                    ["probability", "mean", "right", f"{record.noun}s"], bins, caption="Calibration, bin by bin"
                ),
            ),
            figure(
                page,
                "scores",
                says="Histogram of the probability of the predicted class, of right and of wrong predictions.",
                title="How sure it is when right and when wrong",
                numbers=table(["probability", "right", "wrong"], spans, caption="Right and wrong predictions"),
            ),
        )
        return element("div", figures, class_="pair-of-figures")


SECTION = Confidence()


def calibration_ranges(curve: Sequence[CalibrationBin], confidence: NDArray[np.float64]) -> list[CalibrationRange]:
    """Return the bins of a calibration curve with their ranges: they follow each other in ascending `confidence`.

    Parameters
    ----------
    curve : sequence of CalibrationBin
        `stack.metrics.calibration.calibration_curve` of the same predictions.
    confidence : NDArray[np.float64]
        ``(n,)`` probabilities of the predicted classes, 0 to 1, ascending.
    """
    ends = np.cumsum([each.n for each in curve])
    return [
        CalibrationRange(
            float(confidence[end - each.n]), float(confidence[end - 1]), each.confidence, each.accuracy, each.n
        )
        for each, end in zip(curve, ends.tolist(), strict=True)
    ]


def score_histogram(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> ScoreHistogram:
    """Count ``(n,)`` probabilities, 0 to 1, of predictions that are right and that are not, in 20 bins."""
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    counts = [np.histogram(confidence[chosen], edges)[0].tolist() for chosen in (right, ~right)]
    return ScoreHistogram(edges.tolist(), *counts)


def draw_calibration(ranges: Sequence[CalibrationRange]) -> Figure:
    """Draw the share that is right against the probability (a reliability diagram); pale: the width of each bin."""
    largest = max(each.n for each in ranges)
    confidence = [each.confidence for each in ranges]
    ideal = {
        "type": "scatter",
        "mode": "lines",
        "name": "perfectly calibrated",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"dash": "dot", "color": GREY, "width": 1.5},
        "hoverinfo": "skip",
    }
    model = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "this model",
        "x": confidence,
        "y": [each.accuracy for each in ranges],
        "error_x": between(confidence, [(each.low, each.high) for each in ranges], BLUE),
        "text": [counted(each.n, "prediction") for each in ranges],
        "marker": {"size": 10, "color": BLUE, "opacity": [0.4 + 0.6 * each.n / largest for each in ranges]},
        "line": {"color": BLUE, "width": 2},
        "hovertemplate": "sure %{x:.1%}, right %{y:.1%}<br>%{text}<extra></extra>",
    }
    layout = {
        "height": 460,
        "xaxis": {"title": {"text": "probability of the predicted class"}, "range": [0, 1.02]},
        "yaxis": {"title": {"text": "share of correct predictions"}, "range": [0, 1.02]},
    }
    return Figure([ideal, model], layout)


def draw_scores(histogram: ScoreHistogram) -> Figure:
    """Draw how the right predictions are spread over the probabilities, and how the wrong ones are."""
    edges = histogram.edges
    looks = (("right", histogram.right, BLUE, ""), ("wrong", histogram.wrong, VERMILION, "/"))
    traces = [
        {
            "type": "bar",
            "name": f"{sum(counts):,} {name}",
            "x": [(low + high) / 2 for low, high in pairwise(edges)],
            "y": [n / max(sum(counts), 1) for n in counts],
            "text": [f"{n:,} {name}" for n in counts],
            "textposition": "none",
            "marker": {"color": color, "pattern": {"shape": shape, **_HATCH}, "line": {"width": 0}},
            "hovertemplate": "%{text} (%{y:.1%})<extra></extra>",
        }
        for name, counts, color, shape in looks
    ]
    layout = {
        "height": 460,
        "barmode": "group",
        "bargap": 0.15,
        "xaxis": {"title": {"text": "probability of the predicted class"}, "range": [edges[0], edges[-1]]},
        "yaxis": {"title": {"text": "share of right and of wrong predictions"}, "tickformat": ".0%"},
    }
    return Figure(traces, layout)


def _counts(record: ConfidenceRecord) -> str:
    counts = [each.n for each in record.ranges]
    most = counted(max(counts), record.noun)
    n = most if min(counts) == max(counts) else f"{min(counts):,} to {most}"
    return f"Each point: {n}; pale: their range of probabilities."
