"""One ranking of several: reciprocal rank fusion.

Cormack, Clarke & Büttcher 2009, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods"
(SIGIR): an item scores the sum over rankings of 1 / (60 + rank). Cosines of two backbones are not to be averaged: one
calls .9 what is near, another .4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CONSTANT = 60
"""As in the paper, whose authors fixed it before all comparisons."""

_LEAST_DEPTH = 100
_TIMES_DEEPER = 10


def depth_of(k: int, n: int) -> int:
    """Return how many of each ranking are looked at for k of the fused one, of n items."""
    return min(n, max(_LEAST_DEPTH, _TIMES_DEEPER * k))


def fuse(rankings: Sequence[NDArray[np.int64]], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the best k items of several rankings, the best first.

    Parameters
    ----------
    rankings
        ``(depth,)`` items each, the best first; an item that a ranking lacks gets nothing from it.
    k
        How many, at most as many as there are items.

    Returns
    -------
    items : NDArray[np.int64]
        ``(k,)``; of equal ones the smaller number first.
    scores : NDArray[np.float64]
        ``(k,)`` sums of 1 / (60 + rank), ranks counted from 1.
    """
    items, place = np.unique(np.concatenate(rankings), return_inverse=True)
    worth = np.concatenate([1 / (CONSTANT + 1 + np.arange(len(each))) for each in rankings])
    scores: NDArray[np.float64] = np.bincount(place, worth, len(items)).astype(np.float64)
    order = np.lexsort((items, -scores))[:k]
    return items[order], scores[order]
