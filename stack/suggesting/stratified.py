"""A sample of images with labels that has classes in their proportions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def stratified(codes: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Return `most` places at random, ascending: one of each class before a second of any, then in proportion.

    Parameters
    ----------
    codes
        ``(n,)`` class codes, from 0.
    most
        How many, at most n.
    seed
        Of the draw.
    """
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    by_class = shuffled[np.argsort(codes[shuffled], kind="stable")]
    sizes = np.bincount(codes)
    number = np.empty(len(codes), np.int64)  # of an image in its class, from 0
    number[by_class] = np.arange(len(codes)) - (np.cumsum(sizes) - sizes)[codes[by_class]]
    share = (number / sizes[codes])[shuffled]
    return np.sort(shuffled[np.argsort(share, kind="stable")[:most]])
