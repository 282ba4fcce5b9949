"""Where heads get feature maps from: a cache's reader, or arrays that a test made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError

HELD_BYTES = 512 << 20
"""Maps of a training part that take no more are read once and held; larger ones are read again in every epoch."""

BATCH = 8
"""Images whose maps are read and computed with at a time."""

Digests = NDArray[np.uint8]
Maps = list[NDArray[np.float16]]


class Level(Protocol):
    """One level of a pyramid of feature maps: pixels of the frame from cell to cell, cells, and channels."""

    @property
    def stride(self) -> int:
        """Pixels of the frame from one cell to the next."""

    @property
    def height(self) -> int:
        """Rows of cells."""

    @property
    def width(self) -> int:
        """Columns of cells."""

    @property
    def depth(self) -> int:
        """Channels."""


class MapSource(Protocol):
    """Feature maps of images that lie letterboxed in a square frame."""

    @property
    def levels(self) -> Sequence[Level]:
        """The levels of the pyramid, the finest first."""

    @property
    def side(self) -> int:
        """Width and height of the frame in pixels."""

    def read(self, digests: Digests, /) -> Maps:
        """Return ``(b, height, width, depth)`` float16 of each level for ``(b, 32)`` uint8 digests."""


class HeldMaps:
    """Maps of the images of a training part by row: held if they are few, else read as often as they are asked for.

    Parameters
    ----------
    source : MapSource
        Where they are.
    digests : NDArray[np.uint8]
        ``(n, 32)`` of the images.
    held_bytes : int
        What may be held.
    """

    def __init__(self, source: MapSource, digests: Digests, held_bytes: int = HELD_BYTES) -> None:
        self._source, self._digests = source, digests
        self._held: Maps | None = None
        if len(digests) * image_bytes(source) <= held_bytes:
            shapes = [(len(digests), each.height, each.width, each.depth) for each in source.levels]
            self._held = [np.empty(shape, np.float16) for shape in shapes]
            for rows in batches(len(digests)):
                for whole, part in zip(self._held, source.read(digests[rows]), strict=True):
                    whole[rows] = part

    def read(self, rows: NDArray[np.int64]) -> Maps:
        """Return the maps of some rows, as `MapSource.read`."""
        if self._held is None:
            return self._source.read(self._digests[rows])
        return [level[rows] for level in self._held]


def image_bytes(source: MapSource) -> int:
    """Return the bytes of the maps of one image."""
    return sum(2 * each.height * each.width * each.depth for each in source.levels)


def batches(n: int, size: int = BATCH) -> Iterator[slice]:
    """Yield slices that cover n rows."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def pyramid_shape(source: MapSource) -> dict[str, object]:
    """Return what a head must know of the pyramid that it was trained on, for JSON."""
    levels = [[each.stride, each.height, each.width, each.depth] for each in source.levels]
    return {"side": source.side, "levels": levels}


def check_pyramid(source: MapSource, expected: dict[str, object]) -> None:
    """Raise `StackError` unless the maps have the shape of those that a head was trained on."""
    found = pyramid_shape(source)
    if found != expected:
        message = (
            f"the maps are of frames of {found['side']} pixels with levels (stride, height, width, depth) "
            f"{found['levels']}, and the head was trained on {expected['side']} pixels and {expected['levels']}. "
            "Use maps of the backbone and the --map-size that it was trained on"
        )
        raise StackError(message)
