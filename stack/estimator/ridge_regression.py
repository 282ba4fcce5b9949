"""The solver of `stack.solvers.ridge` as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from stackbone.stack.estimator.weighted import count_rows
from stackbone.stack.solvers.ridge import SideBySide, fit_ridge
from stackbone.stack.solvers.scales import MODERATION


class RidgeRegression(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn ships no types
    """Ridge regression on standardised features.

    Minimises ``‖y - Xw - b‖² + alpha ‖w‖²``, the intercept b free, without a standardised copy of the features.

    Parameters
    ----------
    alpha : float
        Regularisation strength, more than 0.
    moderation : float
        How many rows the median variance of all columns counts for in that of each when they are standardised, so that
        a handful of rows cannot make one tiny by chance (`stack.solvers.scales.moderated_scales`). 0 standardises as
        ``StandardScaler`` does.

    Attributes
    ----------
    coef_ : NDArray
        ``(n_features,)`` for raw features, float64.
    intercept_ : float
        In the target's unit.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : NDArray
        Names of the features, where `fit` got a data frame.
    """

    def __init__(self, alpha: float = 1.0, *, moderation: float = MODERATION) -> None:
        self.alpha = alpha
        self.moderation = moderation

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit the regression.

        Parameters
        ----------
        X : array-like
            ``(n, n_features)`` finite features.
        y : array-like
            ``(n,)`` numbers.
        sample_weight : array-like, optional
            ``(n,)`` weights, 0 or more: how often each row counts, in the objective and in the moments that
            standardise.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the data are not finite or not of one length.
        UsageError
            If alpha is not a positive number.
        """
        features, targets = validate_data(self, X, y, dtype=[np.float64, np.float32], y_numeric=True)
        counted = count_rows(sample_weight, features)
        path = fit_ridge(
            SideBySide([features], counted.rows),
            targets[counted.rows].astype(np.float64),
            [self.alpha / counted.weight],  # rows of weight 2 are twice as many
            self.moderation / counted.weight,
            weights=None if counted.weights is None else counted.weights[counted.rows],
        )
        self.coef_, self.intercept_ = path.coef[:, 0], float(path.intercept[0])
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the ``(n,)`` predictions, float64, in the target's unit."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        predicted: NDArray[Any] = features @ self.coef_ + self.intercept_
        return predicted
