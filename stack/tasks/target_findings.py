"""Where a regression errs: on which images the most, and of several numbers on which number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.metrics import regression_metrics
from stackbone.stack.metrics.model_scores import ModelScore, Prediction, pool
from stackbone.stack.tasks.findings import SHOWN, Examined, Findings, Lesson, is_perfect
from stackbone.stack.tasks.truth import Truth

_MOST = 20  # largest errors that are listed


@dataclass(frozen=True)
class TargetError:
    """An image whose number a model missed by far: often the label is wrong.

    Attributes
    ----------
    path : str
        Of the image, as the dataset lists it.
    label, predicted : float
        Its number, and what the model says; of several repeats their mean.
    """

    path: str
    label: float
    predicted: float


@dataclass(frozen=True, eq=False)
class TargetFindings(Findings):
    """What the scores of a regression mean.

    Attributes
    ----------
    ablation : mapping of str to float
        As of every task; without an interval.
    worst : list of TargetError
        The largest errors.
    """

    ablation: Mapping[str, float]
    worst: list[TargetError]

    def error_lessons(self) -> list[Lesson]:
        """Return the images that are furthest off."""
        return [
            Lesson(
                f"{each.path} is labelled {each.label:g}, taken for {each.predicted:.4g}",
                "furthest off, or mislabelled",
            )
            for each in self.worst[:SHOWN]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {**super().to_dict(), "worst": [asdict(each) for each in self.worst]}


def find_target_errors(common: Findings, examined: Examined) -> TargetFindings:
    """Look for the largest errors of a regression.

    Parameters
    ----------
    common : Findings
        What every task finds.
    examined : Examined
        The predictions.
    """
    y = examined.truth.values
    tested, values = pool(examined.evaluation.predictions[common.stack], examined.folds)
    order = np.argsort(-np.abs(values - y[tested]), kind="stable")[:_MOST]
    worst = [TargetError(examined.paths[tested[i]], float(y[tested[i]]), float(values[i])) for i in order]
    return TargetFindings(
        common.stack, common.single, common.difference, cast("Mapping[str, float]", common.ablation), worst
    )


@dataclass(frozen=True)
class NumberError(TargetError):
    """An image of which a model missed one of several numbers by far.

    Attributes
    ----------
    number : str
        Which.
    """

    number: str


@dataclass(frozen=True, eq=False)
class NumberFindings(Findings):
    """What the scores of several numbers mean.

    Attributes
    ----------
    ablation : mapping of str to float
        As of every task; without an interval.
    numbers : list of ModelScore
        R² and errors of each number in each fold, each in its own unit; its name stands for the model's.
    worst : list of NumberError
        The largest errors, as shares of the spread of their numbers.
    """

    ablation: Mapping[str, float]
    numbers: list[ModelScore]
    worst: list[NumberError]

    def error_lessons(self) -> list[Lesson]:
        """Return the numbers that are known worst, and the images that are furthest off."""
        known = (each for each in self.numbers if not is_perfect(each.mean))
        weakest = sorted(known, key=lambda each: each.mean)[:SHOWN]
        told = ", ".join(f"{each.model} {each.mean:.2f}" for each in weakest)
        return ([Lesson(told, "weakest numbers (R²)")] if told else []) + [
            Lesson(
                f"{each.number} of {each.path} is labelled {each.label:g}, taken for {each.predicted:.4g}",
                "furthest off, or mislabelled",
            )
            for each in self.worst[:SHOWN]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        numbers = []
        for each in self.numbers:
            scores = each.to_dict()
            numbers.append({"number": scores.pop("model"), **scores})
        return {**super().to_dict(), "numbers": numbers, "worst": [asdict(each) for each in self.worst]}


def find_number_errors(common: Findings, examined: Examined) -> NumberFindings:
    """Look for the largest errors of several numbers.

    Parameters
    ----------
    common : Findings
        What every task finds.
    examined : Examined
        The predictions.
    """
    truth, predictions = examined.truth, examined.evaluation.predictions[common.stack]
    tested, values = pool(predictions, examined.folds)
    worst = [
        NumberError(
            examined.paths[tested[row]],
            float(truth.values[tested[row], column]),
            float(values[row, column]),
            str(truth.targets[column]),
        )
        for row, column in furthest_off(truth, tested, values, _MOST)
    ]
    ablation = cast("Mapping[str, float]", common.ablation)
    numbers = score_each(truth, predictions, examined.folds, examined.weights)
    return NumberFindings(common.stack, common.single, common.difference, ablation, numbers, worst)


def score_each(
    truth: Truth, predictions: Sequence[Prediction], folds: Sequence[Fold], weights: Weights
) -> list[ModelScore]:
    """Return the scores of one model on each number, as those of a regression of it alone, under its name.

    Parameters
    ----------
    truth : Truth
        Of several numbers.
    predictions : sequence of Prediction
        Of the model, one per fold.
    folds : sequence of Fold
        Their folds.
    weights : NDArray[np.float64], optional
        ``(n_images,)`` what each image counts for.
    """
    found = []
    for column, name in enumerate(truth.targets):
        each = [
            regression_metrics(
                truth.values[fold.test, column],
                prediction.scores[:, column].astype(np.float64),
                weights=None if weights is None else weights[fold.test],
            )
            for prediction, fold in zip(predictions, folds, strict=True)
        ]
        found.append(ModelScore.of_folds(str(name), each, "r2"))
    return found


def furthest_off(
    truth: Truth, tested: NDArray[np.int64], values: NDArray[np.float64], top: int
) -> list[tuple[int, int]]:
    """Return (position, number) of the predictions that are furthest off, each number in the unit of its spread.

    Parameters
    ----------
    truth : Truth
        Of several numbers.
    tested : NDArray[np.int64]
        ``(n,)`` rows of it.
    values : NDArray[np.float64]
        ``(n, n_targets)`` what is predicted of these rows.
    top : int
        How many, at most.
    """
    spread = truth.values.std(axis=0)
    off = np.abs(values - truth.values[tested]) / np.where(spread > 0, spread, 1)  # of few images a number may be one
    rows, columns = np.unravel_index(np.argsort(-off, axis=None, kind="stable")[:top], off.shape)
    return list(zip(rows.tolist(), columns.tolist(), strict=True))
