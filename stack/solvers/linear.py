"""Linear classifiers of many training subsets of one matrix, for one C after another.

Choosing C by cross-validation fits the same features again and again: K classes, several folds, several C. Here
they share one centred copy of the matrix. One matrix product each way serves all classes of several folds, one
eigendecomposition preconditions them all for every C, and each C starts where the last one ended.
The objectives are scikit-learn's ``LogisticRegression`` and liblinear's ``LinearSVC``, to the letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import UsageError
from stackbone.stack.computing.arithmetic import HOST, chosen_arithmetic
from stackbone.stack.computing.batches import run_in_batches, smallest_part
from stackbone.stack.solvers.checks import check_subsets, check_weights, warn_unproved
from stackbone.stack.solvers.large.streamed import TIGHTER, StreamedDesign
from stackbone.stack.solvers.lbfgs import minimise
from stackbone.stack.solvers.newton import MAX_STEPS, solve_alone
from stackbone.stack.solvers.objectives.objective import ClassObjective, Kind, Objective
from stackbone.stack.solvers.row_space import make_design
from stackbone.stack.solvers.rows import Matrix, pieces, taking_part
from stackbone.stack.solvers.scales import ColumnParts

Doubles = NDArray[np.float64]

TOL = 1e-6
"""Share of the objective by which it may exceed its minimum, as the solver estimates it."""

MAX_ITER = 1000
"""A ceiling on steps; 15 to 60 are usual."""

_PROMISED = 1e-3  # the most, as a share of the objective, that a fit may be proved to be above its minimum
_HOPEFUL = 200  # steps in float32, after which a fit that can go on alone does
_MOST_ALONE = 2**26  # values of a training subset that is solved alone, in double precision
_MOST_DIRECTIONS = 4096  # rows or columns, whichever are fewer, of such a subset
_MOST_WORK = 2.0**42  # multiplications of all that goes on alone for one C: some minutes


@dataclass(frozen=True, eq=False)
class LinearMap:
    """A fitted linear model of raw (not standardised) features: ``(x - mean) @ coef + intercept``.

    Attributes
    ----------
    coef : NDArray[np.float32]
        ``(dim, n_outputs)``.
    intercept : NDArray[np.float32]
        ``(n_outputs,)`` outputs at the mean.
    mean : NDArray[np.float32], optional
        ``(dim,)`` what is subtracted from the features first; by default nothing. Where they are far from zero, outputs
        would else be small differences of large numbers, of which float32 keeps no digit.
    """

    coef: NDArray[np.float32]
    intercept: NDArray[np.float32]
    mean: NDArray[np.float32] | None = None

    @classmethod
    def rounded(cls, coef: Doubles, intercept: Doubles, mean: Doubles) -> LinearMap:
        """Return the map of ``(dim, n_outputs)`` coefficients and ``(n_outputs,)`` intercepts at a ``(dim,)`` mean."""
        near = mean.astype(np.float32)
        narrow = np.ascontiguousarray(coef, dtype=np.float32)
        return cls(narrow, (intercept + (near - mean) @ coef).astype(np.float32), near)

    def decide(self, x: Matrix) -> NDArray[np.float32]:
        """Return the ``(n, n_outputs)`` decision values of ``(n, dim)`` raw features."""
        decision = np.empty((len(x), len(self.intercept)), np.float32)
        for part, values in pieces(x):
            decision[part] = (values if self.mean is None else values - self.mean) @ self.coef + self.intercept
        return decision

    def uncentred(self) -> tuple[Doubles, Doubles]:
        """Return the coefficients and, in double precision, the intercepts of the same map without a mean."""
        coef, intercept = self.coef.astype(np.float64), self.intercept.astype(np.float64)
        return coef, intercept if self.mean is None else intercept - self.mean @ coef


class LinearPath:
    """Linear classifiers of several training subsets of one matrix, refitted for one C after another.

    ``log`` is scikit-learn's multinomial ``LogisticRegression``, C Σ log-loss + ½‖W‖² with a free intercept; for two
    classes its binary objective, with outputs (0, z). Log-softmax of the outputs gives natural-log probabilities.
    ``squared_hinge`` is liblinear's L2-regularised L2-loss SVM (Fan et al. 2008, JMLR 9, 1871-1874), one against the
    rest, ½‖w‖² + ½b² + C Σ max(0, 1 - y·z)² with y = ±1; for two classes its one problem, with outputs (-z, z).

    The solver is `lbfgs`, preconditioned as `design` tells, or, where rows are few beside columns, `row_space`. All
    sums over classes and features run in float32, those of the objective in float64. A fit that this leaves without a
    proof of being near its minimum goes on alone, in float64, by `stack.solvers.newton`, where its subset is small
    enough (up to 2**26 values), and for some minutes at most: what is then not proved is named in a warning. It
    computes where `stack.computing.arithmetic.chosen_arithmetic` says when it is made; what goes on alone does so on
    the CPU.

    Parameters
    ----------
    x : NDArray[np.float32] or LazyRows
        ``(n, dim)`` finite features; float64 is read too. One centred float32 copy of the rows used is made.
    codes : NDArray[np.int64]
        ``(n,)`` class codes, 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes, at least 2.
    subsets : sequence of NDArray[np.int64]
        Rows of each training subset.
    loss : {"log", "squared_hinge"}
        The objective.
    standardise : bool
        Whether each subset's features are standardised by its own rows' mean and population standard deviation
        (columns constant in a subset take no part in it), folded into the maps returned.
    moderation : float
        With `standardise`: how many rows the columns' common variance counts for in that of each
        (`stack.solvers.scales.moderated_scales`). 0 standardises as ``StandardScaler`` does.
    prior : LinearMap, optional
        The map that is penalised for leaving, in place of the zero map: with C near 0 every fit ends there, and the
        more rows, or the larger C, the further from it. It knows no subset, so that it must not have seen labels.
    parts : ColumnParts, optional
        With `standardise`: which columns are standardised and penalised among each other; by default all.
    weights : NDArray[np.float64], optional
        ``(n,)`` what each row counts for, above 0, in the loss and in the moments that standardise: a row of weight 2
        as if it were there twice.
    tol : float
        Share of the objective by which it may exceed its minimum, as the solver estimates it.
    max_iter : int
        Most steps for one C; a fit that goes on alone has as many again, and at most 500.

    Raises
    ------
    StackError
        If a subset lacks a class.
    UsageError
        If there are fewer than two classes, no subset, or weights that are not positive numbers.
    """

    def __init__(
        self,
        x: Matrix,
        codes: NDArray[np.int64],
        n_classes: int,
        subsets: Sequence[NDArray[np.int64]],
        *,
        loss: Kind,
        standardise: bool,
        moderation: float = 0.0,
        prior: LinearMap | None = None,
        parts: ColumnParts | None = None,
        weights: Doubles | None = None,
        tol: float = TOL,
        max_iter: int = MAX_ITER,
    ) -> None:
        check_subsets(codes, n_classes, subsets)
        rows, self._fitted = taking_part(subsets)
        counts = None if weights is None else check_weights(weights, len(codes), rows)
        objective = ClassObjective(loss, codes[rows], n_classes, self._fitted, counts)
        self._objective: Objective = objective
        self._is_free, self._tol, self._max_iter = loss == "log", tol, max_iter
        self._arithmetic = chosen_arithmetic()
        self._design = make_design(
            x,
            rows,
            self._fitted,
            counts,
            objective.n_problems,
            self._arithmetic,
            standardise=standardise,
            moderation=moderation,
            free_intercept=self._is_free,
            parts=parts,
        )
        self._prior = prior
        self._start = None if prior is None else objective.decisions(prior.decide(x[rows]))
        self._u = np.zeros((len(objective.subset_of), objective.width, self._design.n_coefficients))
        self.iterations = 0
        """Steps that the slowest problem took in the last call of `solve`."""

    def solve(self, c: float) -> list[LinearMap]:
        """Fit every subset, from where the last call ended.

        Parameters
        ----------
        c : float
            Inverse regularisation strength, in scikit-learn's sense; more than 0.

        Returns
        -------
        list of LinearMap
            One per subset, with ``n_classes`` outputs.

        Raises
        ------
        UsageError
            If C is not a positive number.

        Warns
        -----
        ConvergenceWarning
            If a fit stopped, at `max_iter` or at the limits of precision, where its objective is not proved to be
            within a thousandth of the minimum (or within `tol`, where that is more).
        """
        if not (np.isfinite(c) and c > 0):
            msg = f"C is {c}; expected a number above 0: choose a larger one"
            raise UsageError(msg)
        c, bounds, self.iterations = float(c), np.zeros(len(self._u)), 0
        subset_of = self._objective.subset_of
        steps = min(self._max_iter, _HOPEFUL) if self._fits_alone().any() else self._max_iter

        def solve_some(groups: NDArray[np.int64]) -> None:
            design, loss = self._design.select(subset_of[groups]), self._objective.loss(groups, self._arithmetic)
            start = None if self._start is None else self._start[self._objective.class_of[groups]]
            found = minimise(design, loss, c, self._u[groups].astype(np.float32), self._aim, steps, start)
            self._u[groups], bounds[groups] = found.u, found.bound
            self.iterations = max(self.iterations, found.iterations)

        run_in_batches(self._arithmetic, self._problems(), self._u.shape[1], solve_some)
        promised = max(_PROMISED, self._tol)
        alone = self._fits_alone()[subset_of]
        left = np.flatnonzero(alone & ~(bounds <= promised))
        for group in left:
            bounds[group] = self._solve_alone(int(group), c, _MOST_WORK / len(left))
        warn_unproved(c, bounds, promised, self.iterations)
        with smallest_part(self._arithmetic):
            return [self._map(subset) for subset in range(len(self._fitted))]

    @property
    def _aim(self) -> float:
        """What `minimise` is asked for: of many rows a gradient, which grows with their curvature, proves little."""
        return self._tol * (TIGHTER if isinstance(self._design, StreamedDesign) else 1.0)

    def _fits_alone(self) -> NDArray[np.bool_]:
        """Return of each subset whether it is small enough to be solved alone, in double precision."""
        n_rows, dim = self._fitted.sum(axis=1), self._design.n_coefficients
        small: NDArray[np.bool_] = (n_rows * dim <= _MOST_ALONE) & (np.minimum(n_rows, dim) <= _MOST_DIRECTIONS)
        return small

    def _solve_alone(self, group: int, c: float, work: float) -> float:
        """Solve one problem in double precision, from where it is, and return the bound on its gap."""
        subset, told = self._objective.subset_of[group], self._objective.class_of[group]
        rows = np.flatnonzero(self._fitted[subset])
        with smallest_part(self._arithmetic):
            features, shift = self._design.alone(int(subset), rows)
        offset = None if self._start is None else self._start[told][:, rows].astype(np.float64)
        found = solve_alone(
            features,
            shift,
            self._objective.loss(np.array([group]), HOST, rows),
            c,
            self._u[group],
            free_intercept=self._is_free,
            offset=offset,
            tol=self._tol,
            work=work,
            max_steps=min(self._max_iter, MAX_STEPS),
        )
        self._u[group] = found.u
        self.iterations = max(self.iterations, found.steps)
        return found.bound

    def _problems(self) -> NDArray[np.int64]:
        """Return the numbers of the problems to solve."""
        return np.arange(len(self._u))

    def _map(self, subset: int) -> LinearMap:
        u = self._u[self._objective.subset_of == subset].reshape(-1, self._design.n_coefficients)
        coef, intercept, mean = self._design.unfold(u, subset)
        coef, intercept = self._objective.outputs(coef, intercept)
        if self._prior is not None:
            prior_coef, prior_intercept = self._prior.uncentred()
            coef, intercept = coef + prior_coef.T, intercept + prior_intercept + mean @ prior_coef
        return LinearMap.rounded(coef.T, intercept, mean)
