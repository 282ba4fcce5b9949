"""Which images of the source help on the target, and which hurt: how its loss changes when an image counts for more.

An infinitesimal weight on a training image moves the parameters by ``-H⁻¹ g_i``, and the target's loss by
``-g_targetᵀ H⁻¹ g_i`` (Koh & Liang 2017, ICML, equation 2). Of a multinomial regression the Hessian is as large as all
coefficients: the system is solved by conjugate gradients, which only multiply by it. What preconditions them is a bound
that is the same for every class (Böhning 1992, Annals of the Institute of Statistical Mathematics 44, 197-200).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackError
from stackbone.cache.text import counted
from stackbone.stack.solvers.scales import MODERATION, moderated_scales
from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.estimates.moments import standardise
from stackbone.stack.transfer.method import Codes, Matrix

Doubles = NDArray[np.float64]

_STEPS = 200
_PIECE = 1024  # target images whose features are held in double precision at once
_CLOSE = 1e-5  # share of the right side that may be left, in the metric of what preconditions


def influence(
    source: Matrix,
    source_labels: Codes,
    target: Matrix,
    target_labels: Codes,
    n_classes: int,
    *,
    seed: int = 0,
    c: float | None = None,
) -> Doubles:
    """Return by how much each image of the source helps a classifier of the source on the target.

    Parameters
    ----------
    source, target : NDArray[np.float32]
        ``(n_source, dim)`` and ``(n_target, dim)`` features as they are cached.
    source_labels : NDArray[np.int64]
        ``(n_source,)`` class codes, of two classes at least.
    target_labels : NDArray[np.int64]
        ``(n_target,)`` class codes; negative ones are left out, and one must be there.
    n_classes : int
        Number of classes.
    seed : int
        Of the inner folds that choose C.
    c : float, optional
        C, where it is known.

    Returns
    -------
    NDArray[np.float64]
        ``(n_source,)`` what the target's mean log-loss would lose, in nats, if the image were there twice: below 0
        where it hurts.

    Raises
    ------
    StackError
        If no label of the target is shown, or the source has images of fewer than two classes.
    """
    if not (target_labels >= 0).any():
        message = (
            f"none of the {counted(len(target_labels), 'target image')} to judge by shows a label; one or more is "
            "needed to tell which source images help on the target: pass class codes of 0 and above for those that are "
            "labelled"
        )
        raise StackError(message)
    fitted = fit_classifier(source, source_labels, n_classes, seed=seed, c=c)
    shown = target_labels >= 0
    mean = source.mean(axis=0, dtype=np.float64)
    variance = source.var(axis=0, dtype=np.float64)
    scale = moderated_scales(variance[None], len(source), MODERATION)[0]
    slope = np.zeros((source.shape[1] + 1, n_classes))
    for rows in np.array_split(np.flatnonzero(shown), -(-int(shown.sum()) // _PIECE)):
        left = _residual(fitted.predict_proba(target[rows]), target_labels[rows])
        slope += _with_ones(standardise(target[rows], mean, scale)).T @ left / int(shown.sum())
    mine, probabilities = _with_ones(standardise(source, mean, scale)), fitted.predict_proba(source)
    ridge = np.append(np.full(mine.shape[1] - 1, 1 / float(fitted.chosen["C"])), 1e-6 * len(mine))
    helped = mine @ solve_hessian(mine, probabilities, ridge, slope)
    found: Doubles = (helped * _residual(probabilities, source_labels)).sum(axis=1)
    return found


def solve_hessian(x: Doubles, probabilities: Doubles, ridge: Doubles, right: Doubles) -> Doubles:
    """Solve with the Hessian of the log-loss of a multinomial regression, summed over rows, and a ridge.

    Parameters
    ----------
    x : NDArray[np.float64]
        ``(n, k)``.
    probabilities : NDArray[np.float64]
        ``(n, n_classes)``.
    ridge : NDArray[np.float64]
        ``(k,)`` above 0, the same for every class.
    right : NDArray[np.float64]
        ``(k, n_classes)``, as what is returned.
    """
    bound = 0.5 * (x.T @ x)
    bound[np.diag_indices_from(bound)] += ridge
    near = np.linalg.inv(bound)

    def multiply(v: Doubles) -> Doubles:
        said = x @ v
        curved = probabilities * (said - (probabilities * said).sum(axis=1, keepdims=True))
        product: Doubles = x.T @ curved + ridge[:, None] * v
        return product

    solution, left = np.zeros_like(right), right.copy()
    direction = near @ left
    size = float((left * direction).sum())
    enough = _CLOSE**2 * size
    for _ in range(_STEPS):
        if size <= enough:
            break
        along = multiply(direction)
        length = size / float((direction * along).sum())
        solution += length * direction
        left -= length * along
        ahead = near @ left
        before, size = size, float((left * ahead).sum())
        direction = ahead + size / before * direction
    return solution


def _with_ones(z: NDArray[np.float32]) -> Doubles:
    return np.column_stack([z.astype(np.float64), np.ones(len(z))])


def _residual(probabilities: Doubles, codes: Codes) -> Doubles:
    residual = probabilities.copy()
    residual[np.arange(len(codes)), codes] -= 1
    return residual
