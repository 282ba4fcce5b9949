"""Where the examined model errs, as numbers to be drawn: confusion, calibration, how sure it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.folds.folds import Fold
from stackbone.stack.metrics.calibration import CalibrationBin, calibration_error
from stackbone.stack.metrics.compare import ErrorOverlap
from stackbone.stack.metrics.confusion import ClassReport
from stackbone.stack.metrics.model_scores import Evaluation, Prediction, pool
from stackbone.stack.report.gallery import Answers, ImageList, PairPictures, WrongPicture
from stackbone.stack.tasks.class_findings import ClassFindings

_BINS = 20  # of the histogram of probabilities
_MOST_OPTIMAL = 400  # classes; the optimal order of twice as many takes eight times as long
_MOST_TARGETS = 20_000
_WORST_TARGETS = 60


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """How often each class is taken for each.

    Attributes
    ----------
    model : str
        The model examined.
    order : NDArray[np.int64]
        Class codes so that classes taken for one another are neighbours.
    counts : NDArray[np.int64]
        ``(n_classes, n_classes)``, the true class in rows, the predicted one in columns, by code. With repeats
        each prediction counts.
    """

    model: str
    order: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class CalibrationRange:
    """Predictions of about the same confidence: its range, its mean, how many are right, how many there are."""

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """The probability of the predicted class, of right and of wrong predictions.

    Attributes
    ----------
    edges : NDArray[np.float64]
        ``(n_bins + 1,)`` from 0 to 1; empty where the examined model gives no probabilities, as are the others.
    right, wrong : NDArray[np.int64]
        ``(n_bins,)`` predictions.
    """

    edges: NDArray[np.float64]
    right: NDArray[np.int64]
    wrong: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ErrorFigures:
    """What there is to draw of one model's predictions."""

    confusion: ConfusionMatrix
    calibration: list[CalibrationRange]
    calibration_error: float | None
    scores: ScoreHistogram


@dataclass(frozen=True, eq=False)
class ClassErrors:
    """Where a classification errs.

    Attributes
    ----------
    figures : ErrorFigures
        Of the examined model.
    classes : list of ClassReport
        Scores of each class.
    pairs : list of PairPictures
        Most frequent confusions.
    wrong : list of WrongPicture
        Most confidently wrong.
    overlap : ErrorOverlap
        Of the backbones' errors.
    """

    figures: ErrorFigures
    classes: list[ClassReport]
    pairs: list[PairPictures]
    wrong: list[WrongPicture]
    overlap: ErrorOverlap


@dataclass(frozen=True, eq=False)
class TargetPoints:
    """Predicted numbers against true ones.

    Attributes
    ----------
    model : str
        The model examined.
    rows : NDArray[np.int64]
        ``(n,)`` images, ascending.
    true, predicted : NDArray[np.float64]
        ``(n,)`` in the label's unit; of several repeats the mean.
    worst : NDArray[np.int64]
        Those of the rows that are furthest off, the worst first.
    """

    model: str
    rows: NDArray[np.int64]
    true: NDArray[np.float64]
    predicted: NDArray[np.float64]
    worst: NDArray[np.int64]


def class_errors(
    experiment: Experiment, evaluation: Evaluation, names: list[str], codes: NDArray[np.int64], images: ImageList
) -> ClassErrors:
    """Return where a classification errs.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    evaluation : Evaluation
        Its own.
    names : list of str
        Of the classes, by code.
    codes : NDArray[np.int64]
        ``(n_images,)`` class codes.
    images : ImageList
        Grows by those to show.
    """
    found, folds, rows = cast(ClassFindings, experiment.findings), experiment.folds, experiment.joined.rows
    answers = Answers(evaluation.predictions, folds, codes, found.stack)
    return ClassErrors(
        figures=error_figures(
            found.stack, evaluation.predictions[found.stack], folds, codes, len(names), found.calibration
        ),
        classes=found.classes,
        wrong=answers.wrong(images, rows),
        pairs=answers.pairs(found.confused, names, images, rows),
        overlap=found.overlap,
    )


def error_sections(found: ClassErrors | None) -> dict[str, object]:
    """Return the sections of a report that a classification fills; empty or null for a regression."""
    return {
        "confusion": found and found.figures.confusion,
        "per_class": [
            {"class": code, "n": each.n, "precision": each.precision, "recall": each.recall, "f1": each.f1}
            for code, each in enumerate(found.classes if found else [])
        ],
        "confused_pairs": found.pairs if found else [],
        "wrong": found.wrong if found else [],
        "overlap": found and {"models": found.overlap.names, "matrix": found.overlap.jaccard},
        "calibration": found.figures.calibration if found else [],
        "calibration_error": found and found.figures.calibration_error,
        "scores": found and found.figures.scores,
    }


def error_figures(
    model: str,
    predictions: Sequence[Prediction],
    folds: Sequence[Fold],
    codes: NDArray[np.int64],
    n_classes: int,
    curve: Sequence[CalibrationBin],
) -> ErrorFigures:
    """Count what a model's predictions of each fold say, each prediction of each repeat for itself.

    Parameters
    ----------
    model : str
        Its name.
    predictions : sequence of Prediction
        One per fold.
    folds : sequence of Fold
        The outer folds.
    codes : NDArray[np.int64]
        ``(n_images,)`` class codes.
    n_classes : int
        Number of classes.
    curve : sequence of CalibrationBin
        `stack.metrics.calibration.calibration_curve` of the same predictions; empty where they are no probabilities.
    """
    truth = codes[np.concatenate([fold.test for fold in folds])]
    scores = np.concatenate([each.scores for each in predictions])
    predicted = scores.argmax(axis=1)
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    matrix = ConfusionMatrix(model, similarity_order(counts), counts)
    if not curve:
        nothing = np.zeros(0, np.int64)
        return ErrorFigures(matrix, [], None, ScoreHistogram(np.zeros(0), nothing, nothing))
    confidence = np.exp(np.minimum(scores.max(axis=1).astype(np.float64), 0.0))
    right = predicted == truth
    edges = np.linspace(0.0, 1.0, _BINS + 1)
    histogram = ScoreHistogram(
        edges, np.histogram(confidence[right], edges)[0], np.histogram(confidence[~right], edges)[0]
    )
    return ErrorFigures(matrix, _ranges(curve, np.sort(confidence)), calibration_error(curve), histogram)


def similarity_order(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order classes so that those taken for one another are neighbours.

    The optimal leaf ordering (Bar-Joseph, Gifford & Jaakkola 2001, Bioinformatics 17 suppl. 1) of an
    average-linkage clustering, where two classes are the nearer the larger the share of either that is taken for the
    other. Of more than 400 classes the order of the clustering as it comes.

    Parameters
    ----------
    counts : NDArray[np.int64]
        ``(n_classes, n_classes)`` confusion matrix, the true class in rows.

    Returns
    -------
    NDArray[np.int64]
        ``(n_classes,)`` class codes.
    """
    n = len(counts)
    if n < 3:
        return np.arange(n)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    distance = 1.0 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0.0)
    condensed = squareform(distance, checks=False)
    tree = linkage(condensed, "average")
    if n <= _MOST_OPTIMAL:
        tree = optimal_leaf_ordering(tree, condensed)
    return cast("NDArray[np.int64]", leaves_list(tree).astype(np.int64))


def target_points(
    model: str, predictions: Sequence[Prediction], folds: Sequence[Fold], y: NDArray[np.float64], seed: int
) -> TargetPoints:
    """Return the points of a regression; of more than 20,000 images a random sample and the worst.

    Parameters
    ----------
    model : str
        Its name.
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
    return TargetPoints(model, rows, y[rows], values[kept], tested[worst])


def _ranges(curve: Sequence[CalibrationBin], confidence: NDArray[np.float64]) -> list[CalibrationRange]:
    """Add the range of each bin: they follow each other in the ascending `confidence`."""
    ends = np.cumsum([each.n for each in curve])
    return [
        CalibrationRange(
            float(confidence[end - each.n]), float(confidence[end - 1]), each.confidence, each.accuracy, each.n
        )
        for each, end in zip(curve, ends.tolist(), strict=True)
    ]
