"""The log-loss of linear classifiers with its gradient, for objectives that `stack.solvers` does not know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Codes = NDArray[np.int64]

_STEPS = 300
_CLOSE = 1e-7  # share of the objective that a step may still gain at the end


def log_loss(x: Floats, codes: Codes, v: Doubles) -> tuple[float, Doubles]:
    """Return the log-loss in nats, summed over rows, and its gradient.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n, dim)``.
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    v : NDArray[np.float64]
        ``(dim + 1, n_classes)`` coefficients, the intercepts last; the gradient has their shape.
    """
    w = v.astype(np.float32)
    decisions = (x @ w[:-1] + w[-1]).astype(np.float64)
    decisions -= decisions.max(axis=1, keepdims=True)
    own = (np.arange(len(codes)), codes)
    of_truth = decisions[own].sum()
    residual = np.exp(decisions, out=decisions)
    total = residual.sum(axis=1, keepdims=True)
    residual /= total
    residual[own] -= 1
    slope = np.vstack([x.T @ residual.astype(np.float32), residual.sum(axis=0)[None]])
    return float(np.log(total).sum() - of_truth), slope.astype(np.float64)


def descend(objective: Callable[[Doubles], tuple[float, Doubles]], start: Doubles) -> Doubles:
    """Return the minimum of a convex objective, found by L-BFGS (Liu & Nocedal 1989, Math. Programming 45, 503-528).

    Parameters
    ----------
    objective : callable
        Of an array as `start`: its value, and its gradient in that shape.
    start : NDArray[np.float64]
        Where to begin.
    """

    def flat(point: Doubles) -> tuple[float, Doubles]:
        value, slope = objective(point.reshape(start.shape))
        return value, slope.ravel()

    options = {"maxiter": _STEPS, "ftol": _CLOSE}
    found = minimize(flat, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    minimum: Doubles = found.x.reshape(start.shape)
    return minimum
