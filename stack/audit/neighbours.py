"""The nearest other images of each image, to each backbone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.progress import Progress
from stackbone.stack.models.unlike.novelty import unit_rows

MOST_COMPARED = 20_000
"""Images that each image is compared with, at most: of more, a sample of so many serves."""

_TILE_ROWS = 512


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest others of each image.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n_backbones, n_images, k)`` places of the nearest others, the nearest first.
    cosines : NDArray[np.float32]
        ``(n_backbones, n_images, k)`` cosines of the features with theirs.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float32]

    @property
    def distances(self) -> NDArray[np.float32]:
        """``(n_backbones, n_images, k)`` Euclidean distances of the features, divided by their lengths."""
        found: NDArray[np.float32] = np.sqrt(np.maximum(2 - 2 * self.cosines, 0))
        return found


def find_neighbours(
    blocks: dict[str, NDArray[np.float32]], k: int, seed: int, progress: Progress | None = None
) -> Neighbours:
    """Return the k nearest others of each image, fewer where there are fewer.

    Parameters
    ----------
    blocks : dict of str to NDArray[np.float32]
        Backbone to its ``(n_images, dim)`` features, of two images or more.
    k : int
        How many.
    seed : int
        Of the sample, where there are more than `MOST_COMPARED` images.
    progress : callable, optional
        See `cache.progress.Progress`.
    """
    n = len(next(iter(blocks.values())))
    others = np.arange(n)
    if n > MOST_COMPARED:
        others = np.sort(np.random.default_rng(seed).choice(n, MOST_COMPARED, replace=False))
    k = min(k, len(others) - 1)
    rows = np.empty((len(blocks), n, k), np.int64)
    cosines = np.empty((len(blocks), n, k), np.float32)
    starts, done = range(0, n, _TILE_ROWS), 0
    for place, x in enumerate(blocks.values()):
        theirs = unit_rows(x[others]).T
        for start in starts:
            if progress is not None:
                progress("neighbours", done, len(blocks) * len(starts))
            tile = slice(start, min(start + _TILE_ROWS, n))
            found = unit_rows(x[tile]) @ theirs
            found[np.arange(start, tile.stop)[:, None] == others] = -np.inf
            nearest = np.argpartition(-found, k - 1, axis=1)[:, :k]
            own = np.take_along_axis(found, nearest, axis=1)
            order = np.argsort(-own, axis=1, kind="stable")
            rows[place, tile] = others[np.take_along_axis(nearest, order, axis=1)]
            cosines[place, tile] = np.take_along_axis(own, order, axis=1)
            done += 1
    if progress is not None:
        progress("neighbours", done, done)
    return Neighbours(rows, cosines)
