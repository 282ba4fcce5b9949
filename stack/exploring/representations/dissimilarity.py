"""Representational similarity analysis: whether two backbones find the same pairs of images unlike.

Kriegeskorte, Mur & Bandettini 2008, "Representational similarity analysis" (Frontiers in Systems Neuroscience 2:4):
dissimilarities of all pairs, here 1 less the Pearson correlation of two images' features, compared by rank.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def correlation_distances(x: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``(n * (n - 1) / 2,)`` dissimilarities of pairs of images, from 0 to 2, row after row of the upper half.

    Parameters
    ----------
    x
        ``(n, dim)`` features. An image whose features are all equal has none: nan.
    """
    centred = np.asarray(x, np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = centred @ centred.T / np.outer(lengths, lengths)
    return upper(1 - np.clip(correlations, -1, 1))


def upper(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a square matrix has above its diagonal, row after row."""
    found: NDArray[np.float64] = matrix[np.triu_indices(len(matrix), 1)]
    return found


def ranks(dissimilarities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks, of equal values their mean, centred and of length 1: products of two are Spearman correlations.

    Of dissimilarities that are all equal, nan.
    """
    found = rankdata(dissimilarities)
    found -= found.mean()
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled: NDArray[np.float64] = found / np.linalg.norm(found)
    return scaled
