"""Where a model is wrong: class by class, pair by pair, image by image.

True and predicted class codes flow in, small records for the report flow out. What has no value by its
definition, such as the precision of a class that was never predicted, is 0, as scikit-learn counts it
under ``zero_division=0``. The whole matrix is scikit-learn's `confusion_matrix`; here are the parts of
it that people read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.metrics.checks import Scores, check_codes, check_log_probabilities, check_scores


@dataclass(frozen=True)
class ClassReport:
    """How well one class is told from the others.

    Attributes
    ----------
    name : str
        The class.
    n : int
        Images of it.
    precision : float
        Share of the images called so that are so; 0 where none is called so.
    recall : float
        Share of its images that are called so; 0 where there are none.
    f1 : float
        Harmonic mean of the two; 0 where both are.
    """

    name: str
    n: int
    precision: float
    recall: float
    f1: float

    def to_dict(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class ConfusedPair:
    """One class taken for another.

    Attributes
    ----------
    true, predicted : str
        The class it is, and the class it is taken for.
    n : int
        Images of the one that are taken for the other; of several repeats their mean, rounded, and at least 1.
    share : float
        The same as a share of all images of the true class, 0 to 1.
    """

    true: str
    predicted: str
    n: int
    share: float

    def to_dict(self) -> dict[str, object]:
        """Return the pair as a JSON object."""
        return asdict(self)


def per_class(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], names: Sequence[str] | NDArray[np.str_], repeats: int = 1
) -> list[ClassReport]:
    """Measure each class by itself.

    Parameters
    ----------
    truth, predicted : NDArray[np.int64]
        ``(n,)`` class codes.
    names : sequence of str
        ``(n_classes,)`` names of the classes, by code.
    repeats : int
        How often each image is among the rows: images are counted, not predictions.

    Returns
    -------
    list of ClassReport
        One per name, in the same order; also of classes without images.

    Raises
    ------
    StackError
        If there are no rows, lengths disagree, or a code has no name.
    """
    _check_predicted(truth, predicted, len(names))
    columns = precision_recall_fscore_support(truth, predicted, labels=np.arange(len(names)), zero_division=0)
    return [
        ClassReport(str(name), int(n) // repeats, float(precision), float(recall), float(f1))
        for name, precision, recall, f1, n in zip(names, *columns, strict=True)
    ]


def confused_pairs(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    names: Sequence[str] | NDArray[np.str_],
    top: int = 10,
    repeats: int = 1,
) -> list[ConfusedPair]:
    """Find which classes are most often taken for which.

    A pair is directed: cats taken for dogs and dogs taken for cats are two.

    Parameters
    ----------
    truth, predicted : NDArray[np.int64]
        ``(n,)`` class codes.
    names : sequence of str
        ``(n_classes,)`` names of the classes, by code.
    top : int
        How many pairs, at most.
    repeats : int
        How often each image is among the rows: images are counted, as many as are mistaken in the mean repeat, rounded.

    Returns
    -------
    list of ConfusedPair
        Most images first; of equals the larger share of its class first, then by code. Only pairs that occur.

    Raises
    ------
    StackError
        As `per_class`.
    UsageError
        If `top` is below 1.
    """
    _check_top(top)
    _check_predicted(truth, predicted, len(names))
    wrong = predicted != truth
    pairs, counts = np.unique(np.stack([truth[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True)
    shares = counts / np.bincount(truth, minlength=len(names))[pairs[:, 0]]
    images = np.maximum(1, np.rint(counts / repeats)).astype(np.int64)
    return [
        ConfusedPair(str(names[pairs[i, 0]]), str(names[pairs[i, 1]]), int(images[i]), float(shares[i]))
        for i in np.lexsort((pairs[:, 1], pairs[:, 0], -shares, -counts))[:top]
    ]


def overruled(predicted: NDArray[np.int64], members: Sequence[NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Find where all members agree, and a model that sees them answers otherwise.

    Parameters
    ----------
    predicted : NDArray[np.int64]
        ``(n,)`` class codes that the model predicts.
    members : sequence of NDArray[np.int64]
        ``(n,)`` class codes that each member predicts.

    Returns
    -------
    NDArray[np.bool_]
        ``(n,)``; False everywhere where there are fewer than two members.
    """
    if len(members) < 2:
        return np.zeros(len(predicted), np.bool_)
    agree = np.all([each == members[0] for each in members[1:]], axis=0)
    against: NDArray[np.bool_] = agree & (predicted != members[0])
    return against


def confidently_wrong(
    truth: NDArray[np.int64],
    scores: Scores,
    top: int = 20,
    *,
    probability: bool = True,
    without: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Find the rows that are wrong and most sure of it; wrong labels gather here.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)``, of models that never saw the row.
    top : int
        How many rows, at most.
    probability : bool
        True for natural-log probabilities: ordered by the probability of the wrong answer, highest
        first, of equals the least probability of the true class first. False for decision values, which
        compare within a row only: ordered by how far the wrong answer is above the truth.
    without : NDArray[np.bool_], optional
        ``(n,)`` rows to leave out, such as those of `overruled`.

    Returns
    -------
    NDArray[np.int64]
        ``(<= top,)`` row numbers; of equals the first row first. Only rows that are wrong.

    Raises
    ------
    StackError
        As `stack.metrics.metrics.class_metrics`.
    UsageError
        If `top` is below 1.
    """
    _check_top(top)
    check_scores(truth, scores)
    if probability:
        check_log_probabilities(scores)
    predicted = scores.argmax(axis=1)
    wrong = predicted != truth
    rows = np.flatnonzero(wrong if without is None else wrong & ~without)
    of_answer = scores[rows, predicted[rows]].astype(np.float64)
    of_truth = scores[rows, truth[rows]].astype(np.float64)
    sureness = of_answer if probability else of_answer - of_truth
    found: NDArray[np.int64] = rows[np.lexsort((rows, of_truth, -sureness))[:top]]
    return found


def _check_predicted(truth: NDArray[np.int64], predicted: NDArray[np.int64], n_classes: int) -> None:
    if truth.ndim != 1 or truth.shape != predicted.shape or len(truth) == 0:
        msg = (
            f"true codes of shape {truth.shape} and predicted codes of shape {predicted.shape} cannot be compared; "
            "expected two vectors of the same length, not empty: pass the same rows of both"
        )
        raise StackError(msg)
    check_codes(truth, n_classes)
    check_codes(predicted, n_classes)


def _check_top(top: int) -> None:
    if top < 1:
        msg = f"the top {top} were asked for; expected 1 or more: leave `top` out for the default"
        raise UsageError(msg)
