"""Plain, slow counterparts of what Stackbone computes: double precision, scikit-learn and SciPy alone."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pytest
import sklearn
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from stackbone.stack.solvers.scales import MODERATION

Doubles = NDArray[np.float64]

needs_shuffled_stratified_groups = pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.8"),
    reason="before scikit-learn 1.8, StratifiedGroupKFold(shuffle=True) takes one group for another: no reference",
)


class ModeratedScaler(StandardScaler):  # type: ignore[misc]  # scikit-learn has no types
    """StandardScaler whose variances are averaged with their median, which counts for `MODERATION` rows."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ANN401
        """Fit as StandardScaler does, then moderate the scales."""
        super().fit(X, y, sample_weight)
        variances = np.asarray(self.var_)
        varying = variances > 1e-12
        common = np.median(variances[varying]) if varying.any() else 0.0
        moderated = (len(X) * variances + MODERATION * common) / (len(X) + MODERATION)
        self.scale_ = np.where(varying, np.sqrt(moderated), 1.0)
        return self


class ShrunkLinear:
    """A linear SVM or logistic regression that is penalised for leaving the map ``x @ prior + intercept``.

    Parameters
    ----------
    learner : str
        ``svm`` (one against the rest, squared hinge, penalised intercept) or ``lr`` (multinomial, free intercept).
    C : float
        Inverse regularisation strength.
    prior : NDArray[np.float64]
        ``(n_features, n_classes)``.
    intercept : float
        The prior's, for every class.
    """

    def __init__(self, learner: str, C: float, prior: Doubles, intercept: float) -> None:
        self.learner, self.C, self.prior, self.intercept = learner, C, prior, intercept

    def fit(self, x: Doubles, codes: NDArray[np.int64]) -> Self:
        """Minimise in double precision; every class from 0 on is there."""
        x = np.hstack([np.asarray(x, np.float64), np.ones((len(x), 1))])
        start = np.vstack([self.prior, np.full((1, self.prior.shape[1]), self.intercept)])
        n_classes = start.shape[1]
        hot = np.eye(n_classes)[codes]
        ridge = np.ones((len(start), 1))
        ridge[-1] = 1.0 if self.learner == "svm" else 0.0

        def objective(flat: Doubles) -> tuple[float, Doubles]:
            moved = flat.reshape(start.shape)
            z = x @ (start + moved)
            if self.learner == "svm":
                slack = np.maximum(0, 1 - (2 * hot - 1) * z)
                loss, slope = float((slack**2).sum()), -2 * slack * (2 * hot - 1)
            else:
                loss, slope = -float((hot * log_softmax(z, axis=1)).sum()), softmax(z, axis=1) - hot
            value = self.C * loss + 0.5 * float((ridge * moved**2).sum())
            return value, (self.C * x.T @ slope + ridge * moved).ravel()

        options = {"maxiter": 50_000, "maxfun": 50_000, "ftol": 1e-15, "gtol": 1e-10, "maxcor": 50}
        found = minimize(objective, np.zeros(start.size), jac=True, method="L-BFGS-B", options=options)
        self.map_ = start + found.x.reshape(start.shape)
        return self

    def decision_function(self, x: Doubles) -> Doubles:
        """Return ``(n, n_classes)`` decision values; those of ``lr`` with mean 0 over classes beside the prior's."""
        decision: Doubles = np.asarray(x, np.float64) @ self.map_[:-1] + self.map_[-1]
        return decision

    def predict(self, x: Doubles) -> NDArray[np.int64]:
        """Return the class codes of the highest decision values."""
        codes: NDArray[np.int64] = self.decision_function(x).argmax(axis=1)
        return codes
