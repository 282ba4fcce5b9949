"""Rows of feature matrices that lie elsewhere, as one matrix of which only pieces are ever made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_PIECE = 2048  # rows read at a time


class LazyRows(ABC):
    """A matrix of which only pieces are ever made.

    Attributes
    ----------
    shape : tuple of int
        ``(n, dim)``.
    """

    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.shape[0]

    @abstractmethod
    def __getitem__(self, index: NDArray[np.int64] | slice | int | np.integer) -> NDArray[np.float32]:
        """Return a copy of these rows; of one row, ``(dim,)``."""

    @abstractmethod
    def take(self, rows: NDArray[np.int64]) -> LazyRows:
        """Return some of the rows, where they lie."""


class Rows(LazyRows):
    """Some rows of matrices of the same images, side by side.

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


class RowsOfTwo(LazyRows):
    """Some rows of two matrices of the same columns, one above the other.

    Parameters
    ----------
    upper, lower : NDArray[np.float32] or LazyRows
        ``(n_upper, dim)`` and ``(n_lower, dim)``.
    rows : NDArray[np.int64], optional
        ``(n,)`` those that take part, numbered through both; by default all.
    """

    def __init__(self, upper: Matrix, lower: Matrix, rows: NDArray[np.int64] | None = None) -> None:
        self._upper, self._lower = upper, lower
        self._rows = np.arange(len(upper) + len(lower)) if rows is None else rows
        self.shape = (len(self._rows), upper.shape[1])

    def __getitem__(self, index: NDArray[np.int64] | slice | int | np.integer) -> NDArray[np.float32]:
        """Return a copy of these rows; of one row, ``(dim,)``."""
        rows = np.atleast_1d(self._rows[index])
        is_upper = rows < len(self._upper)
        values = np.empty((len(rows), self.shape[1]), np.float32)
        values[is_upper] = self._upper[rows[is_upper]]
        values[~is_upper] = self._lower[rows[~is_upper] - len(self._upper)]
        return values if np.ndim(self._rows[index]) else values[0]

    def take(self, rows: NDArray[np.int64]) -> RowsOfTwo:
        """Return some of the rows, where they lie."""
        return RowsOfTwo(self._upper, self._lower, self._rows[rows])


Matrix = NDArray[np.float32] | LazyRows
"""What a linear classifier is fitted on."""


def some_rows(x: Matrix, rows: NDArray[np.int64]) -> Matrix:
    """Return some rows of a matrix, of `LazyRows` without a copy."""
    return x.take(rows) if isinstance(x, LazyRows) else x[rows]


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
