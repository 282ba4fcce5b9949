"""The meta-learner of the command line as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from stackbone.cache.errors import StackError
from stackbone.stack.estimator.weighted import read_weights
from stackbone.stack.folds.class_folds import INNER_FOLDS
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.linear_meta import (
    META_C_GRID,
    Loss,
    averaging_map,
    choose_linear,
    scored_rows,
    within,
)
from stackbone.stack.metrics.temperature import log_probabilities

_LOSSES: dict[str, Loss] = {"svm": "squared_hinge", "lr": "log"}


class MetaClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """A linear classifier of class probabilities side by side, drawn towards their mean over backbones.

    It is what ``stackbone stack`` fits on the backbones' out-of-fold probabilities: `stack.learners.linear_meta` says
    how, and why. As the final estimator of `StackedBackbones`, whose folds are then those of the command line, it
    gives the same scores.

    Parameters
    ----------
    learner : {"svm", "lr"}
        A linear SVM of one class against the rest, or a multinomial logistic regression.
    C : float, optional
        Inverse regularisation strength, more than 0: the smaller, the nearer to the plain mean. By default, of
        0.001, 0.01, ... 10, the smallest that is as accurate on the folds of `cv` as the most accurate, or by no more
        than a standard error of that difference less.
    cv : int, splitter or iterable of (train, test)
        Folds that choose C, and from whose scores the probabilities are calibrated. A number: stratified, and fewer
        where a class has fewer rows. `StackedBackbones` gives its default final estimator its own inner folds, which
        keep groups together; one of your own takes what you give it here.

    Attributes
    ----------
    classes_ : NDArray
        ``(n_classes,)`` labels, ascending.
    C_ : float
        The inverse regularisation strength used.
    scale_ : float
        What the decision values are multiplied by before the softmax.
    coef_ : NDArray[np.float64]
        ``(n_backbones * n_classes, n_classes)``.
    intercept_ : NDArray[np.float64]
        ``(n_classes,)``.
    n_features_in_ : int
        Number of columns: of two classes one for each backbone, else ``n_backbones * n_classes``.
    """

    def __init__(
        self,
        learner: Literal["svm", "lr"] = "svm",
        *,
        C: float | None = None,
        cv: Any = INNER_FOLDS,  # noqa: ANN401 - a number, a splitter or an iterable, as scikit-learn has it
    ) -> None:
        self.learner = learner
        self.C = C
        self.cv = cv

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like
            Probabilities as `StackedBackbones` puts them side by side: ``(n, n_backbones * n_classes)``, of two classes
            ``(n, n_backbones)``, the second's.
        y : array-like
            ``(n,)`` class labels, of at least two classes.
        sample_weight : array-like, optional
            ``(n,)`` weights, 0 or more: how often each row counts, in the fit, the choice of C and the calibration.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is one class only, no two classes have rows (of weight) in two folds, the learner is unknown, or
            the columns are not one for each class of each backbone.
        UsageError
            If C is not a positive number.
        """
        if self.learner not in _LOSSES:
            msg = f"learner is {self.learner!r}; it is one of {', '.join(map(repr, _LOSSES))}"
            raise ValueError(msg)
        features, labels = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        n_classes = len(self.classes_)
        if n_classes < 2:
            msg = f"the labels have 1 class, {self.classes_[0]!r}; at least 2 are needed: add images of another class"
            raise ValueError(msg)
        x = self._of_every_class(features)
        if x.shape[1] % n_classes:
            msg = (
                f"X has {x.shape[1]} columns for {n_classes} classes; expected one for each class of each backbone: "
                "use stack_method='probability' and combine='concat'"
            )
            raise ValueError(msg)
        weights = read_weights(sample_weight, features)
        weights = None if weights is None or (weights == 1).all() else weights
        counted = np.arange(len(x)) if weights is None else np.flatnonzero(weights)
        folds = [Fold(np.intersect1d(a, counted), np.intersect1d(b, counted)) for a, b in self._split(codes, counted)]
        try:
            rows = scored_rows(codes, n_classes, folds)
        except StackError as error:
            where = "" if weights is None else f"of {len(counted)} rows that sample_weight counts, "
            msg = f"{where}{error}"
            raise ValueError(msg) from error
        own = None if weights is None else weights[rows]
        self._fit_rows(x[rows], codes[rows], [within(rows, fold) for fold in folds], own)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the decision values: ``(n, n_classes)``, or ``(n,)`` in favour of the second of two classes."""
        decision = self._decide(X)
        return decision[:, 1] - decision[:, 0] if len(self.classes_) == 2 else decision

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n, n_classes)`` calibrated natural-log probabilities."""
        return log_probabilities(self._decide(X), self.scale_)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return ``(n, n_classes)`` calibrated probabilities."""
        probabilities: NDArray[np.float64] = np.exp(self.predict_log_proba(X))
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the ``(n,)`` class labels of the largest decision value."""
        labels: NDArray[Any] = self.classes_[self._decide(X).argmax(axis=1)]
        return labels

    def _decide(self, X: ArrayLike) -> NDArray[np.float32]:
        check_is_fitted(self)
        return self._linear.decide(self._of_every_class(validate_data(self, X, dtype=np.float32, reset=False)))

    def _split(self, codes: NDArray[np.int64], counted: NDArray[np.int64]) -> list[tuple[Any, Any]]:
        """Return the folds; a number divides the rows that count, but for those that are the only ones of a class."""
        if not isinstance(self.cv, int | np.integer):
            return list(check_cv(self.cv).split(codes[:, None], codes))
        sizes = np.bincount(codes[counted])
        divided = counted[sizes[codes[counted]] > 1]
        n_splits = min(int(self.cv), int(sizes[sizes > 1].min(initial=len(codes))))
        if not len(divided):
            return []
        folds = StratifiedKFold(n_splits, shuffle=True, random_state=0).split(divided, codes[divided])
        return [(divided[train], divided[test]) for train, test in folds]

    def _fit_rows(
        self, x: NDArray[np.float32], codes: NDArray[np.int64], folds: list[Fold], weights: NDArray[np.float64] | None
    ) -> None:
        by_backbone = x.reshape(len(x), -1, len(self.classes_))
        loss = _LOSSES[self.learner]
        prior = averaging_map(
            by_backbone.mean(axis=1), codes, by_backbone.shape[1], loss, weights, are_probabilities=True
        )
        grid = META_C_GRID if self.C is None else (self.C,)
        found = choose_linear(x, codes, folds, prior, loss, grid, weights)
        self.C_, self.scale_, self._linear = found.c, found.scale, found.linear
        self.coef_, self.intercept_ = self._linear.uncentred()

    def _of_every_class(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of every class: of two classes only the second's are given."""
        if len(self.classes_) > 2:
            return x
        return np.stack([1 - x, x], axis=2).reshape(len(x), -1)
