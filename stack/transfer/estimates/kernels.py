"""Gaussian kernels between images of two domains, and the rows that they are of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.estimates.moments import moments, standardise
from stackbone.stack.transfer.method import Codes, Domains

Floats = NDArray[np.float32]

WIDTH_IMAGES = 500
"""Of each domain, whose distances tell the kernel's width."""


def common_rows(domains: Domains, most: int | None = None) -> tuple[Floats, Floats]:
    """Return ``(n_source, dim)`` and ``(n_target, dim)`` rows, all less the source's mean and divided by one scale.

    Of more than `most` images of a domain, so many are drawn by seed.
    """

    def some(x: Floats) -> Floats:
        return common(x if most is None else x[draw_rows(len(x), most, domains.seed)], domains)

    return some(domains.source), some(domains.target)


def common(x: Floats, domains: Domains) -> Floats:
    """Return ``(n, dim)`` features of either domain less the source's mean, divided by one scale."""
    both = moments(domains)
    return standardise(x, both.source_mean, both.scale)


def squared_distances(a: Floats, b: Floats) -> Floats:
    """Return the ``(n, m)`` squared distances of ``(n, dim)`` and ``(m, dim)`` rows."""
    squares: Floats = a @ b.T  # as large as all pairs: what follows makes no other
    squares *= -2
    squares += np.einsum("nd,nd->n", a, a)[:, None]
    squares += np.einsum("nd,nd->n", b, b)
    return np.maximum(squares, 0, out=squares)


def gaussian(a: Floats, b: Floats, gamma: float) -> Floats:
    """Return the ``(n, m)`` kernel ``exp(-gamma ‖a - b‖²)``."""
    kernel = squared_distances(a, b)
    kernel *= -np.float32(gamma)
    return np.exp(kernel, out=kernel)


def median_gamma(a: Floats, b: Floats, seed: int) -> float:
    """Return the gamma of the kernel whose width is the median distance of two images (the median heuristic).

    After Gretton et al. 2012, JMLR 13, 723-773, section 8: ``gamma = 1 / median ‖x - y‖²``; 1 where all rows are alike.

    Parameters
    ----------
    a, b : NDArray[np.float32]
        ``(n, dim)`` and ``(m, dim)`` rows; of many, some hundreds are drawn.
    seed : int
        Of the draw.
    """
    rows = np.concatenate([each[draw_rows(len(each), WIDTH_IMAGES, seed)] for each in (a, b)])
    squares = squared_distances(rows, rows)[np.triu_indices(len(rows), 1)]
    median = float(np.median(squares)) if len(squares) else 0.0
    return 1 / median if median > 0 else 1.0


def draw_rows(n: int, most: int, seed: int) -> Codes:
    """Return at most so many of n rows, ascending, drawn by seed."""
    if n <= most:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
