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
from stackbone.stack.solvers.losses import LogisticLoss, Loss
from stackbone.stack.solvers.row_space import make_design
from stackbone.stack.solvers.rows import Matrix, taking_part

_EVERY_ROW = slice(None)


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
        self._presence = presence[rows] == 1
        self._weights = None if weights is None else check_weights(weights, len(presence), rows)
        self._n_classes = presence.shape[1]
        self._kind, self._prior, self._start = "log", None, None
        self._tol, self._max_iter = tol, max_iter
        self._arithmetic = chosen_arithmetic()
        self._design = make_design(
            x,
            rows,
            self._fitted,
            self._weights,
            self._n_classes,
            self._arithmetic,
            standardise=standardise,
            moderation=moderation,
            free_intercept=True,
        )
        self._subset_of = np.repeat(np.arange(len(subsets)), self._n_classes)
        self._class_of = np.tile(np.arange(self._n_classes), len(subsets))
        self._u = np.zeros((len(self._subset_of), 1, self._design.n_coefficients))
        self._solved = np.ones(self._n_classes, np.bool_)
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
        return np.flatnonzero(self._solved[self._class_of])

    def _loss(
        self, groups: NDArray[np.int64], arithmetic: Arithmetic, rows: NDArray[np.int64] | slice = _EVERY_ROW
    ) -> Loss:
        fitted = self._fitted[self._subset_of[groups]][:, rows]
        has = self._presence[rows].T[self._class_of[groups]]
        weights = None if self._weights is None else self._weights[rows].astype(np.float32)
        signs = np.where(has, fitted, -fitted.astype(np.float32)).astype(np.float32)
        return LogisticLoss(signs, weights, arithmetic)

    def _map(self, subset: int) -> LinearMap:
        u = self._u[self._subset_of == subset].reshape(-1, self._design.n_coefficients)
        coef, intercept, mean = self._design.unfold(u, subset)
        return LinearMap.rounded(coef.T, intercept, mean)


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
