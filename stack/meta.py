"""Meta-learners: from what every backbone says to one answer.

`predict_oof` is the meta-learner of the ``oof`` recipe, `predict_published` the whole ``published``
recipe, `predict_mean` the baseline that learns nothing. Each sees the training part of one outer fold
and returns the predicted class codes of its test part.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from stack.base import MAX_ITER, ClassScores
from stack.folds import Fold

META_C_GRID = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation strengths of the meta-learner, ascending."""


def predict_mean(scores: Sequence[ClassScores]) -> NDArray[np.int64]:
    """Predict the class of the highest mean probability over backbones.

    Parameters
    ----------
    scores : sequence of ClassScores
        One per backbone, of the same fold.

    Returns
    -------
    NDArray[np.int64]
        ``(n_test,)`` predicted class codes.
    """
    probabilities = np.mean([np.exp(s.test) for s in scores], axis=0)
    codes: NDArray[np.int64] = scores[0].classes[probabilities.argmax(axis=1)]
    return codes


def predict_oof(
    scores: Sequence[ClassScores],
    y_train: NDArray[np.int64],
    folds: Sequence[Fold],
    c_grid: Sequence[float] = META_C_GRID,
) -> NDArray[np.int64]:
    """Stack by a linear SVM on out-of-fold probabilities, all backbones side by side.

    Its C is chosen inside the training part too, by accuracy on the inner folds that made the
    out-of-fold scores; of equals the smallest, the most regularised, wins. Out-of-fold scores as
    meta-features: Wolpert 1992 (Neural Networks 5(2), 241-259). Probabilities, as Ting & Witten 1999
    (JAIR 10, 271-289) advise, and not their logarithms: no overconfident backbone can shout.

    Parameters
    ----------
    scores : sequence of ClassScores
        One per backbone, of the same fold and the same inner folds.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes.
    folds : sequence of Fold
        The inner folds over the training part.
    c_grid : sequence of float
        Values of C, ascending. One value: no search.

    Returns
    -------
    NDArray[np.int64]
        ``(n_test,)`` predicted class codes.
    """
    train = np.hstack([np.exp(s.out_of_fold) for s in scores])
    test = np.hstack([np.exp(s.test) for s in scores])
    c = _choose_meta_c(train, y_train, folds, c_grid) if len(c_grid) > 1 else c_grid[0]
    predicted: NDArray[np.int64] = _meta_svm(c).fit(train, y_train).predict(test)
    return predicted


def predict_published(
    train: Sequence[NDArray[np.float32]],
    y_train: NDArray[np.int64],
    test: Sequence[NDArray[np.float32]],
    seed: int = 0,
) -> NDArray[np.int64]:
    """Stack as published: mlxtend's own StackingClassifier on raw features.

    ``StackingClassifier(use_probas=True, average_probas=True)`` of one ``LogisticRegression`` per
    backbone, each with its own columns, under a ``LinearSVC`` (Raschka 2018, JOSS 3(24), 638). The
    meta-learner is fitted on in-sample probabilities: that is the recipe. Defaults everywhere but for
    the iteration ceiling of ``LogisticRegression``, whose default of 100 stops it short.

    Parameters
    ----------
    train : sequence of NDArray[np.float32]
        One ``(n_train, dim)`` matrix per backbone.
    y_train : NDArray[np.int64]
        ``(n_train,)`` class codes.
    test : sequence of NDArray[np.float32]
        One ``(n_test, dim)`` matrix per backbone, in the same order.
    seed : int
        Seed of liblinear, which only draws random numbers with more classes than rows.

    Returns
    -------
    NDArray[np.int64]
        ``(n_test,)`` predicted class codes.
    """
    from mlxtend.classifier import StackingClassifier
    from mlxtend.feature_selection import ColumnSelector

    ends = np.cumsum([block.shape[1] for block in train]).tolist()
    columns = [slice(end - block.shape[1], end) for end, block in zip(ends, train, strict=True)]
    model = StackingClassifier(
        classifiers=[
            # A slice, where mlxtend documents a list: the selection is then a view and not a copy.
            make_pipeline(ColumnSelector(cols=cols), LogisticRegression(max_iter=MAX_ITER))
            for cols in columns
        ],
        meta_classifier=LinearSVC(random_state=seed),
        use_probas=True,
        average_probas=True,
    )
    model.fit(np.hstack(train), y_train)
    predicted: NDArray[np.int64] = model.predict(np.hstack(test))
    return predicted


def _choose_meta_c(
    x: NDArray[np.float64], y: NDArray[np.int64], folds: Sequence[Fold], c_grid: Sequence[float]
) -> float:
    correct = [
        sum(int((_meta_svm(c).fit(x[f.train], y[f.train]).predict(x[f.test]) == y[f.test]).sum()) for f in folds)
        for c in c_grid
    ]
    return c_grid[int(np.argmax(correct))]


def _meta_svm(c: float) -> LinearSVC:
    # The primal solver: deterministic, and far fewer columns than rows is where it is fastest.
    return LinearSVC(C=c, dual=False, max_iter=MAX_ITER)
