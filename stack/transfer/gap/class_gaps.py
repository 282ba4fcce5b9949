"""How far each class is apart in two domains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.scales import MODERATION, moderated_scales
from stackbone.stack.transfer.estimates.moments import standardise
from stackbone.stack.transfer.method import Codes, Matrix

Doubles = NDArray[np.float64]


def class_gaps(
    source: Matrix, source_labels: Codes, target: Matrix, target_labels: Codes, n_classes: int
) -> tuple[Doubles, Doubles]:
    """Return how far the means of each class are apart, and how far its source mean is from the nearest other class.

    Both in standard deviations of an image about the mean of its class and domain, all columns together. A class that
    is as far from itself as from another is one that the source cannot teach.

    Parameters
    ----------
    source, target : NDArray[np.float32]
        ``(n_source, dim)`` and ``(n_target, dim)`` features as they are cached.
    source_labels, target_labels : NDArray[np.int64]
        Their class codes; negative ones are left out.
    n_classes : int
        Number of classes.

    Returns
    -------
    own, nearest : NDArray[np.float64]
        ``(n_classes,)``; NaN for a class that a domain lacks, or that has no other beside it.
    """
    sides = (source, source_labels, 0), (target, target_labels, n_classes)
    means, squares = np.full((2 * n_classes, source.shape[1]), np.nan), np.zeros(source.shape[1])
    for x, labels, first in sides:
        for code in np.unique(labels[labels >= 0]):  # a class at a time, so that no copy of all features is made
            own = x[labels == code].astype(np.float64)
            means[first + code] = own.mean(axis=0)
            squares += np.square(own - means[first + code]).sum(axis=0)
    n = int((source_labels >= 0).sum() + (target_labels >= 0).sum())
    variances = squares / n
    scale = moderated_scales(variances[None], n, MODERATION)[0]
    middle = np.nanmean(means, axis=0)
    z = standardise(means.astype(np.float32), middle, scale).astype(np.float64)
    spread = float(np.sqrt((variances / np.square(scale)).sum()))
    mine, theirs = z[:n_classes], z[n_classes:]
    own = np.linalg.norm(mine - theirs, axis=1)
    between = np.linalg.norm(mine[:, None] - mine, axis=2)
    np.fill_diagonal(between, np.inf)
    between[np.isnan(between)] = np.inf
    nearest = between.min(axis=1)
    nearest[np.isinf(nearest)] = np.nan
    return (own / spread, nearest / spread) if spread > 0 else (np.full(n_classes, np.nan),) * 2
