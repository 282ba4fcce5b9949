"""A large matrix as the linear solvers see it: rows standardised block by block where they lie, at every product.

A copy of the standardised training rows of each fit would be as large as the features, and several fits side by side
would push each other, and the features themselves, out of memory. So beyond `LARGE` values no fit has such a copy. Each
product with the matrix goes once over the raw rows, which all fits share, and standardises a few hundred at a time
while they lie in the processor's cache. Objective, solver and result are those of the plain design; sums run in another
order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.computing.arithmetic import Array
from stackbone.stack.solvers.design import Doubles, Floats, StandardisedDesign
from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.solvers.spectrum import Spectrum

LARGE = 2**28
"""Values of the training rows beyond which they are streamed: 1 GiB of float32."""

TIGHTER = 1e-2
"""Share of the usual tolerance to which streamed fits go: a step or two more, with the spectrum that they have."""

_BLOCK_VALUES = 2**20  # of a block, which then stays in the cache from one step to the next
_SEEN_VALUES = 2**25  # of the rows that tell the spectrum, by which the solver preconditions
_MOST_RANK = 4096  # columns up to which the whole spectrum of these rows is worth its price, beside hundreds of passes


def is_large(n_rows: int, dim: int) -> bool:
    """Return whether a fit on so many rows and columns streams them."""
    return n_rows * dim > LARGE


class StandardisedRows:
    """The matrix of a `StandardisedDesign`, its last column ones, of which no more than a block exists at a time.

    Parameters
    ----------
    x : NDArray[np.float32] or Rows
        ``(n, dim)`` raw features.
    rows : NDArray[np.int64]
        ``(n_rows,)`` those that take part.
    mean, std : NDArray[np.float32]
        ``(dim,)`` what is subtracted, and then divided by.
    """

    __array_ufunc__ = None  # products of NumPy's arrays with this are ours

    def __init__(self, x: Matrix, rows: NDArray[np.int64], mean: Floats, std: Floats) -> None:
        self._x, self._rows, self._mean, self._inverse = x, rows, mean, 1 / std
        self.shape = (len(rows), x.shape[1] + 1)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Floats:  # noqa: ANN401 - rows, or rows and columns, as of an array
        """Return a copy of some rows, or of some of their columns."""
        rows, columns = index if isinstance(index, tuple) else (index, slice(None))
        chosen = self.features(rows)
        return np.hstack([chosen, np.ones((len(chosen), 1), np.float32)])[:, columns]

    def features(self, rows: NDArray[np.int64] | slice) -> Floats:
        """Return the ``(m, dim)`` standardised features of some of the rows."""
        values = self._x[self._rows[rows]]
        values -= self._mean
        values *= self._inverse
        return values

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Yield the standardised features a block of rows at a time, with the positions of these rows."""
        step = max(1, _BLOCK_VALUES // self.shape[1])
        for start in range(0, len(self), step):
            part = slice(start, start + step)
            yield part, self.features(part)

    def decide(self, v: Floats) -> Floats:
        """Return ``(k, n_rows)``: the product of ``(k, dim + 1)`` coefficients with the transpose."""
        z = np.empty((len(v), len(self)), np.float32)
        weights, intercepts = np.ascontiguousarray(v[:, :-1]), v[:, -1:]
        for part, features in self.blocks():
            z[:, part] = weights @ features.T + intercepts
        return z

    def __rmatmul__(self, residual: Floats) -> Floats:
        """Return ``(k, dim + 1)``: the product of ``(k, n_rows)`` derivatives with the matrix."""
        sums = np.zeros((len(residual), self.shape[1]))
        for part, features in self.blocks():
            sums[:, :-1] += np.ascontiguousarray(residual[:, part]) @ features
        sums[:, -1] = residual.sum(axis=1, dtype=np.float64)
        return sums.astype(np.float32)


class _Features:
    """The columns of `StandardisedRows` but the last, as `moments` reads them."""

    def __init__(self, matrix: StandardisedRows) -> None:
        self._matrix = matrix
        self.shape = (len(matrix), matrix.shape[1] - 1)

    def __getitem__(self, rows: NDArray[np.int64]) -> Floats:
        return self._matrix.features(rows)


class StreamedDesign(StandardisedDesign):
    """A `StandardisedDesign` without a matrix of its own; parameters are the same, on the cores of this machine.

    Of what the spectrum needs, which only has to be near, some evenly spaced rows are looked at.
    """

    _matrix: StandardisedRows

    def _standardised(self, x: Matrix, rows: NDArray[np.int64]) -> StandardisedRows:
        mean = self._mean.astype(np.float32)
        self._mean = mean.astype(np.float64)  # what is subtracted in single precision, exactly
        return StandardisedRows(x, rows, mean, self._std.astype(np.float32))

    def _features(self) -> _Features:
        return _Features(self._matrix)

    def _spectrum_of(self, offset: Doubles | None) -> Spectrum:
        step = -(-len(self._matrix) * self._matrix.shape[1] // _SEEN_VALUES)
        seen = self._matrix[np.arange(0, len(self._matrix), step)]
        return Spectrum(
            seen,
            offset,
            free_intercept=self._free,
            arithmetic=self.arithmetic,
            full_rank=min(_MOST_RANK, len(seen) // 4),
        )

    def _decide(self, v: Array) -> Array:
        return self._matrix.decide(v)
