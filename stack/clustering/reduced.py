"""Features of one or several backbones in few columns, of which each backbone has an equal say."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.models.unlike.novelty import unit_rows

COMPONENTS = 64
"""Principal components of each backbone: what tells groups apart is in the first ones, and distances grow blunt in
hundreds of columns."""

_SAMPLE = 20_000  # rows that components are learnt from, at most
_ROWS = 8192


def reduced(blocks: Mapping[str, NDArray[np.float32]], seed: int) -> NDArray[np.float32]:
    """Return ``(n, columns)`` features of length 1: of each backbone its first components, of length 1, side by side.

    Parameters
    ----------
    blocks
        Backbone to its ``(n, dim)`` features of length 1.
    seed
        Of the sample that components are learnt from, where there are more than 20,000 rows.
    """
    parts = [unit_rows(components(x, COMPONENTS, seed)) for x in blocks.values()]
    return unit_rows(np.hstack(parts))


def components(x: NDArray[np.float32], n_components: int, seed: int) -> NDArray[np.float32]:
    """Return the ``(n, n_components)`` first principal components of ``(n, dim)`` rows, or as many as there are."""
    n = len(x)
    rows = np.arange(n)
    if n > _SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(n, _SAMPLE, replace=False))
    sample = np.asarray(x[rows], np.float64)
    mean = sample.mean(axis=0)
    sample -= mean
    k = min(n_components, *sample.shape)
    if len(sample) < sample.shape[1]:
        directions = np.linalg.svd(sample, full_matrices=False)[2][:k].T
    else:
        directions = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :k]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=0)[None], axis=0)
    directions = (directions * np.where(largest < 0, -1, 1)).astype(np.float32)  # a sign of its own on any machine
    found = np.empty((n, k), np.float32)
    for start in range(0, n, _ROWS):
        part = slice(start, start + _ROWS)
        found[part] = (x[part] - mean.astype(np.float32)) @ directions
    return found
