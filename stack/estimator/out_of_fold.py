"""Fit any scikit-learn estimators, and score their training rows by estimators that never saw them.

Members, and what each may see of X, flow in; each fitted on all rows, and the out-of-fold scores of its clones, flow
out. `stack.learners.bases.lr` does the same for the one classifier whose C it chooses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone, is_regressor
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from stackbone.stack.estimator.arguments import Member
from stackbone.stack.estimator.blocks import take_columns
from stackbone.stack.estimator.inner_folds import Split

LEAST_PROBABILITY = float(np.finfo(np.float32).tiny)
"""Where log-probabilities end, at -87.3: a forest's probability of zero has no logarithm."""

Matrix = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Targets:
    """What is to be learnt.

    Attributes
    ----------
    values : NDArray
        ``(n_samples,)`` class labels, or numbers.
    classes : NDArray or None
        ``(n_classes,)`` labels, ascending; None of a regression.
    """

    values: NDArray[Any]
    classes: NDArray[Any] | None

    def of(self, estimator: object) -> NDArray[Any]:
        """Return the ``(n_samples,)`` targets as an estimator learns them: a regressor of classes, their codes."""
        if self.classes is not None and is_regressor(estimator):
            return np.searchsorted(self.classes, self.values)
        return self.values


def fit_out_of_fold(
    members: Sequence[Member],
    x: Any,  # noqa: ANN401 - an array, sparse matrix or DataFrame
    targets: Targets,
    folds: Sequence[Split],
    params: Mapping[str, Mapping[str, Any]],
    *,
    prefit: bool,
    log: bool,
    n_jobs: int | None = None,
) -> tuple[list[Any], list[Matrix]]:
    """Fit clones of the members on all rows, and on each fold for the scores of its test rows.

    Parameters
    ----------
    members : sequence of Member
        What to fit, and on which columns.
    x : ndarray, sparse matrix or DataFrame
        ``(n_samples, n_features)``.
    targets : Targets
        ``(n_samples,)`` labels or numbers.
    folds : sequence of Split
        Inner folds, of `inner_folds.split_rows`. None: the scores are those of the estimators fitted on all rows.
    params : mapping of str to mapping
        By member's name, what its `fit` gets beside; of what has a value per row each fold gets its part.
    prefit : bool
        Whether the members are fitted already, and serve as they are.
    log : bool
        Whether to take the natural logarithm of probabilities.
    n_jobs : int, optional
        Fits at a time, in threads that share the features, one core each; by default one after the other.

    Returns
    -------
    fitted : list of estimator
        Fitted on all rows.
    scores : list of ndarray
        ``(n_samples, n_columns)`` for each member, in the order of the rows, as `score` gives them.

    Raises
    ------
    NotFittedError
        If a member should have been fitted before.
    """
    matrices = [take_columns(x, member.columns) for member in members]
    jobs = joblib.effective_n_jobs(n_jobs)
    # Fits side by side, each on all cores, slow each other down tenfold.
    with threadpool_limits(limits=1 if jobs > 1 else None, user_api="blas"):
        run = joblib.Parallel(jobs, prefer="threads")
        if prefit:
            fitted = [member.estimator for member in members]
            for estimator in fitted:
                check_is_fitted(estimator)
        else:
            fitted = run(
                joblib.delayed(fit_clone)(m.estimator, matrix, targets.of(m.estimator), params[m.name])
                for m, matrix in zip(members, matrices, strict=True)
            )
        if not folds:
            return fitted, [
                score(each, matrix, member.method, targets.classes, log=log)
                for each, member, matrix in zip(fitted, members, matrices, strict=True)
            ]
        matrices = [matrix.tocsr() if sparse.issparse(matrix) else matrix for matrix in matrices]
        parts = run(
            joblib.delayed(_score_fold)(member, matrix, targets, fold, params[member.name], log=log)
            for member, matrix in zip(members, matrices, strict=True)
            for fold in folds
        )
    in_order = np.argsort(np.concatenate([test for _, test in folds]))
    starts = range(0, len(parts), len(folds))
    return fitted, [np.concatenate(parts[start : start + len(folds)])[in_order] for start in starts]


def fit_clone(estimator: Any, x: Any, y: NDArray[Any], params: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return a fitted clone; a TypeError says who takes no sample weights, or no sparse matrix."""
    fitted = clone(estimator)
    try:
        fitted.fit(x, y, **params)
    except TypeError as error:
        name = type(estimator).__name__
        if "unexpected keyword argument 'sample_weight'" in str(error):
            msg = (
                f"{name} does not support sample weights: use an estimator whose fit takes sample_weight, or leave the "
                "weights out"
            )
        elif sparse.issparse(x) and "sparse" in str(error).lower():
            msg = f"{name} takes no sparse matrix: {_dense_or(estimator)}"
        else:
            raise
        raise TypeError(msg) from error
    return fitted


def _dense_or(estimator: object) -> str:
    """Return what to do where an estimator takes no sparse matrix."""
    other = "Ridge" if is_regressor(estimator) else "LogisticRegression"
    return f"pass X.toarray(), or use an estimator that does, such as scikit-learn's {other}"


def score(
    fitted: Any,  # noqa: ANN401 - any estimator
    x: Any,  # noqa: ANN401
    method: str,
    classes: NDArray[Any] | None,
    *,
    log: bool,
) -> Matrix:
    """Return what a fitted estimator says about each row.

    Parameters
    ----------
    fitted : estimator
        A scikit-learn classifier or regressor.
    x : ndarray, sparse matrix or DataFrame
        ``(n, dim)`` features.
    method : {"predict_proba", "decision_function", "predict"}
        What to ask it.
    classes : ndarray or None
        ``(n_classes,)`` labels, ascending; None of a regression.
    log : bool
        Whether to take the natural logarithm of probabilities.

    Returns
    -------
    ndarray
        ``(n, n_classes)`` probabilities, their natural logarithms from -87.3 to 0, or decision values; of two
        classes ``(n, 1)``: the second class's probability or decision, since the other's follows from it (both
        logarithms, since they do not). ``(n, 1)`` predictions: of a regressor its numbers, of a classifier the codes
        of its classes.

    Raises
    ------
    ValueError
        If the estimator knows other classes, or does not give one score per class.
    """
    said = np.asarray(getattr(fitted, method)(x))
    if classes is None or (method == "predict" and is_regressor(fitted)):
        return said.reshape(len(said), -1)
    name = type(fitted).__name__
    known = getattr(fitted, "classes_", classes)
    if not np.array_equal(known, classes):
        msg = f"{name} knows the classes {list(known)}, and y holds {list(classes)}: fit it on labels of these classes"
        raise ValueError(msg)
    if method == "predict":
        return np.searchsorted(classes, said).reshape(-1, 1).astype(np.float64)
    scores = said.reshape(len(said), -1)
    if scores.shape[1] != len(classes) and not (scores.shape[1] == 1 and len(classes) == 2):
        msg = (
            f"{name} gave {scores.shape[1]} scores per row for {len(classes)} classes: "
            "set it to one score per class, such as one-against-the-rest, or use another stack_method"
        )
        raise ValueError(msg)
    if log:
        logs: Matrix = np.log(np.maximum(scores, LEAST_PROBABILITY))
        return logs
    return scores[:, 1:] if scores.shape[1] == len(classes) == 2 else scores


def _score_fold(
    member: Member,
    x: Any,  # noqa: ANN401
    targets: Targets,
    fold: Split,
    params: Mapping[str, Any],
    *,
    log: bool,
) -> Matrix:
    train, test = fold
    y = targets.of(member.estimator)
    own = {key: _safe_indexing(value, train) if _by_row(value, len(y)) else value for key, value in params.items()}
    fitted = fit_clone(member.estimator, _safe_indexing(x, train), y[train], own)
    return score(fitted, _safe_indexing(x, test), member.method, targets.classes, log=log)


def _by_row(value: object, n_rows: int) -> bool:
    """Return whether a piece of metadata has one entry for each row."""
    if hasattr(value, "shape"):
        return len(value.shape) > 0 and value.shape[0] == n_rows
    return isinstance(value, list | tuple) and len(value) == n_rows
