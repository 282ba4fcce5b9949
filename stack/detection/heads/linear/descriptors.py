"""What the `linear` head sees of a cell: its own features, and those of the other levels at the same place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.source import Level

Floats = NDArray[np.float32]


def describe_level(maps: Sequence[NDArray[np.float16]], levels: Sequence[Level], level: int) -> Floats:
    """Return ``(height * width, all channels)`` features of the cells of one level of one image.

    Parameters
    ----------
    maps : sequence of NDArray[np.float16]
        ``(height, width, depth)`` of each level.
    levels : sequence of Level
        Of the pyramid.
    level : int
        Which one's cells are described: a coarser level gives them the cell that they lie in, a finer one the mean of
        the cells that lie in them.
    """
    own = levels[level]
    parts = [_seen_from(each, levels[number], own) for number, each in enumerate(maps)]
    return np.concatenate(parts, axis=-1).reshape(own.height * own.width, -1)


def _seen_from(values: NDArray[np.float16], of: Level, own: Level) -> Floats:
    """Return ``(own.height, own.width, depth)`` features of another level."""
    rows, columns = of.height // own.height, of.width // own.width
    if rows > 1 and (rows * own.height, columns * own.width) == (of.height, of.width):
        blocks = values.astype(np.float32).reshape(own.height, rows, own.width, columns, -1)
        return np.asarray(blocks.mean(axis=(1, 3)))
    at_row = np.minimum((np.arange(own.height) + 0.5) * own.stride / of.stride, of.height - 1).astype(int)
    at_column = np.minimum((np.arange(own.width) + 0.5) * own.stride / of.stride, of.width - 1).astype(int)
    return np.asarray(values[at_row[:, None], at_column], np.float32)
