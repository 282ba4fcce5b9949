"""Large arrays in scratch files, which the system moves out of memory and back as it needs room."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

IN_MEMORY = 2**28
"""Bytes up to which an array is held in memory. Larger ones are read from memory too, for as long as there is room."""

_ROWS_COPIED = 4096


def empty_array(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return an array whose values are still to be set: in memory, or, of a large one, in a scratch file.

    The file has no name and goes with the array. It lies where `tempfile` puts such files (``TMPDIR`` says where); on a
    disk without room for it the array is in memory after all.

    Parameters
    ----------
    shape : sequence of int
        Of the float32 array.
    """
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(np.float32).itemsize
    if n_bytes > IN_MEMORY:
        try:
            with tempfile.TemporaryFile(prefix="stackbone-") as file:
                _reserve(file, n_bytes)
                return np.asarray(
                    np.memmap(file, np.float32, "r+", shape=tuple(shape))
                )  # the mapping outlives the file
        except OSError:
            pass
    return np.empty(shape, np.float32)


def take_rows(x: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a copy of some rows, made by `empty_array`."""
    taken = empty_array((len(rows), *x.shape[1:]))
    for start in range(0, len(rows), _ROWS_COPIED):
        piece = slice(start, start + _ROWS_COPIED)
        taken[piece] = x[rows[piece]]
    return taken


def _reserve(file: IO[Any], n_bytes: int) -> None:
    """Take the room now: a disk that fills up under a mapping would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    else:  # Windows, and macOS, where a disk that fills up later is not noticed here
        file.truncate(n_bytes)
