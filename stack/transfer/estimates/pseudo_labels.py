"""Labels that a classifier guesses of images, for those of which it is surest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Codes = NDArray[np.int64]


def surest(probabilities: Doubles, share: float) -> tuple[Codes, Codes]:
    """Return the images of which a classifier is surest, the same share of every class that it guesses.

    One threshold for all would take the easy classes alone (class-balanced self-training: Zou et al. 2018, ECCV,
    section 4.2).

    Parameters
    ----------
    probabilities : NDArray[np.float64]
        ``(n, n_classes)``.
    share : float
        Of the images of each class that are taken, above 0 and at most 1; of each at least one image.

    Returns
    -------
    rows, codes : NDArray[np.int64]
        ``(n_taken,)`` ascending rows, and the class guessed of each.
    """
    guessed, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    taken = []
    for code in np.unique(guessed):
        own = np.flatnonzero(guessed == code)
        n = max(1, round(share * len(own)))
        taken.append(own[np.argsort(-sure[own], kind="stable")[:n]])
    rows = np.sort(np.concatenate(taken)) if taken else np.empty(0, np.int64)
    return rows, guessed[rows].astype(np.int64)
