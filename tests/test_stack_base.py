"""Base learners equal plain scikit-learn, choose C honestly, and let no label leak into its own score."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from cache.errors import StackError
from stack.base import choose_c, inner_folds, predict_svm, score_classes
from stack.folds import Fold

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
NAMES = np.array([f"digit {n}" for n in range(10)])


@pytest.fixture(scope="module")
def digits() -> tuple[Matrix, Codes]:
    x, y = load_digits(return_X_y=True)
    return x[:600, :40].astype(np.float32), y[:600].astype(np.int64)


def plain_scores(x: Matrix, y: Codes, folds: list[Fold], c: float) -> NDArray[np.float64]:
    """Out-of-fold probabilities as scikit-learn's manual makes them, in double precision."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000))
    splits = [(fold.train, fold.test) for fold in folds]
    scores: NDArray[np.float64] = cross_val_predict(
        pipeline, x.astype(np.float64), y, cv=splits, method="predict_proba"
    )
    return scores


def test_scores_equal_plain_cross_val_predict(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    folds = inner_folds(y[:400], NAMES, 0)
    scores = score_classes(x[:400], y[:400], x[400:], folds, [0.01])
    np.testing.assert_allclose(np.exp(scores.out_of_fold), plain_scores(x[:400], y[:400], folds, 0.01), atol=2e-3)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000)).fit(x[:400], y[:400])
    np.testing.assert_allclose(np.exp(scores.test), plain.predict_proba(x[400:]), atol=2e-3)
    np.testing.assert_array_equal(scores.predict(), plain.predict(x[400:]))
    assert scores.c == 0.01


def test_chosen_c_has_the_least_plain_log_loss(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    grid = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    folds = inner_folds(y, NAMES, 0)
    losses = [log_loss(y, plain_scores(x, y, folds, c)) for c in grid]
    best = int(np.argmin(losses))
    assert 0 < best < len(grid) - 1  # or the grid would say nothing
    c, out_of_fold = choose_c(x, y, folds, grid)
    assert c == grid[best]
    assert -out_of_fold[np.arange(len(y)), y].mean() == pytest.approx(losses[best], abs=2e-3)


def test_out_of_fold_score_of_a_row_ignores_its_label(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    folds = inner_folds(y, NAMES, 0)
    flipped = y.copy()
    flipped[17] = (y[17] + 1) % 10
    ((fold, other),) = [(f, g) for f, g in zip(folds, folds[1:] + folds[:1], strict=True) if 17 in f.test]
    _, before = choose_c(x, y, folds, [0.1])
    _, after = choose_c(x, flipped, folds, [0.1])
    np.testing.assert_array_equal(before[fold.test], after[fold.test])
    assert (before[other.test] != after[other.test]).any()  # others did learn from the label


def test_two_classes_have_two_columns(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    two = np.flatnonzero((y == 3) | (y == 8))
    codes = np.searchsorted([3, 8], y[two])
    folds = inner_folds(codes, np.array(["three", "eight"]), 0)
    scores = score_classes(x[two], codes, x[two], folds, [0.1])
    expected = plain_scores(x[two], codes, folds, 0.1)
    assert scores.out_of_fold.shape == scores.test.shape == (len(two), 2)
    np.testing.assert_allclose(np.exp(scores.out_of_fold), expected, atol=2e-3)


def test_classes_keep_their_codes_where_one_is_absent(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    rows = np.flatnonzero(y != 4)
    scores = score_classes(x[rows], y[rows], x, inner_folds(y[rows], NAMES, 0), [0.1])
    np.testing.assert_array_equal(scores.classes, [0, 1, 2, 3, 5, 6, 7, 8, 9])
    assert scores.test.shape == (600, 9)
    assert (scores.predict()[rows] == y[rows]).mean() > 0.95


def test_constant_and_huge_columns_do_no_harm(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    folds = inner_folds(y, NAMES, 0)
    odd = np.hstack([x * np.float32(1e4), np.full((len(x), 1), 1e6, np.float32), np.zeros((len(x), 1), np.float32)])
    plain, scaled = (score_classes(m, y, m, folds, [0.01]) for m in (x, odd))
    np.testing.assert_allclose(np.exp(scaled.out_of_fold), np.exp(plain.out_of_fold), atol=5e-3)


def test_inputs_are_left_as_they_were(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    train, test = x[:400].copy(), x[400:].copy()
    score_classes(train, y[:400], test, inner_folds(y[:400], NAMES, 0), [0.1])
    predict_svm(train, y[:400], test)
    np.testing.assert_array_equal(train, x[:400])
    np.testing.assert_array_equal(test, x[400:])


def test_inner_folds_are_five_or_the_smallest_class() -> None:
    y = np.repeat(np.arange(2), [20, 3])
    assert len(inner_folds(np.repeat(np.arange(2), 10), NAMES, 0)) == 5
    folds = inner_folds(y, NAMES, 4)
    reference = StratifiedKFold(3, shuffle=True, random_state=4).split(y, y)
    for fold, (train, test) in zip(folds, reference, strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
        assert set(y[fold.train]) == {0, 1}


def test_class_of_one_training_image_is_named() -> None:
    with pytest.raises(StackError, match=r"one image only of class.* 'digit 2'; .* at least 2"):
        inner_folds(np.array([0, 0, 1, 1, 2]), NAMES, 0)


def test_inner_fold_lacking_a_class_is_an_error_and_no_zero_column(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    by_class = np.argsort(y, kind="stable")
    folds = [Fold(by_class[200:], by_class[:200]), Fold(by_class[:200], by_class[200:])]
    with pytest.raises(StackError, match="lacks 3 of 10 classes"):
        choose_c(x, y, folds, [0.1])


def test_svm_is_linearsvc_at_unit_mean_square_length(digits: tuple[Matrix, Codes]) -> None:
    x, y = digits
    scale = np.sqrt((x[:400].astype(np.float64) ** 2).sum(axis=1).mean())
    plain = LinearSVC(dual=False).fit(x[:400] / scale, y[:400])
    predicted = predict_svm(x[:400], y[:400], x[400:])
    np.testing.assert_array_equal(predicted, plain.predict(x[400:] / scale))


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_svm_does_not_depend_on_the_scale_of_the_features(digits: tuple[Matrix, Codes], scale: float) -> None:
    x, y = digits
    scaled = x * np.float32(scale)
    np.testing.assert_array_equal(
        predict_svm(scaled[:400], y[:400], scaled[400:]), predict_svm(x[:400], y[:400], x[400:])
    )


def test_svm_of_all_zero_features_answers_without_dividing_by_zero() -> None:
    zeros = np.zeros((6, 3), np.float32)
    assert predict_svm(zeros, np.array([0, 0, 0, 0, 1, 1]), zeros).tolist() == [0] * 6
