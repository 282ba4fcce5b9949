"""A linear SVM on the features as they are: a plain baseline of every backbone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.learner import BaseLearner, Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.metrics.metric import Weights
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.solvers.linear import LinearPath
from stackbone.stack.solvers.rows import Rows, pieces


class LinearSVMBase(BaseLearner):
    """See `predict_svm`."""

    name = "svm"
    task = "classification"
    what = "linear SVM on {name}"
    uses_inner_folds = False
    has_probabilities = False
    place = 1

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        """Return what decides its outcome: nothing is chosen."""
        return {"name": "svm"}

    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> Prediction:
        """Fit on the training part, and predict the test part."""
        train, test = Rows(features, part.fitted_rows), Rows(features, part.fold.test)
        decision = predict_svm(train, part.y_fitted, test, part.n_classes, part.weight, part.fitted_weights)
        return Prediction(decision, probability=False)


def predict_svm(
    x_train: NDArray[np.float32] | Rows,
    y_train: NDArray[np.int64],
    x_test: NDArray[np.float32] | Rows,
    n_classes: int,
    weight: float = 1.0,
    row_weights: Weights = None,
) -> NDArray[np.float32]:
    """Classify with a linear SVM, one class against the rest, squared hinge loss, C = 1.

    The features are neither centred nor scaled column by column; the whole matrix is divided by one
    number, the root mean square of the training rows' lengths. On raw features C = 1 means something
    else for every backbone; at unit length it suits all of them, and the baseline is the stronger for it.

    Parameters
    ----------
    x_train : NDArray[np.float32] or Rows
        ``(n_train, dim)`` features.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes, 0 to ``n_classes - 1``.
    x_test : NDArray[np.float32] or Rows
        ``(n_test, dim)`` features.
    n_classes : int
        Number of classes.
    weight : float
        What each training row counts for: C is multiplied by it.
    row_weights : NDArray[np.float64], optional
        ``(n_train,)`` what each row counts for beside `weight`; above 0.

    Returns
    -------
    NDArray[np.float32]
        ``(n_test, n_classes)`` decision values.
    """
    counts = np.ones(len(x_train)) if row_weights is None else row_weights
    squares = sum(float((np.square(x, dtype=np.float64) * counts[rows, None]).sum()) for rows, x in pieces(x_train))
    scale = (squares / float(counts.sum())) ** -0.5 if squares > 0 else 1.0
    everything = [np.arange(len(y_train))]
    path = LinearPath(
        x_train * scale,
        y_train,
        n_classes,
        everything,
        loss="squared_hinge",
        standardise=False,
        weights=row_weights,
    )
    (linear,) = path.solve(weight)
    return linear.decide(x_test * scale)


LEARNER = LinearSVMBase()
