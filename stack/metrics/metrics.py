"""Scores in numbers: how often a model is right, and how well it knows.

Class codes and class scores (or numbers, in regression) flow in, plain floats flow out, ready for a
table or for JSON. Nothing here knows what made the scores. No number is ever NaN: what cannot be said
of the scores at hand, such as a log-loss of decision values, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError

BINS = 15
"""Bins of the calibration error, as many as Guo et al. 2017 take (ICML, table 1)."""

TOP5_CLASSES = 20
"""From so many classes on, five guesses are worth counting."""

LEAST_LOG_PROBABILITY = float(np.log(np.finfo(np.float64).tiny))
"""A floor of about -708, so that one class held for impossible does not make the mean log-loss infinite."""

Scores = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class CalibrationBin:
    """Predictions of about the same confidence.

    Attributes
    ----------
    confidence : float
        Mean probability of the predicted class, 0 to 1.
    accuracy : float
        Share of them that is right, 0 to 1.
    n : int
        Number of predictions.
    """

    confidence: float
    accuracy: float
    n: int

    def to_dict(self) -> dict[str, object]:
        """Return the bin as a JSON object."""
        return asdict(self)


def class_metrics(truth: NDArray[np.int64], scores: Scores, *, probability: bool) -> dict[str, float]:
    """Measure class scores against the truth.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)``: the highest of a row is the prediction, the first of equals.
    probability : bool
        Whether the scores are natural-log probabilities, and not decision values.

    Returns
    -------
    dict of str to float
        ``accuracy``; ``macro_f1``, the mean F1 of the classes that occur in truth or prediction; ``top5``,
        the share of rows whose class is among the five highest, from `TOP5_CLASSES` classes on. Of
        probabilities also ``log_loss`` (mean, in nats; see `LEAST_LOG_PROBABILITY`) and
        ``calibration_error`` (see `calibration_error`).

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, a code has no column, a score is NaN or plus infinity, or
        the scores are said to be log probabilities and are not.
    """
    check_scores(truth, scores)
    predicted = scores.argmax(axis=1)
    metrics = {
        "accuracy": float((predicted == truth).mean()),
        "macro_f1": _macro_f1(truth, predicted),
    }
    if scores.shape[1] >= TOP5_CLASSES:
        metrics["top5"] = float((_rank_of_truth(truth, scores) < 5).mean())
    if probability:
        check_log_probabilities(scores)
        of_truth = scores[np.arange(len(truth)), truth].astype(np.float64)
        metrics["log_loss"] = float(np.abs(np.clip(of_truth, LEAST_LOG_PROBABILITY, 0.0)).mean())
        metrics["calibration_error"] = calibration_error(calibration_curve(truth, scores))
    return metrics


def calibration_curve(truth: NDArray[np.int64], scores: Scores, bins: int = BINS) -> list[CalibrationBin]:
    """Compare confidence and accuracy, from the least sure predictions to the surest.

    The bins hold about the same number of predictions each (equal mass), which biases the calibration
    error less than bins of equal width do (Roelofs et al. 2022, AISTATS, PMLR 151). Equal confidences
    always share a bin, so that the order of the rows does not matter; there may then be fewer bins.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)`` natural-log probabilities.
    bins : int
        Number of bins, at most.

    Returns
    -------
    list of CalibrationBin
        Ascending by confidence; none is empty.

    Raises
    ------
    StackError
        As `class_metrics`.
    UsageError
        If `bins` is below 1.
    """
    if bins < 1:
        msg = f"{bins} bins were asked for; expected 1 or more: leave `bins` out for {BINS}"
        raise UsageError(msg)
    check_scores(truth, scores)
    check_log_probabilities(scores)
    confidence = np.exp(np.minimum(scores.max(axis=1).astype(np.float64), 0.0))
    right = scores.argmax(axis=1) == truth
    n_lower = np.searchsorted(np.sort(confidence), confidence)
    number = n_lower * bins // len(truth)
    members = [np.flatnonzero(number == each) for each in np.unique(number)]
    return [CalibrationBin(float(confidence[m].mean()), float(right[m].mean()), len(m)) for m in members]


def _macro_f1(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Return the mean over classes of twice what is right by what is true and what is predicted, together."""
    named = np.bincount(np.concatenate([truth, predicted]))
    right = np.bincount(truth[truth == predicted], minlength=len(named))
    found = np.flatnonzero(named)
    return float((2 * right[found] / named[found]).mean())


def calibration_error(curve: Sequence[CalibrationBin]) -> float:
    """Return the expected calibration error of the predicted class.

    The mean distance of accuracy and confidence over bins, weighted by their size (Naeini, Cooper &
    Hauskrecht 2015, AAAI; Guo et al. 2017, ICML, equation 3). 0 is perfect. Chance alone lifts it
    above 0, by the more the fewer predictions a bin has: compare it between models, on equal rows.

    Parameters
    ----------
    curve : sequence of CalibrationBin
        What `calibration_curve` returns.

    Returns
    -------
    float
        0 to 1.
    """
    return sum(each.n * abs(each.accuracy - each.confidence) for each in curve) / sum(each.n for each in curve)


def regression_metrics(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Measure predicted numbers against the true ones.

    Parameters
    ----------
    truth, predicted : NDArray[np.float64]
        ``(n,)`` values in the label's unit.

    Returns
    -------
    dict of str to float
        ``r2``, the share of the variance of these rows that is explained: 1 is perfect, 0 what their mean
        would score, below 0 worse; where the truth does not vary 1 if every row is right and 0 if not, as
        scikit-learn has it. ``mae`` and ``rmse``, mean absolute and root mean squared error in the label's unit.

    Raises
    ------
    StackError
        If there are no rows, lengths disagree, or a value is not finite.
    """
    if truth.ndim != 1 or truth.shape != predicted.shape or len(truth) == 0:
        msg = (
            f"true values of shape {truth.shape} and predicted values of shape {predicted.shape} cannot be "
            "compared; expected two vectors of the same length, not empty: pass the same rows of both"
        )
        raise StackError(msg)
    truth, predicted = truth.astype(np.float64), predicted.astype(np.float64)
    for name, values in (("true", truth), ("predicted", predicted)):
        _check_rows(np.isfinite(values), f"{name} values are NaN or infinite", "every value must be a finite number")
    squares = np.square(predicted - truth)
    # By the range, since the mean of equal numbers need not equal them to the last bit.
    if np.ptp(truth) == 0:
        r2 = float(squares.sum() == 0)
    else:
        r2 = float(1.0 - squares.sum() / np.square(truth - truth.mean()).sum())
    return {"r2": r2, "mae": float(np.abs(predicted - truth).mean()), "rmse": float(np.sqrt(squares.mean()))}


def check_scores(truth: NDArray[np.int64], scores: Scores) -> None:
    """Refuse class scores that cannot be compared with the truth.

    Minus infinity is no reason: it is the logarithm of an impossible class.

    Parameters
    ----------
    truth : NDArray[np.int64]
        ``(n,)`` class codes.
    scores : NDArray of float
        ``(n, n_classes)``.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, a code has no column, a score is NaN or plus infinity, or a
        row holds minus infinity only.
    """
    if truth.ndim != 1 or scores.ndim != 2 or len(truth) != len(scores) or scores.size == 0:
        msg = (
            f"class codes of shape {truth.shape} and scores of shape {scores.shape} cannot be compared; "
            "expected (n,) and (n, n_classes), not empty: pass the same rows of both"
        )
        raise StackError(msg)
    check_codes(truth, scores.shape[1])
    highest = scores.max(axis=1)
    advice = "every row needs a finite highest score: leave out the rows that no classifier scored"
    _check_rows(np.isfinite(highest), "scores hold NaN or infinity", advice)


def check_codes(codes: NDArray[np.int64], n_classes: int) -> None:
    """Refuse class codes that name no class.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes, at least one.
    n_classes : int
        Number of classes.

    Raises
    ------
    StackError
        If a code is not in 0 to ``n_classes - 1``.
    """
    if codes.min() < 0 or codes.max() >= n_classes:
        msg = (
            f"class codes run from {codes.min()} to {codes.max()}; expected 0 to {n_classes - 1}, for {n_classes} "
            "classes: codes are indices into the sorted class names of the whole dataset"
        )
        raise StackError(msg)


def check_log_probabilities(scores: Scores) -> None:
    """Refuse decision values where log probabilities are expected.

    Parameters
    ----------
    scores : NDArray of float
        ``(n, n_classes)``.

    Raises
    ------
    StackError
        If the probabilities of a row do not sum to 1, within what float32 can do.
    """
    # Up to 1 only: decision values of a thousand must not overflow on the way to being refused.
    total = np.exp(np.minimum(scores, 1.0)).sum(axis=1, dtype=np.float64)
    _check_rows(
        np.abs(total - 1.0) < 1e-3,
        "the probabilities do not sum to 1",
        "expected natural-log probabilities: make them of decision values by stack.calibrate.log_probabilities",
    )


def _rank_of_truth(truth: NDArray[np.int64], scores: Scores) -> NDArray[np.int64]:
    """Return how many classes come before the true one, the first of equals first, as argmax has it."""
    of_truth = scores[np.arange(len(truth)), truth][:, None]
    first = np.arange(scores.shape[1]) < truth[:, None]
    rank: NDArray[np.int64] = ((scores > of_truth) | ((scores == of_truth) & first)).sum(axis=1)
    return rank


def _check_rows(sound: NDArray[np.bool_], found: str, advice: str) -> None:
    rows = np.flatnonzero(~sound)
    if len(rows):
        msg = f"{found} in {len(rows)} of {len(sound)} rows (first rows: {', '.join(map(str, rows[:5]))}); {advice}"
        raise StackError(msg)
