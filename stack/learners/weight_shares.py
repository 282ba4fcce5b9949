"""How much each backbone counts in a fitted meta-learner.

A weight counts as much as it moves the scores: its size times the standard deviation of its column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.linear import LinearMap


def weight_shares(linear: LinearMap, x: NDArray[np.float32], n_backbones: int) -> NDArray[np.float64] | None:
    """Return how much of a meta-learner's weight is on each backbone.

    Parameters
    ----------
    linear : LinearMap
        From meta-features to class scores.
    x : NDArray[np.float32]
        ``(n, n_backbones * n_classes)`` meta-features, side by side.
    n_backbones : int
        Number of backbones.

    Returns
    -------
    NDArray[np.float64], optional
        ``(n_backbones,)`` shares that sum to 1; None where nothing moves the scores.
    """
    moved = np.abs(linear.coef).sum(axis=1, dtype=np.float64) * x.std(axis=0, dtype=np.float64)
    return _normalise(moved.reshape(n_backbones, -1).sum(axis=1))


def target_shares(stacked: NDArray[np.float64], alone: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return how much of a regression's meta-learner is on each backbone, from its predictions alone.

    It is a weighted sum of the backbones' predictions, so that least squares on any rows gives its weights away.

    Parameters
    ----------
    stacked : NDArray[np.float64]
        ``(n,)`` predictions of the meta-learner.
    alone : NDArray[np.float64]
        ``(n, n_backbones)`` predictions of each backbone for the same rows.

    Returns
    -------
    NDArray[np.float64], optional
        ``(n_backbones,)`` shares that sum to 1; None where the rows do not tell one backbone from another.
    """
    centred = alone - alone.mean(axis=0)
    weights, _, rank, _ = np.linalg.lstsq(centred, stacked - stacked.mean(), rcond=None)
    return _normalise(np.abs(weights) * alone.std(axis=0)) if rank == alone.shape[1] else None


def mean_shares(names: Sequence[str], folds: Sequence[NDArray[np.float64] | None]) -> Mapping[str, float]:
    """Return each backbone's mean share over the folds that have any; empty if none has.

    A fold has ``(n_backbones,)`` shares, or as many for each backbone as heads see it, one after another.
    """
    found = [shares for shares in folds if shares is not None]
    if not found:
        return {}
    own = np.mean(found, axis=0).reshape(len(names), -1).sum(axis=1)
    return dict(zip(names, own.tolist(), strict=True))


def _normalise(moved: NDArray[np.float64]) -> NDArray[np.float64] | None:
    total = moved.sum()
    return moved / total if total > 0 else None
