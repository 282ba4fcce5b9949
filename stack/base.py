"""Base learners: what one backbone (or one matrix of features) says about the classes, honestly.

`score_classes` is the learner of the ``oof`` recipe and of the ``lr:`` and ``concat`` baselines;
`predict_svm` is the ``svm:`` baseline. Both see the training part of one outer fold only, and return
what they make of its test part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from cache.errors import StackError
from stack.folds import Fold, stratified_folds

C_GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
"""Inverse regularisation strengths tried, ascending; each in scikit-learn's sense."""

INNER_FOLDS = 5
"""Inner folds of an outer training part, where its smallest class has as many rows."""

MAX_ITER = 10_000
"""A ceiling for L-BFGS, which the strictly convex problem stops far below (50 to 150 iterations)."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """The class scores of one base learner on one outer fold.

    Attributes
    ----------
    c : float
        The inverse regularisation strength chosen.
    classes : NDArray[np.int64]
        ``(n_classes,)`` ascending class codes, one per column of the scores.
    out_of_fold : NDArray[np.float64]
        ``(n_train, n_classes)`` natural-log probabilities; each row by a classifier that never saw it.
    test : NDArray[np.float64]
        ``(n_test, n_classes)`` natural-log probabilities by the classifier of the whole training part.
    """

    c: float
    classes: NDArray[np.int64]
    out_of_fold: NDArray[np.float64]
    test: NDArray[np.float64]

    def predict(self) -> NDArray[np.int64]:
        """Return the ``(n_test,)`` most probable class codes of the test part."""
        codes: NDArray[np.int64] = self.classes[self.test.argmax(axis=1)]
        return codes


def inner_folds(y: NDArray[np.int64], class_names: NDArray[np.str_], seed: int) -> list[Fold]:
    """Divide an outer training part into the folds that serve C, out-of-fold scores and the meta-learner.

    Parameters
    ----------
    y : NDArray[np.int64]
        ``(n_train,)`` class codes, indices into `class_names`.
    class_names : NDArray[np.str_]
        ``(n_known,)`` names of all classes, for the message.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    list of Fold
        `INNER_FOLDS` stratified folds, or as many as the smallest class has rows; so each training
        part has every class, and out-of-fold scores have no column that was never fitted.

    Raises
    ------
    StackError
        If a class has a single row: it cannot be both learnt and scored.
    """
    codes, counts = np.unique(y, return_counts=True)
    if counts.min() < 2:
        single = ", ".join(repr(str(name)) for name in class_names[codes[counts < 2]])
        msg = (
            f"a training part has one image only of class(es) {single}; choosing C and out-of-fold scores "
            "need at least 2: add images, ask for more folds, or leave the class out"
        )
        raise StackError(msg)
    return stratified_folds(class_names[y], min(INNER_FOLDS, int(counts.min())), seed)


def score_classes(
    x_train: NDArray[np.float32],
    y_train: NDArray[np.int64],
    x_test: NDArray[np.float32],
    folds: Sequence[Fold],
    c_grid: Sequence[float] = C_GRID,
) -> ClassScores:
    """Standardise, choose C, fit a multinomial logistic regression; score out-of-fold and test rows.

    The out-of-fold scores for each C come from the same inner folds; the C of the least log-loss wins
    and its scores go to the meta-learner. So choosing C costs no fit beyond the out-of-fold scores
    themselves (stacked generalization: Wolpert 1992, Neural Networks 5(2), 241-259).

    The scores handed on are thus a touch optimistic: the label of a row helped to choose, among at most
    ``len(c_grid)`` values, the one C of its own score. All this happens inside the training part of an
    outer fold, whose test part had no say, so that outer scores stay honest.

    Parameters
    ----------
    x_train : NDArray[np.float32]
        ``(n_train, dim)`` features.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes.
    x_test : NDArray[np.float32]
        ``(n_test, dim)`` features.
    folds : sequence of Fold
        Inner folds over the rows of `x_train`.
    c_grid : sequence of float
        Values of C, ascending. The search stops at the first that is worse than the one before it:
        the log-loss has one valley along C, and the values beyond cost most. One value: no search.

    Returns
    -------
    ClassScores
        The chosen C and the log-probabilities.

    Raises
    ------
    StackError
        If an inner fold's training part lacks a class.
    """
    c, out_of_fold = choose_c(x_train, y_train, folds, c_grid)
    scaler = StandardScaler(copy=False)
    model = LogisticRegression(C=c, max_iter=MAX_ITER)
    model.fit(scaler.fit_transform(x_train.copy()), y_train)
    test = _log_probabilities(model, scaler.transform(x_test.copy()))
    return ClassScores(c, np.unique(y_train), out_of_fold, test)


def choose_c(
    x: NDArray[np.float32], y: NDArray[np.int64], folds: Sequence[Fold], c_grid: Sequence[float]
) -> tuple[float, NDArray[np.float64]]:
    """Find the C of the least out-of-fold log-loss, with the scores that it gave.

    Parameters
    ----------
    x : NDArray[np.float32]
        ``(n_train, dim)`` features.
    y : NDArray[np.int64]
        ``(n_train,)`` class codes.
    folds : sequence of Fold
        Inner folds; every row is in exactly one test part.
    c_grid : sequence of float
        Values of C, ascending.

    Returns
    -------
    c : float
        The chosen value.
    out_of_fold : NDArray[np.float64]
        ``(n_train, n_classes)`` natural-log probabilities, by classes ascending.

    Raises
    ------
    StackError
        If an inner fold's training part lacks a class.
    """
    columns = np.searchsorted(np.unique(y), y)
    paths = [_RegularisationPath(x, y, fold) for fold in folds]
    best_c, best_loss, best_scores = np.nan, np.inf, np.empty((0, 0))
    for c in c_grid:
        scores = np.full((len(y), columns.max() + 1), np.nan)
        for path in paths:
            scores[path.fold.test] = path.log_probabilities(c)
        loss = -float(scores[np.arange(len(y)), columns].mean())
        if loss >= best_loss:
            break
        best_c, best_loss, best_scores = c, loss, scores
    return best_c, best_scores


def predict_svm(
    x_train: NDArray[np.float32], y_train: NDArray[np.int64], x_test: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Classify with scikit-learn's ``LinearSVC``, one against the rest, C = 1.

    The features are neither centred nor scaled column by column; the whole matrix is divided by one
    number, the root mean square of the training rows' lengths. On raw features C = 1 means something
    else for every backbone, and liblinear may not converge in 1,000 iterations and a minute; at unit
    length it does in about 10, and the baseline is the stronger for it. The primal solver (trust-region
    Newton: Lin, Weng & Keerthi 2008, JMLR 9, 627-650) is deterministic, and converges where coordinate
    descent on the dual gives up.

    Parameters
    ----------
    x_train : NDArray[np.float32]
        ``(n_train, dim)`` features.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes.
    x_test : NDArray[np.float32]
        ``(n_test, dim)`` features.

    Returns
    -------
    NDArray[np.int64]
        ``(n_test,)`` predicted class codes.
    """
    mean_square = np.square(x_train, dtype=np.float64).sum(axis=1).mean()
    scale = np.float32(1 / np.sqrt(mean_square)) if mean_square > 0 else np.float32(1)
    model = LinearSVC(dual=False, max_iter=MAX_ITER).fit(x_train * scale, y_train)
    predicted: NDArray[np.int64] = model.predict(x_test * scale)
    return predicted


class _RegularisationPath:
    """One inner fold's classifier, refitted for growing C from where the last C left it.

    The standardised rows are made anew for each C: cheap beside the fit, and the alternative is to
    hold all inner folds' copies of the features at once.
    """

    def __init__(self, x: NDArray[np.float32], y: NDArray[np.int64], fold: Fold) -> None:
        self.fold = fold
        self._x, self._y = x, y
        self._scaler = StandardScaler(copy=False).fit(x[fold.train])
        self._model = LogisticRegression(max_iter=MAX_ITER, warm_start=True)
        missing = np.setdiff1d(y, y[fold.train])
        if len(missing):
            msg = (
                f"an inner fold's training part lacks {len(missing)} of {len(np.unique(y))} classes; "
                "its scores would miss their columns: use stratified inner folds"
            )
            raise StackError(msg)

    def log_probabilities(self, c: float) -> NDArray[np.float64]:
        """Return ``(n_inner_test, n_classes)`` natural-log probabilities of the fold's test rows."""
        train, test = self.fold.train, self.fold.test
        self._model.set_params(C=c).fit(self._scaler.transform(self._x[train]), self._y[train])
        return _log_probabilities(self._model, self._scaler.transform(self._x[test]))


def _log_probabilities(model: LogisticRegression, x: NDArray[np.float32]) -> NDArray[np.float64]:
    # Not log(predict_proba): that is minus infinity where a probability underflows.
    decision = model.decision_function(x).astype(np.float64)
    if decision.ndim == 1:  # two classes: scikit-learn gives the log-odds of the second
        decision = np.column_stack([np.zeros_like(decision), decision])
    scores: NDArray[np.float64] = log_softmax(decision, axis=1)
    return scores
