"""Rows of several feature matrices side by side, without a copy of them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_PIECE = 2048  # rows read at a time


class Rows:
    """Some rows of matrices of the same images, as one matrix of which only pieces are ever made.

    Every fit of every fold can read the features where they lie: what several fits side by side hold of their own does
    not grow by copies of their training rows.

    Parameters
    ----------
    blocks : sequence of NDArray[np.float32]
        ``(n_images, dim)`` matrices.
    rows : NDArray[np.int64]
        ``(n,)`` rows that take part.
    scale : float
        By which every value is multiplied.

    Attributes
    ----------
    shape : tuple of int
        ``(n, sum of dims)``.
    """

    def __init__(self, blocks: Sequence[NDArray[np.float32]], rows: NDArray[np.int64], scale: float = 1.0) -> None:
        self._blocks, self._rows, self._scale = list(blocks), rows, np.float32(scale)
        self.shape = (len(rows), sum(block.shape[1] for block in blocks))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: NDArray[np.int64] | slice | int | np.integer) -> NDArray[np.float32]:
        """Return a copy of these rows; of one row, ``(dim,)``."""
        rows = self._rows[index]
        parts = [block[rows] for block in self._blocks]
        values = parts[0] if len(parts) == 1 and np.ndim(rows) else np.concatenate(parts, axis=-1)
        if self._scale != 1:
            values *= self._scale
        return values

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Return some of the rows, where they lie."""
        return Rows(self._blocks, self._rows[rows], float(self._scale))

    def __mul__(self, scale: float) -> Rows:
        """Return the same rows, multiplied."""
        return Rows(self._blocks, self._rows, float(self._scale) * scale)


Matrix = NDArray[np.float32] | Rows
"""What a linear classifier is fitted on."""


def some_rows(x: Matrix, rows: NDArray[np.int64]) -> Matrix:
    """Return some rows of a matrix, of `Rows` without a copy."""
    return x.take(rows) if isinstance(x, Rows) else x[rows]


def taking_part(subsets: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the ascending rows that are in any subset, and ``(n_subsets, n_rows)`` which of them each has."""
    rows = np.unique(np.concatenate(subsets))
    fitted = np.zeros((len(subsets), len(rows)), dtype=np.bool_)
    for own, subset in zip(fitted, subsets, strict=True):
        own[np.searchsorted(rows, subset)] = True
    return rows, fitted


def pieces(x: Matrix) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield ``(m, dim)`` pieces of a matrix with the positions of their rows."""
    for start in range(0, len(x), _PIECE):
        part = slice(start, start + _PIECE)
        yield part, x[part]
