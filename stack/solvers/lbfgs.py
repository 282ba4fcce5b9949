"""L-BFGS for many linear classifiers of one matrix at once.

Every group (see `objectives.losses`) is a strictly convex problem of its own, with its own steps and its own history;
all groups share each product with the matrix, which is where the time goes. A group that has converged leaves the
products. The method is limited-memory BFGS in its two-loop form (Nocedal & Wright 2006, Numerical Optimization,
2nd ed., algorithm 7.4), whose initial inverse Hessian is a preconditioner made for the current curvature. A support
vector machine that is left with few support vectors goes on by Newton's method, which then ends in a few steps
(Keerthi & DeCoste 2005, JMLR 6, 341-361; Chapelle 2007, Neural Computation 19(5), 1155-1178). Decision values are
kept beside the coefficients, so that a trial step of the line search costs no product.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.computing.arithmetic import Arithmetic, Array
from stackbone.stack.solvers.bracket import Bracket
from stackbone.stack.solvers.objectives.losses import Groups, Loss

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

HISTORY = 6
"""Pairs of steps and gradient changes remembered."""

MAX_TRIALS = 25
"""Step lengths tried in one line search."""

PATIENCE = 40
"""Steps before the Newton direction is worth its price: easy problems have ended, the others are near their support."""

NEWTON_SHARE = 100
"""The Newton direction is taken where the support, squared, is at most this many times the rows. It then costs
at most about 25 quasi-Newton steps, usually 3, and ten or twenty of them end what takes hundreds."""

_SLOPE_LEFT = 0.5  # share of the slope that a step may leave: strict, since a trial is cheap beside a product
_DECREASE = 1e-4  # share of the promised decrease that a step must bring (Armijo)
_ROUNDED = 1e-6  # relative error of a decision value in float32
_NOISE = 1e-7  # relative error of a loss summed from float32 terms


class Design(Protocol):
    """What the solver asks of the matrix."""

    arithmetic: Arithmetic
    """What it computes with; coefficients and decision values are its arrays."""

    ridge: Array
    """``(n_coefficients,)`` weight of each coefficient's square in the penalty: 1, or 0 where it is free."""

    def forward(self, u: Array) -> Array:
        """Map coefficients ``(groups, width, n_coefficients)`` to decision values ``(groups, width, n_rows)``."""

    def backward(self, residual: Array) -> Array:
        """Apply the transpose of `forward`."""

    def precondition(self, g: Array, curvature: Floats) -> Array:
        """Solve with an approximate Hessian for ``(groups, width)`` summed curvatures of the loss."""

    def rounding(self, u: Array) -> Doubles:
        """Return the size, ``(groups,)``, of the numbers that cancel in the decision values of these coefficients."""

    def newton(self, g: Array, group: int, rows: Array, curvature: float | Array) -> Array:
        """Solve with one group's Hessian, exactly, where its loss is curved in these rows alone."""

    def select(self, groups: Groups) -> Self:
        """Return the design of these groups only."""


class Minimum(NamedTuple):
    """Where the solver stopped.

    Attributes
    ----------
    u : NDArray[np.float32]
        ``(groups, width, n_coefficients)`` coefficients.
    iterations : int
        Steps of the group that took most.
    bound : NDArray[np.float64]
        ``(groups,)`` by how much the objective can be above its minimum, as a share of it: see `_Descent.bound`.
    """

    u: Floats
    iterations: int
    bound: Doubles


def minimise(
    design: Design, loss: Loss, c: float, start: Floats, tol: float, max_iter: int, offset: Floats | None = None
) -> Minimum:
    """Minimise ``c · loss(forward(u) + offset) + ½ Σ ridge · u²`` for every group.

    Parameters
    ----------
    design : Design
        The matrix.
    loss : Loss
        The loss of the same groups.
    c : float
        Weight of the loss.
    start : NDArray[np.float32]
        ``(groups, width, n_coefficients)`` where to start.
    tol : float
        A group ends where its objective is above the minimum by less than this share, as half the Newton decrement
        estimates it; that takes the quasi-Newton Hessian for the true one, and `Minimum.bound` does not.
    max_iter : int
        Most steps.
    offset : NDArray[np.float32], optional
        ``(groups, width, n_rows)`` decision values to begin with.

    Returns
    -------
    Minimum
        The coefficients and how good they are.
    """
    u, bound = start.copy(), np.full(len(start), np.inf)
    active = np.arange(len(start))
    numbers, array = design.arithmetic.numbers, design.arithmetic.array
    first = None if offset is None else array(offset)
    descent = _Descent(design, loss, c, array(start.copy()), first)
    iterations = 0
    while True:
        direction = descent.aim()
        done = (descent.gap <= tol) | (descent.failures > 1)
        last = iterations == max_iter or bool(done.all())
        # Leaving costs a copy of everything that stays: worth it once a quarter can leave.
        if last or 4 * done.sum() >= len(done):
            u[active], bound[active] = numbers(descent.u), descent.bound()
            if last:
                return Minimum(u, iterations, bound)
            active, direction = active[~done], direction[~done]
            descent.keep(np.flatnonzero(~done))
        descent.step(direction)
        iterations += 1


class _Pair(NamedTuple):
    """A step, the change of gradient along it, and 1 / their product: 0 where a group has none to use."""

    step: Array
    change: Array
    rho: Doubles


class _Descent:
    """The state of the groups that have not converged."""

    def __init__(self, design: Design, loss: Loss, c: float, u: Array, offset: Array | None) -> None:
        self._design, self._loss, self._c, self._arithmetic = design, loss, c, design.arithmetic
        self.u = u
        self._z = design.forward(u)
        if offset is not None:
            self._z += offset
        value, residual, curvature = loss.evaluate(self._arithmetic.copy(self._z))
        self._loss_value, self._curvature = value, curvature
        self._steps = 0
        self._gradient = self._whole_gradient(residual)
        self._pairs: deque[_Pair] = deque(maxlen=HISTORY)
        self.failures = np.zeros(len(u), dtype=np.int64)
        self.gap = np.full(len(u), np.inf)

    def aim(self) -> Array:
        """Return the quasi-Newton direction, and note in `gap` what it promises."""
        dots, per_group = self._arithmetic.dots, self._arithmetic.per_group
        q = self._arithmetic.copy(self._gradient)
        shares = []
        for step, change, rho in reversed(self._pairs):
            share = rho * dots(step, q)
            q -= per_group(share) * change
            shares.append(share)
        q = self._design.precondition(q, self._c * self._curvature)
        for (step, change, rho), share in zip(self._pairs, reversed(shares), strict=True):
            q += per_group(share - rho * dots(change, q)) * step
        if self._steps >= PATIENCE:
            self._sharpen(q)
        q *= -1
        self._slope = dots(self._gradient, q)
        self.gap = np.abs(self._slope) / 2 / np.maximum(self._objective(), np.finfo(np.float32).tiny)
        return q

    def bound(self) -> Doubles:
        """Bound what the objective is above its minimum, as a share of it, whatever the Hessian.

        What is penalised makes it strongly convex: half the square of the gradient bounds the rest (Boyd & Vandenberghe
        2004, Convex Optimization, section 9.1.2). A free intercept counts by its own curvature, and decision values
        by what float32 rounds off them.
        """
        curvature = np.maximum(self._c * self._curvature.astype(np.float64), np.finfo(np.float32).tiny)
        intercepts = self._arithmetic.numbers(self._gradient[..., -1])
        free = np.square(intercepts, dtype=np.float64) / curvature * float(self._design.ridge[-1] == 0)
        rounded = _ROUNDED * (self._arithmetic.peaks(self._z) + self._design.rounding(self.u))
        above = self._penalty(self._gradient, self._gradient) / 2 + free.sum(axis=1)
        above += curvature.sum(axis=1) * rounded**2 / 2
        share: Doubles = above / np.maximum(self._objective(), np.finfo(np.float32).tiny)
        return share

    def _sharpen(self, q: Array) -> None:
        """Give groups whose loss is curved in few rows the Newton direction in place of the quasi-Newton one."""
        few = np.sqrt(NEWTON_SHARE * self._z.shape[2])
        for group in np.flatnonzero(self._curvature.max(axis=1) <= 2 * few):
            support = self._loss.support(int(group), self._z[group, 0])
            if support is not None and len(support[0]) <= few:
                rows, curvature = support
                q[group, 0] = self._design.newton(self._gradient[group, 0], int(group), rows, self._c * curvature)

    def step(self, direction: Array) -> None:
        """Search along the direction, move, and remember the pair."""
        self._steps += 1
        lengths, residual = self._search(direction)
        moved = lengths > 0
        direction *= self._arithmetic.per_group(lengths)
        self.u += direction
        change = self._whole_gradient(residual)
        change[~moved] = self._gradient[~moved]
        self._gradient, change = change, change - self._gradient
        product = self._arithmetic.dots(direction, change)
        # Strong convexity promises this much; less is rounding, which would spoil the estimate of the Hessian.
        usable = product > 0.5 * self._penalty(direction, direction)
        rho = np.where(usable & moved, 1 / np.where(product > 0, product, 1), 0)
        self.failures = np.where(moved, 0, self.failures + 1)
        for pair in self._pairs:
            pair.rho[~moved] = 0  # a direction that fails came from a spoilt history
        self._pairs.append(_Pair(direction, change, rho))

    def keep(self, groups: NDArray[np.int64]) -> None:
        """Drop all other groups."""
        self._design, self._loss = self._design.select(groups), self._loss.select(groups)
        self.u, self._z, self._gradient = self.u[groups], self._z[groups], self._gradient[groups]
        self._loss_value, self._curvature = self._loss_value[groups], self._curvature[groups]
        self.failures, self.gap, self._slope = self.failures[groups], self.gap[groups], self._slope[groups]
        pairs = (_Pair(step[groups], change[groups], rho[groups]) for step, change, rho in self._pairs)
        self._pairs = deque(pairs, maxlen=HISTORY)

    def _search(self, direction: Array) -> tuple[Doubles, Array]:
        """Find each group's step length by bracketing and secants on the slope; 0 where none was found.

        A step is taken when it decreases the objective enough and leaves little enough slope (the strong
        Wolfe conditions: Nocedal & Wright 2006, section 3.1). Updates decision values, loss and curvature.

        Returns
        -------
        lengths : NDArray[np.float64]
            ``(groups,)`` step lengths.
        residual : NDArray[np.float32]
            ``(groups, width, n_rows)`` derivative of the loss after the step; undefined where there is none.
        """
        dz = self._design.forward(direction)
        along, square = self._penalty(self.u, direction), self._penalty(direction, direction)
        n_groups, per_group = len(direction), self._arithmetic.per_group
        bracket = Bracket(self._slope)
        lengths, residual = np.zeros(n_groups), direction
        todo = np.arange(n_groups)
        for _ in range(MAX_TRIALS):
            everyone = len(todo) == n_groups
            some: Groups = slice(None) if everyone else todo
            t, dz_some = bracket.trial[todo], dz[some]
            trial = dz_some * per_group(t)
            trial += self._z[some]
            loss = self._loss if everyone else self._loss.select(todo)
            value, trial, curvature = loss.evaluate(trial)
            slope = self._c * self._arithmetic.dots(trial, dz_some) + along[todo] + t * square[todo]
            gain = self._c * (value - self._loss_value[todo]) + t * along[todo] + t**2 * square[todo] / 2
            noise = _NOISE * self._c * self._loss_value[todo]
            low_enough = gain <= _DECREASE * t * self._slope[todo] + noise
            taken = low_enough & (np.abs(slope) <= -_SLOPE_LEFT * self._slope[todo])
            winners = todo[taken]
            lengths[winners], self._loss_value[winners] = t[taken], value[taken]
            self._curvature[winners] = curvature[taken]
            if everyone:
                residual = trial
            else:
                residual[winners] = trial[taken]
            bracket.narrow(todo, slope, low_enough)
            todo = todo[~taken]
            if len(todo) == 0:
                break
        dz *= per_group(lengths)
        self._z += dz
        return lengths, residual

    def _whole_gradient(self, residual: Array) -> Array:
        gradient = self._design.backward(residual)
        gradient *= float(self._c)
        gradient += self._design.ridge * self.u
        return gradient

    def _objective(self) -> Doubles:
        objective: Doubles = self._c * self._loss_value + self._penalty(self.u, self.u) / 2
        return objective

    def _penalty(self, a: Array, b: Array) -> Doubles:
        return self._arithmetic.sums(a, b, self._design.ridge)
