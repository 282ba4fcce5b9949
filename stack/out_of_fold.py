"""Fit any scikit-learn classifiers, and score their training rows by classifiers that never saw them.

One classifier and one matrix per block flow in; each fitted on all rows, and the scores that its kin of the
inner folds gave, flow out. `stack.base` does the same for the one classifier whose C it chooses.
"""

from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from stack.arguments import SCORE_METHODS, Split

LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""Where log-probabilities end, at -87.3: a forest's probability of zero has no logarithm."""

Matrix = NDArray[np.floating]


def fit_out_of_fold(
    bases: Sequence[tuple[Any, Matrix]],
    y: NDArray[Any],
    folds: Sequence[Split],
    stack_method: str,
    n_jobs: int | None = None,
) -> tuple[list[Any], list[Matrix]]:
    """Fit clones of the classifiers on all rows, and on each fold for the scores of its test rows.

    Parameters
    ----------
    bases : sequence of (classifier, ndarray)
        Each classifier with its ``(n_samples, dim)`` features.
    y : ndarray
        ``(n_samples,)`` labels.
    folds : sequence of Split
        Inner folds, of `stack.arguments.split_rows`. None: the scores are in-sample.
    stack_method : str
        A key of `SCORE_METHODS`.
    n_jobs : int, optional
        Fits at a time, in threads that share the features, one core each; by default one after the other.

    Returns
    -------
    fitted : list of classifier
        Fitted on all rows.
    scores : list of ndarray
        ``(n_samples, n_classes)`` for each classifier, in the order of the rows.
    """
    jobs = joblib.effective_n_jobs(n_jobs)
    # Fits side by side, each on all cores, slow each other down tenfold.
    with threadpool_limits(limits=1 if jobs > 1 else None, user_api="blas"):
        run = joblib.Parallel(jobs, prefer="threads")
        fitted = run(joblib.delayed(_fit)(base, matrix, y) for base, matrix in bases)
        if not folds:
            return fitted, [score(base, matrix, stack_method) for base, (_, matrix) in zip(fitted, bases, strict=True)]
        parts = run(
            joblib.delayed(_score_fold)(base, matrix, y, fold, stack_method) for base, matrix in bases for fold in folds
        )
    in_order = np.argsort(np.concatenate([test for _, test in folds]))
    starts = range(0, len(parts), len(folds))
    return fitted, [np.concatenate(parts[start : start + len(folds)])[in_order] for start in starts]


def score(fitted: Any, matrix: Matrix, stack_method: str) -> Matrix:  # noqa: ANN401 - any classifier
    """Return what a fitted classifier says about each class.

    Parameters
    ----------
    fitted : classifier
        A scikit-learn classifier.
    matrix : ndarray
        ``(n, dim)`` features.
    stack_method : str
        A key of `SCORE_METHODS`.

    Returns
    -------
    ndarray
        ``(n, n_classes)`` probabilities, their natural logarithms from -87.3 to 0, or decision values; where
        a decision is the one number d of two classes, -d and d.

    Raises
    ------
    ValueError
        If the classifier does not give one score per class.
    """
    scores = np.asarray(getattr(fitted, SCORE_METHODS[stack_method])(matrix))
    if scores.ndim == 1:
        scores = np.column_stack([-scores, scores])
    if scores.shape[1] != len(fitted.classes_):
        msg = (
            f"{type(fitted).__name__} gave {scores.shape[1]} scores per row for {len(fitted.classes_)} classes: "
            "set it to one score per class, such as one-against-the-rest, or use another stack_method"
        )
        raise ValueError(msg)
    return np.log(np.maximum(scores, LEAST_PROBABILITY)) if stack_method == "log-probability" else scores


def _fit(base: Any, matrix: Matrix, y: NDArray[Any]) -> Any:  # noqa: ANN401
    return clone(base).fit(matrix, y)


def _score_fold(base: Any, matrix: Matrix, y: NDArray[Any], fold: Split, stack_method: str) -> Matrix:  # noqa: ANN401
    train, test = fold
    return score(_fit(base, matrix[train], y[train]), matrix[test], stack_method)
