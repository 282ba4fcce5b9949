"""Confident learning: which labels a classifier confidently contradicts.

Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels" (Journal of Artificial
Intelligence Research 70, arXiv 1911.00068), section 3.1, equations 1 to 3. cleanlab's `compute_confident_joint` is the
authors' own; a test compares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def confident_classes(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class that each image is confidently of, -1 where there is none.

    A class is confident where its probability reaches the mean that it has over the images of its label; of several,
    the likeliest.

    Parameters
    ----------
    probabilities : NDArray[np.float64]
        ``(n, n_classes)``, of classifiers that did not learn from these labels.
    codes : NDArray[np.int64]
        ``(n,)`` class codes of the labels.
    """
    n_classes = probabilities.shape[1]
    # A class without an image is confident of none.
    thresholds = [
        probabilities[codes == code, code].mean() if (codes == code).any() else np.inf for code in range(n_classes)
    ]
    is_confident = probabilities >= np.array(thresholds) - 1e-9  # as many digits as rounding leaves
    likeliest = np.where(is_confident, probabilities, -np.inf).argmax(axis=1)
    return np.where(is_confident.any(axis=1), likeliest, -1)
