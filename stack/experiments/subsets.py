"""Rows drawn so that every class keeps its share: to be looked at, or to be trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sample_rows(codes: NDArray[np.int64], most: int, seed: int = 0) -> NDArray[np.int64]:
    """Draw rows so that every class keeps its share, and the smallest a row as long as there is room.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes; all equal where there are no classes.
    most : int
        Rows to keep; all of them if there are no more.
    seed : int
        Of the draw.

    Returns
    -------
    NDArray[np.int64]
        ``(min(n, most),)`` ascending rows.
    """
    if len(codes) <= most:
        return np.arange(len(codes))
    drawn = np.random.default_rng(seed).permutation(len(codes))
    own = codes[drawn]
    progress = _place_within(own) / np.bincount(own)[own]
    kept: NDArray[np.int64] = np.sort(drawn[np.argsort(progress, kind="stable")[:most]])
    return kept


def nested_order(
    train: NDArray[np.int64], codes: NDArray[np.int64], group: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Return training rows in a random order whose beginnings hold as many groups as they can.

    Ten images of one patient teach less than one image of ten, and inner folds need groups to divide: the first
    row of every group comes before the second of any.

    Parameters
    ----------
    train : NDArray[np.int64]
        ``(n_train,)`` rows.
    codes, group : NDArray[np.int64]
        ``(n_images,)`` class codes and group ids.
    seed : int
        Of the order.
    """
    drawn = np.random.default_rng(seed).permutation(train)
    _, kind = np.unique(np.stack([codes[drawn], group[drawn]]), axis=1, return_inverse=True)
    place = _place_within(kind)
    ordered: NDArray[np.int64] = drawn[np.argsort(place, kind="stable")]
    return ordered


def take_share(order: NDArray[np.int64], codes: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Return the ascending first rows of each class, a `share` of it, rounded up; a larger share holds a smaller one's.

    Parameters
    ----------
    order : NDArray[np.int64]
        ``(n_train,)`` rows in the order of `nested_order`.
    codes : NDArray[np.int64]
        ``(n_images,)`` class codes.
    share : float
        Above 0, up to 1.
    """
    own = codes[order]
    wanted = np.ceil(np.bincount(own) * share)
    taken: NDArray[np.int64] = np.sort(order[_place_within(own) < wanted[own]])
    return taken


def take_each(order: NDArray[np.int64], codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the ascending first `n` rows of each class; a larger number holds a smaller one's.

    Parameters
    ----------
    order, codes : NDArray[np.int64]
        As of `take_share`.
    n : int
        Rows of each class.
    """
    taken: NDArray[np.int64] = np.sort(order[_place_within(codes[order]) < n])
    return taken


def with_both_sides(
    taken: NDArray[np.int64], order: NDArray[np.int64], presence: NDArray[np.int8]
) -> NDArray[np.int64]:
    """Return a share with the first row that has each label, and the first that lacks it: a classifier needs both.

    They are in every share, so that a larger one still holds a smaller one's.

    Parameters
    ----------
    taken : NDArray[np.int64]
        ``(n_taken,)`` rows, as of `take_share`.
    order : NDArray[np.int64]
        ``(n_train,)`` rows in the order of `nested_order`, both sides of every label among them.
    presence : NDArray[np.int8]
        ``(n_images, n_labels)``: 1 where an image has a label, else 0.

    Returns
    -------
    NDArray[np.int64]
        Ascending rows.
    """
    has = presence[order] == 1
    return np.unique(np.concatenate([taken, order[has.argmax(axis=0)], order[(~has).argmax(axis=0)]]))


def _place_within(kind: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each element how many of its kind come before it."""
    by_kind = np.argsort(kind, kind="stable")
    _, first, counts = np.unique(kind[by_kind], return_index=True, return_counts=True)
    place = np.empty(len(kind), np.int64)
    place[by_kind] = np.arange(len(kind)) - np.repeat(first, counts)
    return place
