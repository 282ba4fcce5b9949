"""How well a classifier knows how often it is right: confidence against accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import UsageError
from stackbone.stack.metrics.checks import Scores, check_log_probabilities, check_scores
from stackbone.stack.metrics.metric import Weights

BINS = 15
"""Bins of the calibration error, as many as Guo et al. 2017 take (ICML, table 1)."""


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
    weight : float, optional
        What they count for, in all; None where each counts once.
    """

    confidence: float
    accuracy: float
    n: int
    weight: float | None = None

    def to_dict(self) -> dict[str, object]:
        """Return the bin as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def calibration_curve(
    truth: NDArray[np.int64], scores: Scores, bins: int = BINS, weights: Weights = None
) -> list[CalibrationBin]:
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
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for.

    Returns
    -------
    list of CalibrationBin
        Ascending by confidence; none is empty.

    Raises
    ------
    StackError
        As `stack.metrics.metrics.class_metrics`.
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
    order = np.argsort(confidence, kind="stable")
    counts = np.ones(len(truth)) if weights is None else weights
    up_to = np.concatenate([[0.0], np.cumsum(counts[order])])
    lower = up_to[np.searchsorted(confidence[order], confidence)]
    number = np.floor(lower * bins / up_to[-1]).astype(np.int64)
    members = [np.flatnonzero(number == each) for each in np.unique(number)]
    return [_bin(confidence[m], right[m], None if weights is None else weights[m]) for m in members]


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
    counts = [each.n if each.weight is None else each.weight for each in curve]
    off = sum(n * abs(each.accuracy - each.confidence) for n, each in zip(counts, curve, strict=True))
    return off / sum(counts)


def _bin(confidence: NDArray[np.float64], right: NDArray[np.bool_], weights: Weights) -> CalibrationBin:
    sure, accuracy = (float(np.average(each, weights=weights)) for each in (confidence, right))
    return CalibrationBin(sure, accuracy, len(right), None if weights is None else float(weights.sum()))
