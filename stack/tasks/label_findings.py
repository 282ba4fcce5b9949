"""Where predictions of labels err: on which labels, and on which images most surely."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.metrics.model_scores import pool
from stackbone.stack.metrics.several.labels import LabelReport, per_label
from stackbone.stack.tasks.findings import SHOWN, Examined, Findings, Lesson, is_perfect

_MOST = 20  # wrong labels that are listed


@dataclass(frozen=True)
class WrongLabel:
    """An image that a model is sure has a label, or has it not, and is wrong about: often the label is.

    Attributes
    ----------
    path : str
        Of the image, as the dataset lists it.
    label : str
        The label.
    has : bool
        Whether the dataset says that the image has it.
    probability : float
        That the model gives it, 0 to 1; of several repeats the mean.
    """

    path: str
    label: str
    has: bool
    probability: float


@dataclass(frozen=True, eq=False)
class LabelFindings(Findings):
    """What the scores of predicted labels mean.

    Attributes
    ----------
    labels : list of LabelReport
        Scores of each label.
    wrong : list of WrongLabel
        The most surely wrong labels of images.
    """

    labels: list[LabelReport]
    wrong: list[WrongLabel]

    def error_lessons(self) -> list[Lesson]:
        """Return the weakest labels and the surest errors."""
        scored = [(each.ap, each.name) for each in self.labels if each.ap is not None and not is_perfect(each.ap)]
        weakest = ", ".join(f"{name} {ap:.2f}" for ap, name in sorted(scored)[:SHOWN])
        lessons = [Lesson(weakest, "weakest labels (average precision)")] if scored else []
        return lessons + [
            Lesson(
                f"{each.path} is {'labelled' if each.has else 'not labelled'} {each.label}, and the model gives it "
                f"{each.probability:.2f}",
                "surely wrong, or mislabelled",
            )
            for each in self.wrong[:SHOWN]
        ]

    def by_class(self) -> list[dict[str, object]]:
        """Return the scores of each label."""
        return [each.to_dict() for each in self.labels]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {**super().to_dict(), "labels": self.by_class(), "wrong": [asdict(each) for each in self.wrong]}


def find_label_errors(common: Findings, examined: Examined) -> LabelFindings:
    """Look at each label; of several repeats, each image counts once, by its mean.

    Parameters
    ----------
    common : Findings
        What every task finds.
    examined : Examined
        The predictions.
    """
    names = examined.truth.classes
    rows, presence, probability, present = pooled_labels(examined, common.stack)
    surest = surely_wrong(presence, probability, _MOST)
    wrong = [
        WrongLabel(
            examined.paths[rows[image]], str(names[code]), bool(presence[image, code]), float(probability[image, code])
        )
        for image, code in surest
    ]
    labels = per_label(names, presence, probability, present)
    return LabelFindings(common.stack, common.single, common.difference, common.ablation, labels, wrong)


def pooled_labels(
    examined: Examined, model: str
) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float64], NDArray[np.bool_]]:
    """Return what one model says of each tested image, once.

    Returns
    -------
    rows : NDArray[np.int64]
        ``(n,)`` ascending rows that a fold tests.
    presence : NDArray[np.int8]
        ``(n, n_labels)`` which labels they have.
    probability : NDArray[np.float64]
        ``(n, n_labels)``, 0 to 1; of several repeats the mean.
    present : NDArray[np.bool_]
        ``(n, n_labels)`` whether the label is said to be there: of several repeats, by half of them or more.
    """
    predictions = examined.evaluation.predictions[model]
    rows, scores = pool(predictions, examined.folds)
    votes, tested = np.zeros(scores.shape), np.zeros(len(rows))
    for prediction, fold in zip(predictions, examined.folds, strict=True):
        own = np.searchsorted(rows, fold.test)
        votes[own] += prediction.present
        tested[own] += 1
    return rows, examined.truth.values[rows], np.exp(scores), 2 * votes >= tested[:, None]


def surely_wrong(presence: NDArray[np.int8], probability: NDArray[np.float64], top: int) -> list[tuple[int, int]]:
    """Return (image, label) of the labels whose probability is furthest from the truth, beyond one half.

    Parameters
    ----------
    presence, probability : NDArray
        ``(n, n_labels)``, of each label 0 or 1, and 0 to 1.
    top : int
        How many, at most.
    """
    off = np.abs(presence - probability)
    flat = np.argsort(-off, axis=None, kind="stable")[:top]
    images, labels = np.unravel_index(flat, off.shape)
    pairs = zip(images.tolist(), labels.tolist(), strict=True)
    return [pair for pair in pairs if off[pair] > 0.5]
