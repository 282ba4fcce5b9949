"""How much speaks against a label: what classifiers that never saw it say, and what the neighbours are.

Each backbone's classifier and the neighbours are experts, whose log-probabilities are added (a logarithmic opinion
pool: Genest & Zidek 1986, "Combining Probability Distributions", Statistical Science 1), the neighbours with half the
weight of the classifiers' mean: `bench/audit.py` compares other weights, and cleanlab's scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 10
"""Neighbours that are asked for their labels."""

NEIGHBOUR_WEIGHT = 0.5
"""What their log-probabilities count for, where the mean over classifiers counts 1."""

_LEAST = 1e-12  # probability: a classifier that says 0 would outvote all others


def pooled(log_probabilities: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return ``(n, n_classes)`` means over classifiers of the ``(n, n_classes)`` log-probabilities of each."""
    total = np.zeros_like(log_probabilities[0])
    for said in log_probabilities:
        total += np.maximum(said, np.log(_LEAST))
    return total / len(log_probabilities)


def neighbour_log_probabilities(
    neighbours: NDArray[np.int64], codes: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Return what the labels of the neighbours say, as ``(n, n_classes)`` log-probabilities.

    Counts are means over backbones, with one further neighbour whose label is drawn from all labels.

    Parameters
    ----------
    neighbours : NDArray[np.int64]
        ``(n_backbones, n, k)`` rows of `codes`.
    codes : NDArray[np.int64]
        Class codes; -1 of images whose label is not known, which say nothing.
    n_classes : int
        Classes.
    """
    known = codes[codes >= 0]
    prior = np.bincount(known, minlength=n_classes) / max(len(known), 1)
    found = codes[neighbours]
    n_backbones, n, _ = neighbours.shape
    cells = (np.arange(n)[:, None] * n_classes + found)[found >= 0]
    counts = np.bincount(cells, minlength=n * n_classes).reshape(n, n_classes) / n_backbones
    n_known = counts.sum(axis=1, keepdims=True)
    said: NDArray[np.float64] = np.log(np.maximum((counts + prior) / (n_known + 1), _LEAST))
    return said


def margins(log_probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``(n,)`` log-odds of the likeliest other class against the label; above 0 another class is likelier.

    Parameters
    ----------
    log_probabilities : NDArray[np.float64]
        ``(n, n_classes)``, each row up to a constant; two classes or more.
    codes : NDArray[np.int64]
        ``(n,)`` class codes of the labels.
    """
    rows = np.arange(len(codes))
    others = log_probabilities.copy()
    others[rows, codes] = -np.inf
    found: NDArray[np.float64] = others.max(axis=1) - log_probabilities[rows, codes]
    return found


def doubts(
    log_probabilities: Sequence[NDArray[np.float64]],
    of_neighbours: NDArray[np.float64] | None,
    codes: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the doubt in each label, and the class that is likeliest.

    Parameters
    ----------
    log_probabilities : sequence of NDArray[np.float64]
        ``(n, n_classes)`` of each classifier; none learned from these labels.
    of_neighbours : NDArray[np.float64], optional
        ``(n, n_classes)`` of `neighbour_log_probabilities`.
    codes : NDArray[np.int64]
        ``(n,)`` class codes of the labels.

    Returns
    -------
    doubt : NDArray[np.float64]
        ``(n,)`` 0 to 1: the logistic function of `margins`; above .5 another class is likelier than the label.
    likeliest : NDArray[np.int64]
        ``(n,)`` class codes.
    """
    said = pooled(log_probabilities)
    if of_neighbours is not None:
        said = said + NEIGHBOUR_WEIGHT * of_neighbours
    doubt: NDArray[np.float64] = 1 / (1 + np.exp(-margins(said, codes)))
    return doubt, said.argmax(axis=1)
