"""Newton's method in double precision, for one linear classifier that `stack.solvers.lbfgs` could not finish.

Where C is large, or columns differ by orders of magnitude, the Hessian's condition goes beyond what float32 and an
average curvature can precondition. Such a problem is solved alone here: truncated Newton steps by conjugate gradients
(Nocedal & Wright 2006, Numerical Optimization, 2nd ed., algorithm 7.1), preconditioned by the exact Hessian of each
class, in the space of the rows where there are fewer rows than columns. A start that is far off is not improved: C is
raised step by step from where the start is near (continuation: the same book, section 11.3), since a support that
changes little is found in a step or two, and one that is all wrong in hundreds. It ends at a proof: the penalty makes
the objective strongly convex, so that its gradient bounds how far the minimum can be (Boyd & Vandenberghe 2004, Convex
Optimization, section 9.1.2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.objectives.losses import Loss

Doubles = NDArray[np.float64]

MAX_STEPS = 500
"""Newton steps, of all C together; 5 to 30 are usual."""

MAX_PRODUCTS = 250
"""Products with the Hessian for one step; a few are usual, since each class's own part is solved exactly."""

_ACCURACY = 1e-4  # share of the residual's squared (preconditioned) norm at which a Newton system counts as solved
_NEAR = 0.1  # bound on the gap, as a share of the objective, at which C is raised
_FACTOR = 100.0  # by which it is
_TRIALS = 50  # step lengths tried along one step
_SLOPE_LEFT = 1e-3  # share of the slope that a step may leave
_MOST_VALUES = 2**23  # in the factors of all classes; beyond, they share the factor of their mean curvature


class Alone(NamedTuple):
    """Where Newton's method stopped.

    Attributes
    ----------
    u : NDArray[np.float64]
        ``(width, dim + 1)`` coefficients, the intercept last.
    bound : float
        The objective is above its minimum by at most this share of it.
    steps : int
        Newton steps taken.
    """

    u: Doubles
    bound: float
    steps: int


def solve_alone(
    features: Doubles,
    shift: Doubles,
    loss: Loss,
    c: float,
    start: Doubles,
    *,
    free_intercept: bool,
    tol: float,
    work: float = np.inf,
    offset: Doubles | None = None,
    max_steps: int = MAX_STEPS,
) -> Alone:
    """Minimise ``c · loss(z) + ½ Σ u²``, the intercept's square left out where it is free, for one group.

    The decision values are ``z = features @ u[:-1] + u[-1] - u[:-1] @ shift``, and the offset.

    Parameters
    ----------
    features : NDArray[np.float64]
        ``(n_rows, dim)``, every row of them fitted on.
    shift : NDArray[np.float64]
        ``(dim,)`` what the intercept is counted from.
    loss : Loss
        Of one group and these rows.
    c : float
        Weight of the loss.
    start : NDArray[np.float64]
        ``(width, dim + 1)`` where to start, unless zero is near the minimum of a larger C.
    free_intercept : bool
        Whether the intercept goes unpenalised.
    tol : float
        `Alone.bound` to reach.
    work : float
        Multiplications to end after, about.
    offset : NDArray[np.float64], optional
        ``(width, n_rows)`` decision values to begin with.
    max_steps : int
        Most Newton steps.

    Returns
    -------
    Alone
        The coefficients and how good they are.
    """
    basis = None if len(features) >= features.shape[1] else _basis(features, shift)
    lower = shift if basis is None else shift @ basis
    seen = features if basis is None else features @ basis
    problem = _Problem(seen, lower, loss, offset, free_intercept=free_intercept)
    v = start.copy()
    v[:, -1] -= start[:, :-1] @ shift
    if basis is not None:
        v = np.column_stack([start[:, :-1] @ basis, v[:, -1]])
    v, bound, steps = problem.follow(v, c, tol, max_steps, work)
    w = v[:, :-1] if basis is None else v[:, :-1] @ basis.T
    return Alone(np.column_stack([w, v[:, -1] + v[:, :-1] @ lower]), bound, steps)


def _basis(features: Doubles, shift: Doubles) -> Doubles:
    """Return ``(dim, rank)`` orthonormal directions of the rows and of the shift: none else changes the loss.

    Singular vectors, and not those of a plain QR: columns of unlike size then stay apart, each with its own digits.
    """
    _, sizes, rows = np.linalg.svd(features, full_matrices=False)
    rows = rows[sizes > sizes[0] * np.finfo(np.float64).eps]
    rest = shift - (shift @ rows.T) @ rows
    length = np.linalg.norm(rest)
    if length > 1e-12 * np.linalg.norm(shift):
        rows = np.vstack([rows, rest / length])
    return np.ascontiguousarray(rows.T)


class _Problem:
    """The objective in coefficients ``v``, whose intercept belongs to the features as they are."""

    def __init__(
        self, features: Doubles, shift: Doubles, loss: Loss, offset: Doubles | None, *, free_intercept: bool
    ) -> None:
        self._matrix = np.column_stack([features, np.ones(len(features))])
        self._loss, self._free = loss, free_intercept
        self._c = self._work = 0.0
        self._offset = 0.0 if offset is None else offset
        self._ridge = np.append(np.ones(len(shift)), 0.0)
        self._tie = np.zeros(len(shift) + 1) if free_intercept else np.append(shift, 1.0)  # v · tie: the intercept

    def follow(self, v: Doubles, c: float, tol: float, max_steps: int, work: float) -> tuple[Doubles, float, int]:
        """Return the coefficients, the bound on their gap, and the steps taken, on the way from an easier C."""
        zero = np.zeros_like(v)
        easiest = self._easier(zero, c, 0.0)  # near zero, nothing is better than zero
        start = self._easier(v, c, easiest)
        if start == easiest:
            v = zero
        steps = 0
        while True:
            self._c = min(start, c)
            last = self._c == c
            v, bound, taken = self._minimise(v, tol if last else _NEAR, max_steps - steps, work)
            steps += taken
            if last:
                return v, bound, steps
            start *= _FACTOR

    def _easier(self, v: Doubles, c: float, least: float) -> float:
        """Return the largest C, of `c`, its hundredth and so on, at which these are near the minimum, or `least`."""
        slope = self._loss.evaluate((v @ self._matrix.T + self._offset)[None])
        residual = slope.residual[0].astype(np.float64, copy=False)
        image, penalised = residual @ self._matrix, self._penalise(v)
        loss, penalty = float(slope.value[0]), float((v * penalised).sum()) / 2
        self._c = c
        while self._c > least and (
            self._bound(self._c * image + penalised, residual) > _NEAR * (self._c * loss + penalty)
        ):
            self._c /= _FACTOR
        return max(self._c, least)

    def _minimise(self, v: Doubles, tol: float, max_steps: int, work: float) -> tuple[Doubles, float, int]:
        """Return the coefficients for the current C, the bound on their gap, and the steps taken."""
        value, residual = self._evaluate(v)
        steps = 0
        while True:
            gradient = self._c * (residual @ self._matrix) + self._penalise(v)
            bound = self._bound(gradient, residual) / max(value, np.finfo(np.float64).tiny)
            if bound <= tol or steps >= max_steps or self._work > work:
                return v, bound, steps
            step = self._solve(gradient, residual)
            ahead = v + self._length(v, step, float((gradient * step).sum())) * step
            value_ahead, residual_ahead = self._evaluate(ahead)
            if not value_ahead < value:
                return v, bound, steps  # nothing that double precision can tell is left to gain
            v, value, residual = ahead, value_ahead, residual_ahead
            steps += 1

    def _length(self, v: Doubles, step: Doubles, slope: float) -> float:
        """Return how far along a step the objective is least: where next to nothing is left of the slope.

        A whole step of Newton's method goes far beyond where rows leave the support, and halving it may stop just short
        of most of them. Finding the minimum costs no product with the matrix.
        """
        z, dz = v @ self._matrix.T + self._offset, step @ self._matrix.T
        along, square = float((v * self._penalise(step)).sum()), float((step * self._penalise(step)).sum())
        low, high, slope_low, slope_high, t = 0.0, np.inf, slope, np.inf, 1.0
        for _ in range(_TRIALS):
            residual = self._loss.evaluate((z + t * dz)[None]).residual[0]
            at = self._c * float((residual * dz).sum()) + along + t * square
            if abs(at) <= _SLOPE_LEFT * abs(slope):
                break
            if at < 0:
                low, slope_low = t, at
            else:
                high, slope_high = t, at
            t = 2 * t if np.isinf(high) else _between(low, high, slope_low, slope_high)
        return t

    def _evaluate(self, v: Doubles) -> tuple[float, Doubles]:
        """Return the objective, and the loss's ``(width, n_rows)`` derivative by each decision value."""
        slope = self._loss.evaluate((v @ self._matrix.T + self._offset)[None])
        penalty = float((v * self._penalise(v)).sum()) / 2
        return self._c * float(slope.value[0]) + penalty, slope.residual[0].astype(np.float64, copy=False)

    def _penalise(self, v: Doubles) -> Doubles:
        penalised: Doubles = v * self._ridge + (v @ self._tie)[:, None] * self._tie
        return penalised

    def _bound(self, gradient: Doubles, residual: Doubles) -> float:
        """Bound what is above the minimum: strong convexity in what is penalised, curvature in a free intercept."""
        if not self._free:
            tied = gradient[:, :-1] - gradient[:, -1:] * self._tie[:-1]
            return float(np.square(tied).sum() + np.square(gradient[:, -1]).sum()) / 2
        curvature = self._c * self._loss.curvatures(residual[None])[0].sum(axis=1)
        free = np.square(gradient[:, -1]) / np.maximum(curvature, np.finfo(np.float64).tiny)
        return float(np.square(gradient[:, :-1]).sum() / 2 + free.sum())

    def _solve(self, gradient: Doubles, residual: Doubles) -> Doubles:
        """Return the Newton step, by preconditioned conjugate gradients."""
        factors = self._factors(residual)
        step = np.zeros_like(gradient)
        left = -gradient
        near = _precondition(factors, left)
        along, size = near, float((left * near).sum())
        enough = _ACCURACY * size
        for _ in range(MAX_PRODUCTS):
            self._work += 2 * len(gradient) * self._matrix.size
            image = self._c * (self._loss.curve(residual[None], (along @ self._matrix.T)[None])[0] @ self._matrix)
            image += self._penalise(along)
            curved = float((along * image).sum())
            if not curved > 0:
                break
            step += size / curved * along
            left -= size / curved * image
            near = _precondition(factors, left)
            before, size = size, float((left * near).sum())
            if size <= enough:
                break
            along = near + size / before * along
        return step

    def _factors(self, residual: Doubles) -> Doubles:
        """Return ``(width, m, m)`` matrices F (or one for all classes): ``Fᵀ F`` inverts a class's Hessian."""
        weights = self._c * self._loss.curvatures(residual[None])[0]
        size = self._matrix.shape[1]
        if len(weights) * size**2 > _MOST_VALUES:
            weights = weights.mean(axis=0, keepdims=True)
        factors = np.empty((len(weights), size, size))
        for factor, weight in zip(factors, weights, strict=True):
            curved = weight > 0
            matrix = self._matrix[curved]
            self._work += (len(matrix) + size) * size**2
            hessian = (matrix * weight[curved, None]).T @ matrix + np.outer(self._tie, self._tie)
            hessian[np.diag_indices(size)] += self._ridge
            scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(np.float64).tiny))
            hessian *= scale[:, None] * scale
            # Not scipy's triangular solver: scipy brings a BLAS of its own, whose threads and numpy's would wait.
            factor[:] = np.linalg.inv(_cholesky(hessian)) * scale
        return factors


def _between(low: float, high: float, slope_low: float, slope_high: float) -> float:
    """Return where a slope that is negative at `low` and positive at `high` may vanish: by secant, well inside."""
    share = slope_low / (slope_low - slope_high)
    return low + float(np.clip(share, 0.1, 0.9)) * (high - low)


def _cholesky(correlations: Doubles) -> Doubles:
    """Return the lower factor of a matrix of unit diagonal, which is raised by no more than rounding asks."""
    raised = correlations.copy()
    raise_by = len(correlations) * np.finfo(np.float64).eps
    while True:
        raised[np.diag_indices_from(raised)] = 1 + raise_by
        try:
            lower: Doubles = np.linalg.cholesky(raised).astype(np.float64, copy=False)
            return lower
        except np.linalg.LinAlgError:
            raise_by *= 100


def _precondition(factors: Doubles, g: Doubles) -> Doubles:
    solved: Doubles = (
        np.einsum("kji,kj->ki", factors, np.einsum("kij,kj->ki", factors, g))
        if len(factors) > 1
        else (g @ factors[0].T) @ factors[0]
    )
    return solved
