"""Rows of length 1, and the nearest of them by cosine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

_PIECE = 256  # rows whose cosines to all others, and the order of these, are held at once


def to_unit_length(rows: Floats) -> Floats:
    """Divide ``(n, dim)`` rows by their lengths, in place, and return them; rows of zeros stay."""
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    np.divide(rows, lengths, out=rows, where=lengths > 0)
    return rows


def nearest(rows: Floats, others: Floats, k: int, *, same: bool = False) -> tuple[Codes, Floats]:
    """Return the k nearest of others for every row.

    Parameters
    ----------
    rows, others : NDArray[np.float32]
        ``(n, dim)`` and ``(m, dim)`` of length 1.
    k : int
        How many; at most what there is.
    same : bool
        Whether both are the same images: none is its own neighbour.

    Returns
    -------
    neighbours : NDArray[np.int64]
        ``(n, k)`` rows of `others`.
    cosines : NDArray[np.float32]
        ``(n, k)`` to them.
    """
    k = min(k, len(others) - same)
    neighbours, cosines = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32)
    if k < 1:
        return neighbours[:, :0], cosines[:, :0]
    for start in range(0, len(rows), _PIECE):
        said = rows[start : start + _PIECE] @ others.T
        if same:
            own = np.arange(len(said))
            said[own, start + own] = -np.inf
        found = np.argpartition(said, len(others) - k, axis=1)[:, -k:]
        neighbours[start : start + _PIECE] = found
        cosines[start : start + _PIECE] = np.take_along_axis(said, found, axis=1)
    return neighbours, cosines
