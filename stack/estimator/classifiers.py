"""The solvers of `stack.solvers.linear` as scikit-learn estimators.

`SoftmaxRegression` and `LinearSVM` minimise what scikit-learn's ``LogisticRegression`` and ``LinearSVC`` minimise,
and differ in how: all classes at once, by matrix products in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from stackbone.stack.estimator.part_penalties import read_widths, weigh_parts
from stackbone.stack.estimator.weighted import count_rows
from stackbone.stack.folds.class_folds import INNER_FOLDS
from stackbone.stack.solvers.linear import MAX_ITER, TOL, LinearPath
from stackbone.stack.solvers.rows import pieces
from stackbone.stack.solvers.scales import MODERATION, ColumnParts


class _LinearClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Fit and decide; the subclasses name the loss."""

    _loss: Literal["log", "squared_hinge"]

    def __init__(self, C: float, *, standardise: bool, moderation: float, tol: float, max_iter: int) -> None:
        self.C = C
        self.standardise = standardise
        self.moderation = moderation
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like
            ``(n, n_features)`` finite features.
        y : array-like
            ``(n,)`` class labels, of at least two classes.
        sample_weight : array-like, optional
            ``(n,)`` weights, 0 or more: how often each row counts, in the objective and in the moments that
            standardise.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is one class only, a class has no row of weight above 0, the data are not finite or not of one
            length, or `parts` do not fit them.
        UsageError
            If C is not a positive number.
        """
        # Not float32 alone: what float64 features have in common is taken off before they are rounded.
        features, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            msg = f"the labels have 1 class, {self.classes_[0]!r}; at least 2 are needed: add images of another class"
            raise ValueError(msg)
        n_classes, counted = len(self.classes_), count_rows(sample_weight, features)
        if len(lacking := np.setdiff1d(np.arange(n_classes), codes[counted.rows])):
            name = self.classes_[lacking[:1]].tolist()[0]
            msg = f"no row of the class {name!r} has a sample_weight above 0: leave them out of y"
            raise ValueError(msg)
        parts = self._weigh_parts(features, codes, counted.weight if counted.weights is None else None)
        path = LinearPath(
            features,
            codes,
            n_classes,
            [counted.rows],
            loss=self._loss,
            standardise=self.standardise,
            moderation=self.moderation / counted.weight,  # rows of weight 2 are twice as many
            weights=counted.weights,
            parts=parts,
            tol=self.tol,
            max_iter=self.max_iter,
        )
        (found,) = path.solve(self.C * counted.weight)
        self.n_iter_ = path.iterations
        outputs = slice(1, 2) if n_classes == 2 else slice(None)
        coef, intercept = found.uncentred()
        self.coef_, self.intercept_ = np.ascontiguousarray(coef.T[outputs]), intercept[outputs]
        return self

    def _weigh_parts(
        self, features: NDArray[np.floating], codes: NDArray[np.int64], weight: float | None
    ) -> ColumnParts | None:
        """Return parts of the columns with penalties of their own; None where there are none.

        `weight` is that of every row; None where rows differ.
        """
        return None

    def decision_function(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the decision values: ``(n, n_classes)``, or ``(n,)`` in favour of the second of two classes."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        # In double precision: of features far from zero, float32 would leave no digit of the decision.
        decision = np.empty((len(features), len(self.intercept_)), features.dtype)
        for part, values in pieces(features):
            decision[part] = values @ self.coef_.T + self.intercept_
        return decision.ravel() if decision.shape[1] == 1 else decision

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the ``(n,)`` class labels of the largest decision value."""
        decision = self.decision_function(X)
        codes = (decision > 0).astype(np.int64) if decision.ndim == 1 else decision.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[codes]
        return labels


class SoftmaxRegression(_LinearClassifier):
    """Multinomial logistic regression, as scikit-learn's ``LogisticRegression`` defines it.

    Minimises C Σ log-loss + ½‖W‖², the intercept free; for two classes the binary objective.

    Parameters
    ----------
    C : float
        Inverse regularisation strength, more than 0.
    standardise : bool
        Whether to standardise the features first. The coefficients are for raw features all the same.
    moderation : float
        With `standardise`: how many rows the median variance of all columns (of its part) counts for in that of each,
        so that a handful of rows cannot make one tiny by chance (`stack.solvers.scales.moderated_scales`); the command
        line has `stack.solvers.scales.MODERATION`. 0 standardises as ``StandardScaler`` does.
    parts : sequence of int, optional
        Widths of runs of columns that belong together, in order, such as the pooled vector and each stage of a network:
        ``[part.n_columns for part in feature_set.parts()]``. Each is standardised by itself and gets a penalty of its
        own, chosen as ``stack --fusion parts`` chooses it, for this C: see `stack.learners.part_weights`.
    cv : int, splitter or iterable of (train, test)
        With `parts`: the folds of the rows that choose the penalties. A number: stratified, and fewer where a class has
        fewer rows. A group of rows stays together only in folds given here.
    tol : float
        Share of the objective by which it may exceed its minimum, as the solver estimates it.
    max_iter : int
        Most steps of the solver.

    Attributes
    ----------
    classes_ : NDArray
        ``(n_classes,)`` labels, ascending.
    coef_ : NDArray
        ``(n_classes, n_features)``, or ``(1, n_features)`` for two classes; float64.
    intercept_ : NDArray
        ``(n_classes,)``, or ``(1,)``.
    part_factors_ : NDArray
        ``(n_parts,)``, with `parts`: what the standardised columns of each are multiplied by; a penalty is divided by
        the square.
    n_iter_ : int
        Steps that the solver took.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : NDArray
        Names of the features, where `fit` got a data frame.
    """

    _loss = "log"

    def __init__(
        self,
        C: float = 1.0,
        *,
        standardise: bool = True,
        moderation: float = MODERATION,
        parts: Sequence[int] | None = None,
        cv: Any = INNER_FOLDS,  # noqa: ANN401 - a number, a splitter or an iterable, as scikit-learn has it
        tol: float = TOL,
        max_iter: int = MAX_ITER,
    ) -> None:
        super().__init__(C, standardise=standardise, moderation=moderation, tol=tol, max_iter=max_iter)
        self.parts = parts
        self.cv = cv

    def _weigh_parts(
        self, features: NDArray[np.floating], codes: NDArray[np.int64], weight: float | None
    ) -> ColumnParts | None:
        if self.parts is None:
            return None
        widths = read_widths(self.parts, features.shape[1])
        if not self.standardise:
            msg = "parts are weighed once each is standardised: leave standardise=False out, or parts"
            raise ValueError(msg)
        if weight is None:
            msg = "parts are weighed by rows that all count alike: leave sample_weight out, or parts"
            raise ValueError(msg)
        parts = weigh_parts(features, codes, widths, self.C, self.cv, weight)
        self.part_factors_ = np.array(parts.factors)
        return parts

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return ``(n, n_classes)`` natural-log probabilities."""
        decision = self.decision_function(X)
        if decision.ndim == 1:
            decision = np.column_stack([np.zeros_like(decision), decision])
        scores: NDArray[np.floating] = log_softmax(decision, axis=1)
        return scores

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return ``(n, n_classes)`` probabilities."""
        probabilities: NDArray[np.floating] = np.exp(self.predict_log_proba(X))
        return probabilities


class LinearSVM(_LinearClassifier):
    """Linear support vector machine with squared hinge loss, one class against the rest.

    Minimises what liblinear and scikit-learn's ``LinearSVC`` minimise: ½‖w‖² + ½b² + C Σ max(0, 1 - y·z)².

    Parameters
    ----------
    C : float
        Inverse regularisation strength, more than 0.
    standardise : bool
        Whether to standardise the features first. The coefficients are for raw features all the same.
    moderation : float
        With `standardise`: how many rows the median variance of all columns counts for in that of each, so that a
        handful of rows cannot make one tiny by chance (`stack.solvers.scales.moderated_scales`). 0 standardises as
        ``StandardScaler`` does.
    tol : float
        Share of the objective by which it may exceed its minimum, as the solver estimates it.
    max_iter : int
        Most steps of the solver.

    Attributes
    ----------
    classes_ : NDArray
        ``(n_classes,)`` labels, ascending.
    coef_ : NDArray
        ``(n_classes, n_features)``, or ``(1, n_features)`` for two classes; float64.
    intercept_ : NDArray
        ``(n_classes,)``, or ``(1,)``.
    n_iter_ : int
        Steps that the slowest class took.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : NDArray
        Names of the features, where `fit` got a data frame.
    """

    _loss = "squared_hinge"

    def __init__(
        self,
        C: float = 1.0,
        *,
        standardise: bool = False,
        moderation: float = MODERATION,
        tol: float = TOL,
        max_iter: int = MAX_ITER,
    ) -> None:
        super().__init__(C, standardise=standardise, moderation=moderation, tol=tol, max_iter=max_iter)
