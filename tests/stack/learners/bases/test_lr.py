"""Base learners equal plain scikit-learn, choose C honestly, and let no label leak into its own score."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.bases.lr import C_GRID, score_classes
from stackbone.stack.learners.bases.svm import predict_svm
from stackbone.stack.learners.searching.regression_search import choose_c
from stackbone.stack.solvers.linear import LinearMap, LinearPath
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
Digits = tuple[Matrix, Codes]
NAMES = np.array([f"digit {n}" for n in range(10)])


@pytest.fixture(scope="module")
def halves(digits: Digits) -> Digits:
    """600 digits of 40 pixels: hard enough that a good C matters."""
    return digits[0][:600, :40], digits[1][:600]


def plain(c: float) -> Pipeline:
    return make_pipeline(ModeratedScaler(), LogisticRegression(C=c, tol=1e-8, max_iter=20_000))


def plain_scores(x: Matrix, y: Codes, folds: list[Fold], c: float) -> NDArray[np.float64]:
    """Out-of-fold probabilities as scikit-learn's manual makes them, in double precision."""
    splits = [(fold.train, fold.test) for fold in folds]
    scores: NDArray[np.float64] = cross_val_predict(
        plain(c), x.astype(np.float64), y, cv=splits, method="predict_proba"
    )
    return scores


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("c", [0.003, 0.3])
def test_scores_equal_plain_scikit_learn_fold_by_fold(halves: Digits, c: float) -> None:
    x, y = halves
    train, test = slice(0, 400), slice(400, 600)
    folds = inner_folds(y[train], NAMES, 0)
    scores = score_classes(x[train], y[train], x[test], 10, folds, [c])
    out_of_fold = softmax(scores.out_of_fold, axis=1)
    for fold in folds:
        reference = plain(c).fit(x[train][fold.train].astype(np.float64), y[train][fold.train])
        expected = reference.predict_proba(x[train][fold.test].astype(np.float64))
        np.testing.assert_allclose(out_of_fold[fold.test], expected, atol=1e-4)
    reference = plain(c).fit(x[train].astype(np.float64), y[train])
    np.testing.assert_allclose(softmax(scores.test, axis=1), reference.predict_proba(x[test]), atol=1e-4)
    np.testing.assert_array_equal(scores.test.argmax(axis=1), reference.predict(x[test]))
    np.testing.assert_array_equal(scores.linear.decide(x[test]), scores.test)
    assert scores.chosen == c


def test_scores_differ_from_plain_scikit_learn_by_less_than_matters(halves: Digits) -> None:
    x, y = halves
    folds = inner_folds(y, NAMES, 0)
    scores = score_classes(x, y, x, 10, folds, [0.03])
    np.testing.assert_allclose(softmax(scores.out_of_fold, axis=1), plain_scores(x, y, folds, 0.03), atol=1e-2)
    probabilities = softmax(scores.test, axis=1)
    reference = plain(0.03).fit(x.astype(np.float64), y).predict_proba(x.astype(np.float64))
    np.testing.assert_allclose(probabilities, reference, atol=2e-3)
    # One row is tied within 2e-5, so that the version of scikit-learn decides it.
    untied = np.ptp(np.sort(reference)[:, -2:], axis=1) > 1e-3
    assert untied.sum() >= len(x) - 1
    np.testing.assert_array_equal(probabilities.argmax(axis=1)[untied], reference.argmax(axis=1)[untied])


@pytest.mark.usefixtures("exact_solver")
def test_a_c_that_was_searched_gives_the_scores_of_that_c_alone(halves: Digits) -> None:
    x, y = halves
    folds = inner_folds(y[:400], NAMES, 0)
    searched = score_classes(x[:400], y[:400], x[400:], 10, folds, [1e-3, 1e-2, 1e-1])
    alone = score_classes(x[:400], y[:400], x[400:], 10, folds, [searched.chosen])
    for found, expected in ((searched.out_of_fold, alone.out_of_fold), (searched.test, alone.test)):
        np.testing.assert_allclose(softmax(found, axis=1), softmax(expected, axis=1), atol=1e-4)


def test_chosen_c_has_the_least_plain_log_loss(halves: Digits) -> None:
    x, y = halves
    grid = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    folds = inner_folds(y, NAMES, 0)
    losses = [log_loss(y, plain_scores(x, y, folds, c)) for c in grid]
    best = int(np.argmin(losses))
    assert 0 < best < len(grid) - 1  # or the grid would say nothing
    c, out_of_fold = choose_c(x, y, 10, folds, grid)
    assert c == grid[best]
    assert log_loss(y, softmax(out_of_fold.astype(np.float64), axis=1)) == pytest.approx(losses[best], abs=1e-3)


def losses_along(losses: Sequence[float], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let classifiers of ``C = 1, 2, ...`` have these out-of-fold log-losses; return the C that will be tried."""
    tried: list[float] = []

    def solve(self: LinearPath, c: float) -> list[LinearMap]:
        tried.append(c)
        # A row whose class has the probability p = exp(-loss) of two: the logit of p.
        p = np.exp(-losses[int(c) - 1])
        logit = np.float32(np.log(p / (1 - p)))
        return [LinearMap(np.array([[logit, 0.0]], np.float32), np.zeros(2, np.float32))] * 2

    monkeypatch.setattr(LinearPath, "solve", solve)
    return tried


@pytest.mark.parametrize(
    ("losses", "n_tried", "best"),
    [
        ([0.5, 0.4, 0.45, 0.3, 0.35, 0.36, 0.1], 6, 4),  # a ripple is crossed; two worse in a row end it
        ([0.5, 0.6, 0.7, 0.1], 3, 1),
        ([0.5, 0.6, 0.4, 0.6, 0.3], 5, 5),  # worse, but never twice in a row
        ([0.5, 0.5, 0.5, 0.1], 3, 1),  # no better is as bad as worse
        ([0.5, 0.4, 0.3], 3, 3),
    ],
)
def test_search_ends_after_two_values_in_a_row_that_are_no_better(
    monkeypatch: pytest.MonkeyPatch, losses: list[float], n_tried: int, best: int
) -> None:
    tried = losses_along(losses, monkeypatch)
    y = np.array([0, 0, 1, 1])
    x = np.where(y == 0, 1, -1).astype(np.float32)[:, None]
    folds = [Fold(np.array([0, 2]), np.array([1, 3])), Fold(np.array([1, 3]), np.array([0, 2]))]
    grid = [float(n + 1) for n in range(len(losses))]
    c, out_of_fold = choose_c(x, y, 2, folds, grid)
    assert tried == grid[:n_tried]
    assert c == best
    own = -log_softmax(out_of_fold.astype(np.float64), axis=1)[np.arange(4), y]
    # The scores are those of the C chosen, not of the last one tried. A row of class 1 has minus the logit.
    np.testing.assert_allclose(own[y == 0], losses[best - 1], rtol=1e-5)


def test_patience_gives_the_same_c_as_the_whole_grid(halves: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = halves
    folds = inner_folds(y, NAMES, 0)
    hasty, _ = choose_c(x, y, 10, folds, C_GRID)
    monkeypatch.setattr("stackbone.stack.learners.searching.regression_search._PATIENCE", len(C_GRID))
    assert choose_c(x, y, 10, folds, C_GRID)[0] == hasty


def test_rows_that_no_inner_fold_tests_stay_nan_and_have_no_say_in_c(halves: Digits) -> None:
    x, y = halves
    spared = np.flatnonzero(y == 3)[1:4]
    folds = [Fold(np.union1d(f.train, spared), np.setdiff1d(f.test, spared)) for f in inner_folds(y, NAMES, 0)]
    c, out_of_fold = choose_c(x, y, 10, folds, [1e-3, 1e-2, 1e-1])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out_of_fold).all(axis=1)), spared)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(out_of_fold).any(axis=1)), spared)
    scored = np.setdiff1d(np.arange(len(y)), spared)
    losses = [
        log_loss(y[scored], np.delete(spared_scores(x, y, folds, each), spared, axis=0)) for each in (1e-3, 1e-2, 1e-1)
    ]
    assert c == [1e-3, 1e-2, 1e-1][int(np.argmin(losses))]


def spared_scores(x: Matrix, y: Codes, folds: list[Fold], c: float) -> NDArray[np.float64]:
    """As `plain_scores`, where folds do not test every row."""
    scores = np.full((len(y), 10), np.nan)
    for fold in folds:
        fitted = plain(c).fit(x[fold.train].astype(np.float64), y[fold.train])
        scores[fold.test] = fitted.predict_proba(x[fold.test].astype(np.float64))
    return scores


@pytest.mark.usefixtures("exact_solver")
def test_out_of_fold_score_of_a_row_ignores_its_label(halves: Digits) -> None:
    x, y = halves
    folds = inner_folds(y, NAMES, 0)
    flipped = y.copy()
    flipped[17] = (y[17] + 1) % 10
    ((fold, other),) = [(f, g) for f, g in zip(folds, folds[1:] + folds[:1], strict=True) if 17 in f.test]
    _, before = choose_c(x, y, 10, folds, [0.1])
    _, after = choose_c(x, flipped, 10, folds, [0.1])
    # Folds solved side by side share matrix products, whose last bits may differ with what stands beside them.
    np.testing.assert_allclose(after[fold.test], before[fold.test], atol=2e-3)
    assert np.abs(before[other.test] - after[other.test]).max() > 0.02  # others did learn from the label


@pytest.mark.usefixtures("exact_solver")
def test_two_classes_have_two_columns(digits: Digits) -> None:
    x, y = digits[0][:600, :40], digits[1][:600]
    two = np.flatnonzero((y == 3) | (y == 8))
    codes = np.searchsorted([3, 8], y[two])
    folds = inner_folds(codes, np.array(["three", "eight"]), 0)
    scores = score_classes(x[two], codes, x[two], 2, folds, [0.1])
    assert scores.out_of_fold.shape == scores.test.shape == (len(two), 2)
    expected = plain_scores(x[two], codes, folds, 0.1)
    np.testing.assert_allclose(softmax(scores.out_of_fold, axis=1), expected, atol=1e-3)


@pytest.mark.usefixtures("exact_solver")
def test_constant_and_huge_columns_do_no_harm(halves: Digits) -> None:
    x, y = halves
    folds = inner_folds(y, NAMES, 0)
    odd = np.hstack([x * np.float32(1e4), np.full((len(x), 1), 1e6, np.float32), np.zeros((len(x), 1), np.float32)])
    plain_x, scaled = (score_classes(m, y, m, 10, folds, [0.01]) for m in (x, odd))
    np.testing.assert_allclose(softmax(scaled.out_of_fold, axis=1), softmax(plain_x.out_of_fold, axis=1), atol=1e-3)


def test_inputs_are_left_as_they_were(halves: Digits) -> None:
    x, y = halves
    train, test = x[:400].copy(), x[400:].copy()
    score_classes(train, y[:400], test, 10, inner_folds(y[:400], NAMES, 0), [0.1])
    predict_svm(train, y[:400], test, 10)
    np.testing.assert_array_equal(train, x[:400])
    np.testing.assert_array_equal(test, x[400:])


def test_no_test_rows_are_needed(halves: Digits) -> None:
    x, y = halves
    scores = score_classes(x, y, x[:0], 10, inner_folds(y, NAMES, 0), [0.1])
    assert scores.test.shape == (0, 10)
    assert np.isfinite(scores.out_of_fold).all()


@pytest.mark.parametrize("c_grid", [[0.1], [0.01, 0.1]])
def test_inner_fold_lacking_a_class_is_an_error_and_no_zero_column(halves: Digits, c_grid: list[float]) -> None:
    x, y = halves
    by_class = np.argsort(y, kind="stable")
    folds = [Fold(by_class[200:], by_class[:200]), Fold(by_class[:200], by_class[200:])]
    with pytest.raises(StackError, match="lacks 3 of 10 classes"):
        score_classes(x, y, x, 10, folds, c_grid)


@pytest.mark.parametrize("c", [0.0, -1.0, np.nan, np.inf])
def test_a_c_that_is_no_positive_number_is_refused(halves: Digits, c: float) -> None:
    x, y = halves
    with pytest.raises(UsageError, match="C is"):
        score_classes(x, y, x, 10, inner_folds(y, NAMES, 0), [c])


@pytest.mark.usefixtures("exact_solver")
def test_svm_is_linearsvc_at_unit_mean_square_length(halves: Digits) -> None:
    x, y = halves
    scale = np.sqrt((x[:400].astype(np.float64) ** 2).sum(axis=1).mean())
    reference = LinearSVC(dual=False, tol=1e-8, max_iter=20_000).fit(x[:400] / scale, y[:400])
    decision = predict_svm(x[:400], y[:400], x[400:], 10)
    np.testing.assert_allclose(decision, reference.decision_function(x[400:] / scale), atol=5e-3)
    np.testing.assert_array_equal(decision.argmax(axis=1), reference.predict(x[400:] / scale))


@pytest.mark.usefixtures("exact_solver")
def test_svm_of_two_classes_has_two_opposite_columns(halves: Digits) -> None:
    x, y = halves
    odd = y % 2
    decision = predict_svm(x[:400], odd[:400], x[400:], 2)
    scale = np.sqrt((x[:400].astype(np.float64) ** 2).sum(axis=1).mean())
    reference = LinearSVC(dual=False, tol=1e-8, max_iter=20_000).fit(x[:400] / scale, odd[:400])
    np.testing.assert_allclose(decision[:, 1], reference.decision_function(x[400:] / scale), atol=5e-3)
    np.testing.assert_array_equal(decision[:, 0], -decision[:, 1])


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_svm_does_not_depend_on_the_scale_of_the_features(halves: Digits, scale: float) -> None:
    x, y = halves
    scaled = x * np.float32(scale)
    np.testing.assert_allclose(
        predict_svm(scaled[:400], y[:400], scaled[400:], 10), predict_svm(x[:400], y[:400], x[400:], 10), atol=2e-3
    )


def test_svm_of_all_zero_features_answers_without_dividing_by_zero() -> None:
    zeros = np.zeros((6, 3), np.float32)
    decision = predict_svm(zeros, np.array([0, 0, 0, 0, 1, 1]), zeros, 2)
    assert decision.argmax(axis=1).tolist() == [0] * 6
