"""The meta-learner of the command line as a scikit-learn estimator, for a stack whose C is the caller's."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from stackbone.stack.learners.linear_meta import Loss, averaging_map
from stackbone.stack.solvers.linear import LinearPath

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
    C : float
        Inverse regularisation strength, more than 0: the smaller, the nearer to the plain mean.

    Attributes
    ----------
    classes_ : NDArray
        ``(n_classes,)`` labels, ascending.
    coef_ : NDArray[np.float64]
        ``(n_backbones * n_classes, n_classes)``.
    intercept_ : NDArray[np.float64]
        ``(n_classes,)``.
    n_features_in_ : int
        Number of columns: of two classes one for each backbone, else ``n_backbones * n_classes``.
    """

    def __init__(self, learner: Literal["svm", "lr"] = "svm", *, C: float = 1.0) -> None:
        self.learner = learner
        self.C = C

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like
            Probabilities as `StackedBackbones` puts them side by side: ``(n, n_backbones * n_classes)``, of two classes
            ``(n, n_backbones)``, the second's.
        y : array-like
            ``(n,)`` class labels, of at least two classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there is one class only, the learner is unknown, or the columns are not one for each class of each
            backbone.
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
        by_backbone = x.reshape(len(x), -1, n_classes)
        loss = _LOSSES[self.learner]
        mean = by_backbone.mean(axis=1)
        prior = averaging_map(mean, codes, by_backbone.shape[1], loss, are_probabilities=True)
        everything = [np.arange(len(x))]
        path = LinearPath(x, codes, n_classes, everything, loss=loss, standardise=False, prior=prior)
        (self._linear,) = path.solve(self.C)
        self.coef_, self.intercept_ = self._linear.uncentred()
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the decision values: ``(n, n_classes)``, or ``(n,)`` in favour of the second of two classes."""
        check_is_fitted(self)
        decision = self._linear.decide(self._of_every_class(validate_data(self, X, dtype=np.float32, reset=False)))
        return decision[:, 1] - decision[:, 0] if len(self.classes_) == 2 else decision

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the ``(n,)`` class labels of the largest decision value."""
        decision = self.decision_function(X)
        codes = (decision > 0).astype(np.int64) if decision.ndim == 1 else decision.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[codes]
        return labels

    def _of_every_class(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of every class: of two classes only the second's are given."""
        if len(self.classes_) > 2:
            return x
        return np.stack([1 - x, x], axis=2).reshape(len(x), -1)
