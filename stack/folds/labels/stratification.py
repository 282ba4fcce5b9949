"""Iterative stratification: test parts that have each label in about equal share.

Sechidis, Tsoumakas & Vlahavas 2011, "On the stratification of multi-label data", ECML PKDD, LNCS 6913, 145-158,
algorithm 1: as long as there are any, the label that the fewest images are left of is dealt, image by image, each to
the fold that wants most of it; of such folds, to the one that wants most images; and each image takes from what its
fold wants of all of its labels. Two things are added here. Groups of images are dealt whole, with all their labels. And
of a label that more than half of the images have, its absence is dealt, since the rarer side is the one that a fold can
come to lack.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.labels.presence import Presence


def stratify(presence: Presence, unit: NDArray[np.int64], order: NDArray[np.int64], n_splits: int) -> NDArray[np.int64]:
    """Deal units of images to folds.

    Parameters
    ----------
    presence : NDArray[np.int8]
        ``(n, n_labels)``.
    unit : NDArray[np.int64]
        ``(n,)`` which unit each image belongs to, 0 to the number of units - 1.
    order : NDArray[np.int64]
        ``(n_units,)`` in which those of one label are dealt.
    n_splits : int
        Number of folds.

    Returns
    -------
    NDArray[np.int64]
        ``(n,)`` fold of each image, 0 to ``n_splits - 1``.
    """
    n_units, sizes = len(order), np.bincount(unit, minlength=len(order)).astype(np.float64)
    rarer = np.where(2 * presence.sum(axis=0) > len(presence), 1 - presence, presence)
    counts = np.zeros((n_units, presence.shape[1]))
    np.add.at(counts, unit, rarer)
    wanted, room = np.tile(counts.sum(axis=0) / n_splits, (n_splits, 1)), np.full(n_splits, sizes.sum() / n_splits)
    has = counts > 0
    left = has.sum(axis=0)
    fold = np.full(n_units, -1)

    def place(one: int, wish: NDArray[np.float64]) -> None:
        best = np.flatnonzero(wish >= wish.max() - 1e-9)
        chosen = int(best[room[best].argmax()])
        fold[one] = chosen
        wanted[chosen] -= counts[one]
        room[chosen] -= sizes[one]
        left[has[one]] -= 1

    while left.any():
        label = int(np.where(left > 0, left, n_units + 1).argmin())
        for one in order[has[order, label] & (fold[order] < 0)].tolist():
            place(one, wanted[:, label])
    for one in order[fold[order] < 0].tolist():  # of images of no label, or of common ones alone, only the number
        place(one, room)
    return fold[unit]
