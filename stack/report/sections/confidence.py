"""Whether the probabilities of a classification can be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.text import counted
from stackbone.stack.metrics.calibration import BINS, CalibrationBin, calibration_curve
from stackbone.stack.report.blocks import Page, figure, join_all, number
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.style import BLUE, GREY, VERMILION, Figure, between, translucent
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section

_BINS = 20  # of the histogram of probabilities
_LEAST_IN_BIN = 50  # images of a point of the diagram: the interval of fewer is as wide as the diagram
_FEWEST_BINS = 3
_NORMAL = 1.959964  # standard deviations within which 95% of a normal distribution lie
_HATCH = {"fillmode": "overlay", "fgcolor": translucent("#ffffff", 2 / 3), "size": 6}


@dataclass(frozen=True)
class CalibrationRange:
    """Predictions of about the same confidence.

    Attributes
    ----------
    low, high, confidence : float
        Their range and their mean, 0 to 1.
    accuracy : float
        Share of them that is right.
    n : int
        How many there are.
    interval : tuple of float
        95% interval of that share.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int
    interval: tuple[float, float]


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
    plots = (("calibration", "calibration"), ("confidence", "confidence"))

    def collect(self, context: Context) -> ConfidenceRecord | None:
        """Return what the probabilities of the examined model are worth; None where it gives none."""
        experiment, found = context.experiment, context.class_findings
        if found is None or not found.calibration:
            return None
        scores = np.concatenate([each.scores for each in context.class_predictions[experiment.model_name]])
        rows = np.concatenate([fold.test for fold in experiment.folds])
        truth, weights = context.codes[rows], experiment.weights
        curve = calibration_curve(
            truth,
            scores,
            bins=min(BINS, max(_FEWEST_BINS, len(rows) // experiment.repeats // _LEAST_IN_BIN)),
            weights=None if weights is None else weights[rows],
        )
        confidence = np.exp(np.minimum(scores.max(axis=1).astype(np.float64), 0.0))
        return ConfidenceRecord(
            context.noun,
            calibration_ranges(curve, np.sort(confidence), experiment.repeats),
            float(np.mean(experiment.evaluation.score(experiment.model_name).numbers["calibration_error"])),
            score_histogram(confidence, scores.argmax(axis=1) == truth),
        )

    def figures(self, record: ConfidenceRecord) -> dict[str, Figure]:
        """Draw the reliability diagram and the histogram."""
        return {"calibration": draw_calibration(record.ranges), "confidence": draw_scores(record.histogram)}

    def html(self, record: ConfidenceRecord, page: Page) -> Markup:
        """Return both figures."""
        bins = [
            [
                f"{each.low:.2f} to {each.high:.2f}",
                number(each.confidence),
                number(each.accuracy),
                "{:.3f} to {:.3f}".format(*each.interval),
                f"{each.n:,}",
            ]
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
                    ["probability", "mean", "right", "95% interval", f"{record.noun}s"],
                    bins,
                    caption="Calibration, bin by bin",
                ),
            ),
            figure(
                page,
                "confidence",
                says="Histogram of the probability of the predicted class, of right and of wrong predictions.",
                title="How sure it is when right and when wrong",
                numbers=table(["probability", "right", "wrong"], spans, caption="Right and wrong predictions"),
            ),
        )
        return element("div", figures, class_="pair-of-figures")


SECTION = Confidence()


def calibration_ranges(
    curve: Sequence[CalibrationBin], confidence: NDArray[np.float64], repeats: int = 1
) -> list[CalibrationRange]:
    """Return the bins of a calibration curve with their ranges: they follow each other in ascending `confidence`.

    Parameters
    ----------
    curve : sequence of CalibrationBin
        `stack.metrics.calibration.calibration_curve` of the same predictions.
    confidence : NDArray[np.float64]
        ``(n,)`` probabilities of the predicted classes, 0 to 1, ascending.
    repeats : int
        Predictions of each image, which tell no more than one of how sure the share is that is right.
    """
    ends = np.cumsum([each.n for each in curve])
    return [
        CalibrationRange(
            float(confidence[end - each.n]),
            float(confidence[end - 1]),
            each.confidence,
            each.accuracy,
            each.n,
            share_interval(each.accuracy, each.n / repeats),
        )
        for each, end in zip(curve, ends.tolist(), strict=True)
    ]


def share_interval(share: float, n: float) -> tuple[float, float]:
    """Return the 95% interval of a share of n (Wilson 1927, Journal of the American Statistical Association 22)."""
    spread = _NORMAL * np.sqrt(share * (1 - share) / n + _NORMAL**2 / (4 * n**2))
    ends = [(share + _NORMAL**2 / (2 * n) + sign * spread) / (1 + _NORMAL**2 / n) for sign in (-1, 1)]
    return max(0.0, float(ends[0])), min(1.0, float(ends[1]))


def score_histogram(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> ScoreHistogram:
    """Count ``(n,)`` probabilities, 0 to 1, of predictions that are right and that are not, in 20 bins."""
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    counts = [np.histogram(confidence[chosen], edges)[0].tolist() for chosen in (right, ~right)]
    return ScoreHistogram(edges.tolist(), *counts)


def draw_calibration(ranges: Sequence[CalibrationRange]) -> Figure:
    """Draw the share that is right against the probability (a reliability diagram), with the interval of each share."""
    confidence = [each.confidence for each in ranges]
    start = min(0.9, *(int(10 * min(each.low, each.interval[0])) / 10 for each in ranges))
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
        "mode": "markers",
        "name": "this model",
        "x": confidence,
        "y": [each.accuracy for each in ranges],
        "error_x": {**between(confidence, [(each.low, each.high) for each in ranges], BLUE), "thickness": 2},
        "error_y": between([each.accuracy for each in ranges], [each.interval for each in ranges], BLUE),
        "text": [counted(each.n, "prediction") for each in ranges],
        "marker": {
            "size": 10,
            "color": BLUE,
        },
        "hovertemplate": "sure %{x:.1%}, right %{y:.1%}<br>%{text}<extra></extra>",
    }
    layout = {
        "height": 460,
        "xaxis": {"title": {"text": "probability of the predicted class"}, "range": [start, 1.02]},
        "yaxis": {"title": {"text": "share of correct predictions"}, "range": [start, 1.02]},
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
    return f"Each point: {n}; upright: the 95% interval of the share; level: their range of probabilities."
