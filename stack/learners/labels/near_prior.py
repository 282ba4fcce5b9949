"""Logistic regressions of one label on a handful of columns, each drawn towards coefficients that it starts from.

What a meta-learner of one label is: as many columns as backbones. Newton's method in double precision, for all training
subsets at once, whose Hessians are one matrix product.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Doubles = NDArray[np.float64]

_STEPS = 50
"""Newton steps; 3 to 8 are usual."""

_HALVINGS = 30  # of a step that does not lower the objective
_CONVERGED = 1e-10  # share of the objective that a step may still promise


def fit_near(x: Doubles, has: Doubles, weights: Doubles, prior: Doubles, start: Doubles, c: float) -> Doubles:
    """Minimise ``c Σ log(1 + exp(-y z)) + ½ ‖w - prior‖²`` with ``z = x @ w + b`` and a free intercept b.

    Parameters
    ----------
    x : NDArray[np.float64]
        ``(n, n_columns)``.
    has : NDArray[np.float64]
        ``(n,)``: 1 where a row has the label (y = 1), else 0 (y = -1).
    weights : NDArray[np.float64]
        ``(n_subsets, n)`` how often each row counts in each subset; each has rows of both sides.
    prior : NDArray[np.float64]
        ``(n_columns,)``.
    start : NDArray[np.float64]
        ``(n_subsets, n_columns + 1)`` where to start, the intercept last.
    c : float
        Weight of the loss.

    Returns
    -------
    NDArray[np.float64]
        ``(n_subsets, n_columns + 1)``.
    """
    matrix = np.column_stack([x, np.ones(len(x))])
    size = matrix.shape[1]
    products = (matrix[:, :, None] * matrix[:, None, :]).reshape(len(x), -1)
    ridge = np.append(np.ones(size - 1), 0.0)
    centre = np.append(prior, 0.0)

    def objective(v: Doubles) -> Doubles:
        z = v @ matrix.T
        value: Doubles = c * (weights * (np.logaddexp(0, z) - has * z)).sum(axis=1)
        value += (ridge * np.square(v - centre)).sum(axis=1) / 2
        return value

    v = start.copy()
    value = objective(v)
    for _ in range(_STEPS):
        p = expit(v @ matrix.T)
        gradient = c * ((weights * (p - has)) @ matrix) + ridge * (v - centre)
        hessian = c * ((weights * p * (1 - p)) @ products).reshape(-1, size, size)
        hessian[:, np.arange(size), np.arange(size)] += ridge + np.finfo(np.float64).eps * (1 + c * weights.sum())
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        promised = (step * gradient).sum(axis=1)
        if (promised <= _CONVERGED * np.maximum(value, np.finfo(np.float64).tiny)).all():
            break
        length = np.ones(len(v))
        for _ in range(_HALVINGS):
            ahead = objective(v - length[:, None] * step)
            short = ~(ahead <= value - 1e-4 * length * promised) & (promised > 0)
            if not short.any():
                break
            length[short] /= 2
        better = ahead < value
        v[better] -= (length[:, None] * step)[better]
        value = np.where(better, ahead, value)
        if not better.any():
            break
    return v
