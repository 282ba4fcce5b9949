"""From which probability on an image is said to have a label."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

EVEN = 0.5
"""The threshold of a label that no image in hand has: nothing tells a better one."""


def choose_thresholds(
    probability: NDArray[np.floating], presence: NDArray[np.int8], weights: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the threshold of each label that gives the highest F1, between two probabilities.

    The best for F1 lies below one half where a label is rare (Lipton, Elkan & Naryanaswamy 2014, ECML PKDD, LNCS 8725,
    225-239). Of equally good ones the highest is taken: it says the fewest labels.

    Parameters
    ----------
    probability : NDArray of float
        ``(n, n_labels)`` of images that the model never saw, 0 to 1.
    presence : NDArray[np.int8]
        ``(n, n_labels)``: 1 where an image has a label, else 0.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each image counts for, above 0.

    Returns
    -------
    NDArray[np.float64]
        ``(n_labels,)``, 0 to 1; from it on a label is said to be there.
    """
    n = len(probability)
    counts = np.ones(n) if weights is None else weights
    thresholds = np.full(probability.shape[1], EVEN)
    for label, (scores, has) in enumerate(zip(probability.T.astype(np.float64), presence.T, strict=True)):
        if has.sum() in (0, n):
            continue
        order = np.argsort(-scores, kind="stable")
        ranked, hits = scores[order], np.cumsum(counts[order] * has[order])
        f1 = 2 * hits / (np.cumsum(counts[order]) + hits[-1])
        ends = np.append(ranked[:-1] > ranked[1:], True)  # equal scores are said together
        best = int(np.where(ends, f1, -1.0).argmax())
        below = ranked[best + 1] if best + 1 < n else 0.0
        thresholds[label] = (ranked[best] + below) / 2
    return thresholds
