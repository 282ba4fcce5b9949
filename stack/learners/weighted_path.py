"""The meta-learner's linear SVM where rows do not all count alike, by liblinear.

`stack.solvers.linear` counts every row as one. A weighted SVM that is penalised for leaving a map is one for
leaving zero, of rows that are divided by what the map leaves of their margin: with m = 1 - y·z₀ and
v = w - w₀, s·max(0, 1 - y·z)² is s·m²·max(0, 1 - y·v·(x / m))² wherever m is above 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import LinearSVC

from stackbone.stack.solvers.linear import LinearMap

LEAST_MARGIN = 1e-3
"""Of m: rows that the map decides to the last digit are asked for this much more."""

TOL = 1e-6
"""Where liblinear stops."""

MAX_ITER = 10_000

Doubles = NDArray[np.float64]


class WeightedPath:
    """Linear SVMs of weighted rows of several training subsets, as `stack.solvers.linear.LinearPath` fits those of one.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n, dim)`` meta-features.
    codes : NDArray[np.int64]
        ``(n,)`` class codes, 0 to ``n_classes - 1``.
    weights : NDArray[np.float64]
        ``(n,)`` how often each row counts, more than 0.
    subsets : sequence of NDArray[np.int64]
        Rows of each training subset, of every class.
    prior : LinearMap
        ``n_classes`` outputs between -1 and 1, as those of averaged probabilities are: what is penalised for leaving.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        codes: NDArray[np.int64],
        weights: Doubles,
        subsets: Sequence[NDArray[np.int64]],
        prior: LinearMap,
    ) -> None:
        self._rows = np.column_stack([x, np.ones(len(x))]).astype(np.float64)  # liblinear penalises the intercept
        self._codes, self._weights, self._subsets, self._prior = codes, weights, subsets, prior
        self._decided = prior.decide(x).astype(np.float64)

    def solve(self, c: float) -> list[LinearMap]:
        """Return a map for each subset, at this inverse regularisation strength."""
        return [self._fit(subset, c) for subset in self._subsets]

    def _fit(self, subset: NDArray[np.int64], c: float) -> LinearMap:
        n_classes = self._decided.shape[1]
        problems = range(n_classes) if n_classes > 2 else [1]
        moved = np.column_stack([self._move(subset, code, c) for code in problems])
        if n_classes == 2:
            moved = np.hstack([-moved, moved])
        coef, intercept = self._prior.coef + moved[:-1], self._prior.intercept + moved[-1]
        return LinearMap(coef.astype(np.float32), intercept.astype(np.float32))

    def _move(self, subset: NDArray[np.int64], code: int, c: float) -> Doubles:
        """Return ``(dim + 1,)`` how far from the prior one class's coefficients, and its intercept, go."""
        signs = np.where(self._codes[subset] == code, 1, -1)
        left = np.maximum(1 - signs * self._decided[subset, code], LEAST_MARGIN)
        svm = LinearSVC(C=c, dual=False, fit_intercept=False, tol=TOL, max_iter=MAX_ITER)
        svm.fit(self._rows[subset] / left[:, None], signs, sample_weight=self._weights[subset] * left**2)
        moved: Doubles = svm.coef_[0]
        return moved
