"""Linear centred kernel alignment: how alike two sets of features of the same images are, whatever their columns.

Kornblith, Norouzi, Lee & Hinton 2019, "Similarity of Neural Network Representations Revisited" (ICML, arXiv
1905.00414), section 3 and equation 4 with the linear kernel: 1 where one is the other turned and scaled as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_ROWS = 4096  # taken in float64 at a time

Features = NDArray[np.float32] | NDArray[np.float64]


def linear_cka(blocks: Sequence[Features]) -> NDArray[np.float64]:
    """Return the ``(n_blocks, n_blocks)`` linear CKA, from 0 to 1, of every two blocks.

    Where there are more images than columns, no matrix of pairs of images is made: ``|XᵀY|² / (|XᵀX| |YᵀY|)`` of
    centred features is the same number.

    Parameters
    ----------
    blocks
        ``(n, dim)`` features each, of the same images in the same order. Of features that are all equal, nan.
    """
    means = [np.asarray(x, np.float64).mean(axis=0) for x in blocks]
    n = len(blocks[0])
    found = np.empty((len(blocks), len(blocks)))
    if n < max(x.shape[1] for x in blocks):
        grams = [_gram(np.asarray(x, np.float64) - mean) for x, mean in zip(blocks, means, strict=True)]
        for i, one in enumerate(grams):
            for j in range(i + 1):
                found[i, j] = found[j, i] = np.vdot(one, grams[j])
    else:
        for i in range(len(blocks)):
            for j in range(i + 1):
                product = _cross(blocks[i], means[i], blocks[j], means[j])
                found[i, j] = found[j, i] = np.vdot(product, product)
    own = np.sqrt(np.diag(found))
    with np.errstate(invalid="ignore", divide="ignore"):
        aligned: NDArray[np.float64] = found / np.outer(own, own)
    return aligned


def _gram(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x @ x.T


def _cross(x: Features, x_mean: NDArray[np.float64], y: Features, y_mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ``(dim_x, dim_y)`` product of centred features, in float64."""
    total = np.zeros((x.shape[1], y.shape[1]))
    for start in range(0, len(x), _ROWS):
        part = slice(start, start + _ROWS)
        total += (x[part] - x_mean).T @ (y[part] - y_mean)
    return total
