"""How well the labels that images have are found, label by label: average precision, precision, recall and F1."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.metrics.checks import Scores

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class LabelReport:
    """Scores of one label.

    Attributes
    ----------
    name : str
        Of the label.
    n : int
        Tested images that have it.
    ap : float or None
        Average precision; None if no tested image has it.
    precision, recall, f1 : float
        Of what is said from the label's threshold on, 0 to 1; 0 where nothing was said, or nothing is there.
    """

    name: str
    n: int
    ap: float | None
    precision: float
    recall: float
    f1: float

    def to_dict(self) -> dict[str, object]:
        """Return a JSON-able object."""
        return asdict(self)


def average_precisions(presence: NDArray[np.int8], scores: Scores, weights: Doubles | None = None) -> Doubles:
    """Return the ``(n_labels,)`` average precisions; NaN of labels that no row has.

    The mean, over the rows that have a label, of the share of those scored as high or higher that have it: what
    scikit-learn's ``average_precision_score`` returns, equal scores counted together.

    Parameters
    ----------
    presence : NDArray[np.int8]
        ``(n, n_labels)``: 1 where a row has a label, else 0.
    scores : NDArray of float
        ``(n, n_labels)``, the higher the likelier.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for, above 0.
    """
    counts = np.ones(len(presence)) if weights is None else weights
    n_labels = presence.shape[1]
    found = np.full(n_labels, np.nan)
    for label in range(n_labels):
        has, own = presence[:, label], scores[:, label]
        if not has.any():
            continue
        order = np.argsort(-own, kind="stable")
        total, hits = np.cumsum(counts[order]), np.cumsum(counts[order] * has[order])
        ends = np.flatnonzero(np.append(own[order][:-1] > own[order][1:], True))
        gained = np.diff(hits[ends], prepend=0.0)
        found[label] = float((gained * hits[ends] / total[ends]).sum() / hits[-1])
    return found


def per_label(
    names: NDArray[np.str_], presence: NDArray[np.int8], scores: Scores, said: NDArray[np.bool_]
) -> list[LabelReport]:
    """Score each label.

    Parameters
    ----------
    names : NDArray[np.str_]
        ``(n_labels,)``.
    presence : NDArray[np.int8]
        ``(n, n_labels)``: 1 where a row has a label, else 0.
    scores : NDArray of float
        ``(n, n_labels)``, the higher the likelier.
    said : NDArray[np.bool_]
        ``(n, n_labels)`` whether a row is said to have a label.
    """
    ap, counts = average_precisions(presence, scores), presence.sum(axis=0, dtype=np.int64)
    right, spoken = (said & (presence == 1)).sum(axis=0), said.sum(axis=0)
    return [
        LabelReport(
            name=str(name),
            n=int(counts[i]),
            ap=None if np.isnan(ap[i]) else float(ap[i]),
            precision=_share(right[i], spoken[i]),
            recall=_share(right[i], counts[i]),
            f1=_share(2 * right[i], spoken[i] + counts[i]),
        )
        for i, name in enumerate(names)
    ]


def label_f1(presence: NDArray[np.int8], said: NDArray[np.floating], weights: Doubles | None = None) -> Doubles:
    """Return the ``(n_labels,)`` F1 of what is said (1, else 0); NaN of labels that no row has or is said to have."""
    counts = np.ones(len(presence)) if weights is None else weights
    right, total = counts @ (said * presence), counts @ (said + presence)
    f1: Doubles = np.divide(2 * right, total, out=np.full(len(total), np.nan), where=total > 0)
    return f1


def check_labels_scored(presence: NDArray[np.int8], scores: Scores) -> None:
    """Refuse scores of labels that cannot be compared with the truth.

    Raises
    ------
    StackError
        If there are no rows, shapes disagree, no row has a label, or a score is NaN or above 0: it is a logarithm.
    """
    if presence.ndim != 2 or presence.shape != scores.shape or not presence.size:
        msg = (
            f"labels of shape {presence.shape} and scores of shape {scores.shape} cannot be compared; expected "
            "(n, n_labels) of both, not empty: pass the same rows of both"
        )
        raise StackError(msg)
    if not presence.any():
        msg = f"none of the {len(presence)} images that are tested has a label; average precision needs one that has"
        raise StackError(msg)
    wrong = np.flatnonzero(~(scores <= 1e-6).all(axis=1))
    if len(wrong):
        msg = (
            f"scores are no natural-log probabilities in {len(wrong)} of {len(scores)} rows (row {wrong[0]} first); "
            "expected numbers up to 0: pass the logarithm of each label's probability"
        )
        raise StackError(msg)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
