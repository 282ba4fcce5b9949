"""The nearest of many rows by cosine, exactly: products of blocks, of which no more than the best is kept.

Rows may lie in memory, in a memory-mapped file, or come block after block from a cache. Rows in float16 are widened a
few at a time, in the processor's cache: NumPy's own conversion takes longer than the product.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from stackbone.cache import StackError, usable_cores
from stackbone.cache.text import counted

Rows = NDArray[np.float16] | NDArray[np.float32]

BLOCK_ROWS = 8192
"""Rows whose cosines are held at a time, for each worker."""

_TILE_ROWS = 256  # widened at a time: 1.3 MB of 1,280 columns, which stay in the cache of a core
_STEPS = 1 << 22  # of a cosine: finer differences are rounding, and equal rows must tie
_PLACE_BITS = 32
_UNSEEN = np.iinfo(np.int64).max
_NOT_MEANT = np.float32(-2)  # less than any cosine

# Bits of a float16 moved to where a float32 has them: its value times 2**-112, which the queries make good.
_MOVED, _KEPT_BITS, _LACKING = 13, np.int32(-0x70002000), np.float32(2.0**112)


@dataclass(frozen=True, eq=False)
class Nearest:
    """The nearest rows of each query, the nearest first; of equal ones the earlier row.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n_queries, k)`` places.
    cosines : NDArray[np.float32]
        ``(n_queries, k)``, to 2.4e-7.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]


class Best:
    """The k best rows of each query among those that it was shown, in whatever order that was.

    Parameters
    ----------
    n_queries, k
        How many.
    """

    def __init__(self, n_queries: int, k: int) -> None:
        self._keys = np.full((n_queries, k), _UNSEEN, np.int64)  # of a row: how far it is, then its place
        self._least = np.full(n_queries, -np.inf, np.float32)

    def add(self, places: NDArray[np.int64], cosines: NDArray[np.float32]) -> None:
        """Take in ``(m,)`` rows with their ``(n_queries, m)`` cosines."""
        hits = cosines >= self._least[:, None]
        k = self._keys.shape[1]
        for query in np.flatnonzero(hits.any(axis=1)):
            hit = hits[query]
            keys = np.concatenate([self._keys[query], _keys(cosines[query][hit], places[hit])])
            if len(keys) > k:
                keys = np.partition(keys, k - 1)[:k]
            self._keys[query] = keys
            furthest = keys.max()
            if furthest != _UNSEEN:
                self._least[query] = _cosines_of(furthest) - np.float32(2 / _STEPS)

    def nearest(self) -> Nearest:
        """Return what was found.

        Raises
        ------
        ValueError
            If fewer than k rows were shown.
        """
        keys = np.sort(self._keys, axis=1)
        if keys.size and keys[:, -1].max() == _UNSEEN:
            message = f"fewer than {keys.shape[1]} rows were shown"
            raise ValueError(message)
        return Nearest(keys & ((1 << _PLACE_BITS) - 1), _cosines_of(keys))


def nearest(
    queries: NDArray[np.float32],
    rows: Rows,
    k: int,
    *,
    own: NDArray[np.int64] | None = None,
    length: float = 1,
    workers: int | None = None,
) -> Nearest:
    """Return the k nearest rows of each query by cosine, exactly.

    Parameters
    ----------
    queries
        ``(n_queries, dim)``, each of length 1.
    rows
        ``(n, dim)``, all of one `length`; a memory-mapped file serves. Of float16, which has 11 bits for each value,
        cosines are those of the rounded rows.
    k
        How many, at most n.
    own
        ``(n_queries,)`` a row that is not meant, of each query; -1 for none.
    length
        Of every row.
    workers
        Threads; by default one per core.

    Raises
    ------
    StackError
        If there are fewer rows than k, or the columns differ.
    """
    if queries.shape[1] != rows.shape[1]:
        message = f"queries have {queries.shape[1]:,} columns, and the rows {rows.shape[1]:,}: both need the same"
        raise StackError(message)
    n_others = len(rows) - (own is not None and bool((own >= 0).any()))
    if not 0 < k <= n_others:
        message = f"{k:,} nearest of {counted(n_others, 'row')} were asked for: ask for 1 to {n_others:,}"
        raise StackError(message)
    starts = range(0, len(rows), BLOCK_ROWS)
    blocks = ((np.arange(at, min(at + BLOCK_ROWS, len(rows))), rows[at : at + BLOCK_ROWS]) for at in starts)
    return nearest_of(queries, blocks, k, own=own, length=length, workers=workers)


def nearest_of(
    queries: NDArray[np.float32],
    blocks: Iterable[tuple[NDArray[np.int64], Rows]],
    k: int,
    *,
    own: NDArray[np.int64] | None = None,
    length: float = 1,
    workers: int | None = None,
) -> Nearest:
    """Return the k nearest rows of each query, of rows that come block after block.

    Parameters
    ----------
    blocks
        ``(m,)`` places of rows, each once in all, and the ``(m, dim)`` rows.
    queries, k, own, length, workers
        As of `nearest`.

    Raises
    ------
    ValueError
        If there are fewer rows than k.
    """
    best = Best(len(queries), k)
    n_workers = workers or usable_cores()

    def multiply(block: tuple[NDArray[np.int64], Rows]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        places, found = block[0], products(queries, block[1])
        if length != 1:
            np.divide(found, np.float32(length), out=found)
        if own is not None:
            found[own[:, None] == places] = _NOT_MEANT
        return places, found

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(n_workers) as pool:
        for batch in _batches(blocks, n_workers):
            for places, found in pool.map(multiply, batch):
                best.add(places, found)
    return best.nearest()


def products(queries: NDArray[np.float32], rows: Rows) -> NDArray[np.float32]:
    """Return ``(n_queries, n)`` inner products; float16 rows are widened a few at a time."""
    if rows.dtype != np.float16:
        found: NDArray[np.float32] = queries @ rows.T
        return found
    found = np.empty((len(queries), len(rows)), np.float32)
    scaled = (queries * _LACKING).T.copy()
    moved = np.empty((_TILE_ROWS, rows.shape[1]), np.int32)
    for start in range(0, len(rows), _TILE_ROWS):
        tile = rows[start : start + _TILE_ROWS]
        bits = moved[: len(tile)]
        np.copyto(bits, tile.view(np.int16))
        np.left_shift(bits, _MOVED, out=bits)
        np.bitwise_and(bits, _KEPT_BITS, out=bits)
        found[:, start : start + len(tile)] = (bits.view(np.float32) @ scaled).T
    return found


def _batches(
    blocks: Iterable[tuple[NDArray[np.int64], Rows]], n: int
) -> Iterator[list[tuple[NDArray[np.int64], Rows]]]:
    waiting = iter(blocks)
    while batch := list(islice(waiting, n)):
        yield batch


def _keys(cosines: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return numbers that sort by descending cosine, then by ascending place."""
    far = np.rint((1 - cosines.astype(np.float64)) * _STEPS).astype(np.int64) + _STEPS  # of rounding, 1 is no end
    keys: NDArray[np.int64] = (far << _PLACE_BITS) | places
    return keys


def _cosines_of(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    far = (keys >> _PLACE_BITS) - _STEPS
    found: NDArray[np.float32] = np.minimum(1 - far / _STEPS, 1).astype(np.float32)
    return found
