"""Rows of many columns in their leading directions: enough to choose by, at a fraction of what all columns cost.

What differs between images lies for the most part in a few of their directions. A hyper-parameter is chosen there; the
classifier that is kept learns from all columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.rows import Matrix
from stackbone.stack.solvers.scales import MODERATION, moderated_scales
from stackbone.stack.transfer.estimates.moments import DomainMap, column_moments

Floats = NDArray[np.float32]

DIRECTIONS = 256
"""Of 1,280 columns of an EfficientNet-Lite; five times fewer, and so are the products of a fit."""

_ROUNDS = 2  # within some percent of the variance that the leading directions hold
_WORTH = 2  # times as many columns, for the directions to repay what it takes to find them


def leading_rows(x: Matrix, most: int = DIRECTIONS, out: Floats | None = None) -> Floats:
    """Return rows, standardised, in their leading directions; in their columns where these are few.

    Parameters
    ----------
    x : NDArray[np.float32] or LazyRows
        ``(n, dim)``.
    most : int
        Directions at most; none is lost where there are as few rows.
    out : NDArray[np.float32], optional
        ``(n, dim)`` where the rows are standardised, which may be `x`; by default elsewhere.

    Returns
    -------
    NDArray[np.float32]
        ``(n, k)`` about their mean, each column of `x` divided by its moderated spread: not to be standardised again.
    """
    mean, variance = column_moments(x)
    z = DomainMap(mean, moderated_scales(variance[None], len(x), MODERATION)[0]).apply(x, out)
    directions = leading_directions(z, most)
    return z if directions is None else z @ directions


def leading_directions(z: Floats, most: int = DIRECTIONS) -> Floats | None:
    """Return ``(dim, k)`` orthonormal directions that hold most of what differs between rows; None for all columns.

    By a randomised subspace iteration (Halko, Martinsson & Tropp 2011, SIAM Review 53(2), 217-288, algorithm 4.4), the
    same for the same rows.

    Parameters
    ----------
    z : NDArray[np.float32]
        ``(n, dim)`` rows about their mean.
    most : int
        Directions at most.
    """
    n, dim = z.shape
    k = min(most, n)
    if dim < _WORTH * k:
        return None
    directions = np.random.default_rng(0).standard_normal((dim, k), dtype=np.float32)
    for _ in range(_ROUNDS):
        directions = np.linalg.qr(z.T @ (z @ directions))[0]
    return directions
