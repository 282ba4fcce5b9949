"""Digests as sets: which of some are among others, and the first of each. Millions in a fraction of a second.

Digests are told apart by their first eight bytes, which sort and compare as one number. Where two of these are equal,
the whole digests decide: somebody may have made them so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import Digests, as_keys

_HEAD = 8


def digest_heads(digests: Digests) -> NDArray[np.uint64]:
    """Return ``(n,)`` the first bytes of digests, as numbers that sort as the digests do."""
    heads = np.ascontiguousarray(digests[:, :_HEAD]).view(">u8").reshape(-1)
    return heads.astype(np.uint64)


def of_rows(digests: Digests, rows: NDArray[np.intp]) -> Digests:
    """Return ``(m, 32)`` the digests of ascending rows; no copy where these are all of them."""
    return digests if len(rows) == len(digests) else digests[rows]


def twin_rows(digests: Digests) -> NDArray[np.intp]:
    """Return the ascending rows whose first bytes another row has too: all copies, and few others."""
    heads = digest_heads(digests)
    order = np.argsort(heads)
    ordered = heads[order]
    same = np.flatnonzero(ordered[1:] == ordered[:-1])
    return np.unique(np.concatenate([order[same], order[same + 1]]))


def first_rows(digests: Digests) -> NDArray[np.intp]:
    """Return the ascending rows that hold a digest that no earlier one does."""
    is_first = np.ones(len(digests), np.bool_)
    twins = twin_rows(digests)
    is_first[twins] = False
    is_first[twins[np.unique(as_keys(digests[twins]), return_index=True)[1]]] = True
    return np.flatnonzero(is_first)


def distinct(digests: Digests) -> Digests:
    """Return ``(m, 32)`` each digest once."""
    rows = first_rows(digests)
    return of_rows(digests, rows)


def are_among(digests: Digests, others: Digests) -> NDArray[np.bool_]:
    """Return ``(n,)`` whether each digest is one of ``(m, 32)`` others."""
    if not len(others):
        return np.zeros(len(digests), np.bool_)
    heads, known = digest_heads(digests), digest_heads(others)
    order = np.argsort(known)
    ordered = known[order]
    place = np.minimum(np.searchsorted(ordered, heads), len(ordered) - 1)
    alike = ordered[place] == heads
    found: NDArray[np.bool_] = alike & (_words(others)[order[place]] == _words(digests)).all(axis=1)
    doubtful = np.flatnonzero(alike & ~found)  # others share the head, and one behind the first may be it
    if len(doubtful):
        rivals = others[np.isin(known, heads[doubtful])]
        found[doubtful] = np.isin(as_keys(digests[doubtful]), as_keys(rivals))
    return found


def _words(digests: Digests) -> NDArray[np.uint64]:
    words: NDArray[np.uint64] = np.ascontiguousarray(digests).view(np.uint64)
    return words
