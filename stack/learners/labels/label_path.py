"""Logistic regressions of many labels, one against the rest each, for one C after another.

All labels and training subsets share one matrix, each product with it, and its spectrum: what `stack.solvers.linear`
does for the classes of one label, where here every label is a problem of two classes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.text import counted
from stackbone.stack.computing.arithmetic import Arithmetic, chosen_arithmetic
from stackbone.stack.solvers.checks import check_weights
from stackbone.stack.solvers.linear import MAX_ITER, TOL, LinearMap, LinearPath
from stackbone.stack.solvers.objectives.losses import LogisticLoss, Loss
from stackbone.stack.solvers.objectives.objective import EVERY_ROW, Doubles, Objective
from stackbone.stack.solvers.row_space import make_design
from stackbone.stack.solvers.rows import Matrix, taking_part


class LabelPath(LinearPath):
    """Binary logistic regressions of every label on every training subset.

    The objective of each is that of scikit-learn's ``LogisticRegression`` on one label, which ``OneVsRestClassifier``
    fits one after the other: C Σ log(1 + exp(-y·z)) + ½‖w‖², y = ±1, with a free intercept.

    Parameters
    ----------
    x : NDArray[np.float32] or Rows
        ``(n, dim)`` finite features.
    presence : NDArray[np.int8]
        ``(n, n_labels)``: 1 where a row has a label, else 0.
    subsets : sequence of NDArray[np.int64]
        Rows of each training subset; each has rows with every label, and rows without it.
    standardise, moderation, weights, tol, max_iter
        As of `LinearPath`.

    Raises
    ------
    StackError
        If a subset has one side of a label alone.
    """

    def __init__(
        self,
        x: Matrix,
        presence: NDArray[np.int8],
        subsets: Sequence[NDArray[np.int64]],
        *,
        standardise: bool = True,
        moderation: float = 0.0,
        weights: NDArray[np.float64] | None = None,
        tol: float = TOL,
        max_iter: int = MAX_ITER,
    ) -> None:
        _check_sides(presence, subsets)
        rows, self._fitted = taking_part(subsets)
        counts = None if weights is None else check_weights(weights, len(presence), rows)
        self._objective: Objective = LabelObjective(presence[rows] == 1, self._fitted, counts)
        self._is_free, self._prior, self._start = True, None, None
        self._tol, self._max_iter = tol, max_iter
        self._arithmetic = chosen_arithmetic()
        self._design = make_design(
            x,
            rows,
            self._fitted,
            counts,
            self._objective.n_problems,
            self._arithmetic,
            standardise=standardise,
            moderation=moderation,
            free_intercept=self._is_free,
        )
        self._u = np.zeros((len(self._objective.subset_of), 1, self._design.n_coefficients))
        self._solved = np.ones(self._objective.n_problems, np.bool_)
        self.iterations = 0

    def solve_some(self, c: float, labels: NDArray[np.bool_]) -> list[LinearMap]:
        """Fit these labels alone; of the others the maps are what the last call for them left.

        Parameters
        ----------
        c : float
            As of `solve`.
        labels : NDArray[np.bool_]
            ``(n_labels,)``.
        """
        self._solved = labels
        return self.solve(c)

    def _problems(self) -> NDArray[np.int64]:
        return np.flatnonzero(self._solved[self._objective.class_of])


class LabelObjective(Objective):
    """Every label against the rest, each a problem of two classes by itself.

    Parameters
    ----------
    presence : NDArray[np.bool_]
        ``(n_rows, n_labels)`` whether a row has a label.
    fitted, weights
        As of `Objective`.
    """

    def __init__(self, presence: NDArray[np.bool_], fitted: NDArray[np.bool_], weights: Doubles | None) -> None:
        self._presence = presence
        super().__init__(fitted, weights, np.arange(presence.shape[1]), 1)

    def loss(
        self, problems: NDArray[np.int64], arithmetic: Arithmetic, rows: NDArray[np.int64] | slice = EVERY_ROW
    ) -> Loss:
        """Return the loss of some labels, by number, in some rows."""
        fitted = self._fitted[self.subset_of[problems]][:, rows]
        has = self._presence[rows].T[self.class_of[problems]]
        weights = None if self._weights is None else self._weights[rows].astype(np.float32)
        signs = np.where(has, fitted, -fitted.astype(np.float32)).astype(np.float32)
        return LogisticLoss(signs, weights, arithmetic)

    def outputs(self, coef: Doubles, intercept: Doubles) -> tuple[Doubles, Doubles]:
        """Return them as they are: one output a label."""
        return coef, intercept


def _check_sides(presence: NDArray[np.int8], subsets: Sequence[NDArray[np.int64]]) -> None:
    for number, subset in enumerate(subsets, start=1):
        n_with = presence[subset].sum(axis=0, dtype=np.int64)
        wrong = np.flatnonzero((n_with == 0) | (n_with == len(subset)))
        if len(wrong):
            named = ", ".join(map(str, wrong[:10])) + (", ..." if len(wrong) > 10 else "")
            msg = (
                f"training subset {number} of {len(subsets)} ({len(subset)} rows) has all rows or none of "
                f"{counted(len(wrong), 'label')} (columns {named}); no classifier can learn what it has one side of: "
                "put rows with each label and rows without it into every training subset"
            )
            raise StackError(msg)
