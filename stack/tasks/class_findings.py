"""Where a classification errs: on which classes and images, and how well it knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.text import counted
from stackbone.stack.metrics.calibration import CalibrationBin, calibration_curve
from stackbone.stack.metrics.compare import Difference, ErrorOverlap, error_overlap
from stackbone.stack.metrics.confusion import (
    ClassReport,
    ConfusedPair,
    confidently_wrong,
    confused_pairs,
    overruled,
    per_class,
)
from stackbone.stack.metrics.model_scores import pool
from stackbone.stack.tasks.findings import SHOWN, Examined, Findings, Lesson, is_perfect
from stackbone.stack.tasks.truth import Truth

_MOST = 20  # confused pairs and wrong images that are listed


@dataclass(frozen=True)
class WrongImage:
    """An image that a model is sure of, and wrong about: often the label is.

    Attributes
    ----------
    path : str
        Of the image, as the dataset lists it.
    label, predicted : str
        Its label, and the class that the model takes it for.
    score : float
        Probability of the predicted class, 0 to 1; of a linear SVM, the decision value.
    """

    path: str
    label: str
    predicted: str
    score: float


@dataclass(frozen=True)
class OverruledImage(WrongImage):
    """An image on which all backbones agree, and the model answers otherwise, rightly or not.

    Attributes
    ----------
    backbones : str
        The class that all backbones take it for.
    """

    backbones: str


@dataclass(frozen=True)
class Overruled:
    """Where all backbones agree, and the model answers otherwise.

    Attributes
    ----------
    n : int
        Such images.
    n_right, n_backbones_right : int
        Those on which the model is right, and those on which the backbones are.
    images : list of OverruledImage
        The first of them, those of which the model is surest.
    """

    n: int
    n_right: int
    n_backbones_right: int
    images: list[OverruledImage]


@dataclass(frozen=True, eq=False)
class ClassFindings(Findings):
    """What the scores of a classification mean.

    Attributes
    ----------
    difference : Difference
        As of every task; of classes it can always be told.
    ablation : mapping of str to Difference
        As of every task, each with its interval.
    overlap : ErrorOverlap
        Of the errors of the backbones' logistic regressions.
    classes : list of ClassReport
        Scores of each class.
    confused : list of ConfusedPair
        The most frequent confusions.
    wrong : list of WrongImage
        The most confidently wrong, but for those on which the model overrules all backbones.
    calibration : list of CalibrationBin
        Confidence against accuracy; empty if the model gives no probabilities.
    overruled : Overruled, optional
        Where the model answers otherwise than all backbones; None if nowhere.
    """

    difference: Difference
    ablation: Mapping[str, Difference]
    overlap: ErrorOverlap
    classes: list[ClassReport]
    confused: list[ConfusedPair]
    wrong: list[WrongImage]
    calibration: list[CalibrationBin]
    overruled: Overruled | None = None

    def error_lessons(self) -> list[Lesson]:
        """Return shared errors, the weakest classes, the commonest confusions and the surest errors."""
        lessons = [_overlap_lesson(self.overlap)] if len(self.overlap.names) > 1 and any(self.overlap.wrong) else []
        tested = (each for each in self.classes if each.n and not is_perfect(each.f1))
        weakest = sorted(tested, key=lambda each: each.f1)[:SHOWN]
        if weakest:
            lessons.append(Lesson(", ".join(f"{each.name} {each.f1:.2f}" for each in weakest), "weakest classes (F1)"))
        if self.confused:
            pairs = (f"{each.true} for {each.predicted} ({each.n})" for each in self.confused[:SHOWN])
            lessons.append(Lesson(", ".join(pairs), "most often mistaken"))
        if self.overruled is not None:
            lessons.append(_overruled_lesson(self.overruled, self.stack))
        return lessons + [
            Lesson(
                f"{each.path} is labelled {each.label}, taken for {each.predicted}", "confidently wrong, or mislabelled"
            )
            for each in self.wrong[:SHOWN]
        ]

    def by_class(self) -> list[dict[str, object]]:
        """Return the scores of each class."""
        return [each.to_dict() for each in self.classes]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            **super().to_dict(),
            "overlap": self.overlap.to_dict(),
            "classes": self.by_class(),
            "confused": [each.to_dict() for each in self.confused],
            "wrong": [asdict(each) for each in self.wrong],
            "calibration": [each.to_dict() for each in self.calibration],
            "overruled": None if self.overruled is None else asdict(self.overruled),
        }


def find_class_errors(common: Findings, examined: Examined, members: str) -> ClassFindings:
    """Look at the errors of a classification; of several repeats, each image counts once, by its mean in each number.

    Parameters
    ----------
    common : Findings
        What every task finds.
    examined : Examined
        The predictions.
    members : str
        How the names of the models begin whose errors are compared, such as ``lr:``; there may be none.
    """
    truth, model = examined.truth, common.stack
    true = truth.values[examined.tested]
    predictions = examined.evaluation.predictions
    predicted = {name: examined.joined(name).argmax(axis=1) for name in predictions}
    probability = predictions[model][0].probability
    pooled = pool(predictions[model], examined.folds)
    voters = [
        pool(each, examined.folds)[1].argmax(axis=1) for name, each in predictions.items() if name.startswith(members)
    ]
    against = overruled(pooled[1].argmax(axis=1), voters)
    wrong = {name.removeprefix(members): found != true for name, found in predicted.items() if name.startswith(members)}
    repeats = len(true) // len(pooled[0])  # every repeat tests the same images, each once
    return ClassFindings(
        common.stack,
        common.single,
        cast(Difference, common.difference),
        cast("Mapping[str, Difference]", common.ablation),
        overlap=error_overlap(wrong) if wrong else ErrorOverlap([], np.zeros((0, 0)), [], 0.0),
        classes=per_class(true, predicted[model], truth.classes, repeats),
        confused=confused_pairs(true, predicted[model], truth.classes, top=_MOST, repeats=repeats),
        wrong=_wrong_images(*pooled, truth, examined.paths, against, probability=probability),
        calibration=calibration_curve(true, examined.joined(model)) if probability else [],
        overruled=_overruled(*pooled, truth, examined.paths, against, voters, probability=probability),
    )


def _wrong_images(
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    truth: Truth,
    paths: Sequence[str],
    against: NDArray[np.bool_],
    *,
    probability: bool,
) -> list[WrongImage]:
    """List the most confidently wrong images; of several repeats, each image counts once, with its mean scores."""
    names, codes = truth.classes, truth.values
    wrong = confidently_wrong(codes[rows], scores, top=_MOST, probability=probability, without=against)
    best = np.exp(scores.max(axis=1)) if probability else scores.max(axis=1)
    predicted = names[scores.argmax(axis=1)]
    return [WrongImage(paths[rows[i]], str(names[codes[rows[i]]]), str(predicted[i]), float(best[i])) for i in wrong]


def _overruled(
    rows: NDArray[np.int64],
    scores: NDArray[np.float64],
    truth: Truth,
    paths: Sequence[str],
    against: NDArray[np.bool_],
    voters: Sequence[NDArray[np.int64]],
    *,
    probability: bool,
) -> Overruled | None:
    """List the images on which all backbones agree and the model answers otherwise, the surest first."""
    if not against.any():
        return None
    names, codes, predicted, best = truth.classes, truth.values[rows], scores.argmax(axis=1), scores.max(axis=1)
    found = np.flatnonzero(against)
    images = [
        OverruledImage(
            paths[rows[i]],
            str(names[codes[i]]),
            str(names[predicted[i]]),
            float(np.exp(best[i]) if probability else best[i]),
            str(names[voters[0][i]]),
        )
        for i in found[np.argsort(-best[found], kind="stable")][:_MOST]
    ]
    n_right = int((predicted == codes)[found].sum())
    return Overruled(len(found), n_right, int((voters[0] == codes)[found].sum()), images)


def _overruled_lesson(found: Overruled, model: str) -> Lesson:
    first = found.images[0]
    return Lesson(
        f"{model} answers otherwise on {counted(found.n, 'image')}, and is right on {found.n_right} of them, where the "
        f"backbones are on {found.n_backbones_right}; such as {first.path}, labelled {first.label}: they say "
        f"{first.backbones}, it says {first.predicted}",
        "where all backbones agree",
    )


def _overlap_lesson(overlap: ErrorOverlap) -> Lesson:
    shared = {
        (overlap.names[i], overlap.names[j]): float(overlap.jaccard[i, j])
        for i, j in combinations(range(len(overlap.names)), 2)
    }
    (a, b), least = min(shared.items(), key=lambda each: each[1])
    return Lesson(
        f"at least one backbone is right on {overlap.oracle:.1%} of the images; {a} and {b} share the fewest errors "
        f"({least:.0%} of those that either makes)"
    )
