"""Meta-learners equal mlxtend's and scikit-learn's own."""

import numpy as np
import pytest
from mlxtend.classifier import StackingClassifier
from numpy.typing import NDArray
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from stack.base import ClassScores, inner_folds, score_classes
from stack.folds import Fold
from stack.meta import META_C_GRID, predict_mean, predict_oof, predict_published

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
TRAIN, TEST = slice(0, 400), slice(400, 700)
WIDTHS = (22, 21, 21)


@pytest.fixture(scope="module")
def blocks() -> list[Matrix]:
    x = load_digits().data[:700].astype(np.float32)
    return [x[:, first::3] for first in range(3)]


@pytest.fixture(scope="module")
def y() -> Codes:
    codes: Codes = load_digits().target[:700].astype(np.int64)
    return codes


@pytest.fixture(scope="module")
def inner(y: Codes) -> list[Fold]:
    return inner_folds(y[TRAIN], np.array(list("0123456789")), 0)


@pytest.fixture(scope="module")
def scores(blocks: list[Matrix], y: Codes, inner: list[Fold]) -> list[ClassScores]:
    return [score_classes(x[TRAIN], y[TRAIN], x[TEST], inner, [0.01]) for x in blocks]


def test_published_predicts_as_mlxtend_on_sklearn_columns(blocks: list[Matrix], y: Codes) -> None:
    x = np.hstack(blocks)
    ends = np.cumsum(WIDTHS)
    reference = StackingClassifier(
        classifiers=[
            make_pipeline(
                make_column_transformer(("passthrough", list(range(end - width, end)))),
                LogisticRegression(max_iter=10_000),
            )
            for end, width in zip(ends, WIDTHS, strict=True)
        ],
        meta_classifier=LinearSVC(),
        use_probas=True,
        average_probas=True,
    ).fit(x[TRAIN], y[TRAIN])
    predicted = predict_published([b[TRAIN] for b in blocks], y[TRAIN], [b[TEST] for b in blocks])
    np.testing.assert_array_equal(predicted, reference.predict(x[TEST]))
    assert (predicted == y[TEST]).mean() > 0.7


def test_published_meta_learner_sees_the_mean_of_in_sample_probabilities(blocks: list[Matrix], y: Codes) -> None:
    base = [LogisticRegression(max_iter=10_000).fit(b[TRAIN], y[TRAIN]) for b in blocks]
    train, test = (
        np.mean([m.predict_proba(b[part]) for m, b in zip(base, blocks, strict=True)], axis=0) for part in (TRAIN, TEST)
    )
    by_hand = LinearSVC().fit(train, y[TRAIN]).predict(test)
    predicted = predict_published([b[TRAIN] for b in blocks], y[TRAIN], [b[TEST] for b in blocks])
    np.testing.assert_array_equal(predicted, by_hand)


def test_mean_is_the_class_of_the_highest_mean_probability(scores: list[ClassScores], y: Codes) -> None:
    by_hand = sum(np.exp(s.test) for s in scores).argmax(axis=1)  # type: ignore[union-attr]  # sum() may be 0
    np.testing.assert_array_equal(predict_mean(scores), by_hand)
    best_single = max((s.predict() == y[TEST]).mean() for s in scores)
    assert (predict_mean(scores) == y[TEST]).mean() > best_single


def test_oof_is_a_grid_search_over_out_of_fold_probabilities(
    scores: list[ClassScores], y: Codes, inner: list[Fold]
) -> None:
    train = np.hstack([np.exp(s.out_of_fold) for s in scores])
    test = np.hstack([np.exp(s.test) for s in scores])
    search = GridSearchCV(
        LinearSVC(dual=False), {"C": list(META_C_GRID)}, cv=[(f.train, f.test) for f in inner], scoring="accuracy"
    ).fit(train, y[TRAIN])
    predicted = predict_oof(scores, y[TRAIN], inner)
    np.testing.assert_array_equal(predicted, search.predict(test))
    assert (predicted == y[TEST]).mean() > 0.7


def test_oof_meta_learner_never_sees_the_test_scores(scores: list[ClassScores], y: Codes, inner: list[Fold]) -> None:
    alone = [ClassScores(s.c, s.classes, s.out_of_fold, s.test[:1]) for s in scores]
    assert predict_oof(alone, y[TRAIN], inner)[0] == predict_oof(scores, y[TRAIN], inner)[0]


def test_classes_keep_their_codes_where_one_is_absent(blocks: list[Matrix], y: Codes) -> None:
    rows = np.flatnonzero(y[TRAIN] != 0)
    inner = inner_folds(y[rows], np.array(list("0123456789")), 0)
    scores = [score_classes(b[rows], y[rows], b[TEST], inner, [0.01]) for b in blocks]
    published = predict_published([b[rows] for b in blocks], y[rows], [b[TEST] for b in blocks])
    known = y[TEST] != 0
    for predicted in (predict_mean(scores), predict_oof(scores, y[rows], inner), published):
        assert 0 not in predicted
        assert (predicted == y[TEST])[known].mean() > 0.7


def test_one_backbone_and_two_classes_stack(blocks: list[Matrix], y: Codes) -> None:
    two = np.flatnonzero(y < 2)
    train, test = two[:80], two[80:]
    inner = inner_folds(y[train], np.array(["zero", "one"]), 0)
    scores = [score_classes(blocks[1][train], y[train], blocks[1][test], inner, [0.01])]
    published = predict_published([blocks[1][train]], y[train], [blocks[1][test]])
    for predicted in (predict_mean(scores), predict_oof(scores, y[train], inner), published):
        assert (predicted == y[test]).mean() > 0.95
