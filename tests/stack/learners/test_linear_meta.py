"""Meta-learners equal mlxtend's and scikit-learn's own, their probabilities are calibrated, and odd rows do no harm."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from mlxtend.classifier import StackingClassifier
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.learners.bases.published import predict_published
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.linear_meta import META_C_GRID
from stackbone.stack.learners.meta_model import MetaModel, mean_probability, meta_features
from stackbone.stack.learners.options import COMBINE, SCORES, MetaOptions
from stackbone.stack.metrics.temperature import fit_scale
from stackbone.stack.solvers.linear import LinearMap
from tests.made.learners import fit_meta
from tests.made.references import ShrunkLinear

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Matrix = NDArray[np.float32]
Codes = NDArray[np.int64]
Digits = tuple[Matrix, Codes]
TRAIN, TEST = slice(0, 400), slice(400, 700)
WIDTHS = (22, 21, 21)
NAMES = np.array(list("0123456789"))
NO_MAP = LinearMap(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))


@pytest.fixture(scope="module")
def blocks(digits: Digits) -> list[Matrix]:
    return [digits[0][:700, first::3] for first in range(3)]


@pytest.fixture(scope="module")
def y(digits: Digits) -> Codes:
    return digits[1][:700]


@pytest.fixture(scope="module")
def inner(y: Codes) -> list[Fold]:
    return inner_folds(y[TRAIN], NAMES, 0)


@pytest.fixture(scope="module")
def scores(blocks: list[Matrix], y: Codes, inner: list[Fold]) -> list[BaseScores]:
    return [score_classes(x[TRAIN], y[TRAIN], x[TEST], 10, inner, [0.01]) for x in blocks]


def on_test_part(scores: Sequence[BaseScores]) -> list[Matrix]:
    return [each.test for each in scores]


def plain_features(decisions: Sequence[Matrix], kind: str, combine: str) -> NDArray[np.float64]:
    """Meta-features by scipy alone, in double precision."""
    made = {"probability": softmax, "log-probability": log_softmax, "decision": lambda decision, axis: decision}[kind]
    each = [made(decision.astype(np.float64), axis=1) for decision in decisions]
    return np.hstack(each) if combine == "concat" else np.asarray(sum(each) / len(each))


def plain_learner(learner: str, c: float, x: NDArray[np.float64], y: Codes, kind: str = "probability") -> ShrunkLinear:
    """Fit on ``(n, n_backbones * 10)`` meta-features, shrunk towards their mean over backbones."""
    mean = x.reshape(len(x), -1, 10).mean(axis=1)
    slope, intercept = 2.0, -1.0
    if learner == "lr":
        slope, intercept = fit_scale(mean, y), 0.0
    elif kind != "probability":
        slope, intercept = np.polyfit(mean.ravel(), (2 * np.eye(10)[y] - 1).ravel(), 1)
    n_averaged = x.shape[1] // 10
    prior = np.tile(np.eye(10), (n_averaged, 1)) * slope / n_averaged
    return ShrunkLinear(learner, c, prior, intercept).fit(x, y)


def test_meta_features_are_scores_side_by_side_or_averaged(scores: list[BaseScores]) -> None:
    for kind in SCORES:
        for combine in COMBINE:
            found = meta_features(on_test_part(scores), kind, combine)
            assert found.shape == (300, 30 if combine == "concat" else 10)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, plain_features(on_test_part(scores), kind, combine), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("combine", COMBINE)
@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("learner", ["svm", "lr"])
def test_meta_learner_is_scikit_learns_on_the_same_meta_features(
    scores: list[BaseScores], y: Codes, inner: list[Fold], learner: str, kind: str, combine: str
) -> None:
    options = MetaOptions(learner, kind, combine, c=0.1)
    model = fit_meta(scores, y[TRAIN], 10, inner, options)
    train = plain_features([each.out_of_fold for each in scores], kind, combine)
    test = plain_features(on_test_part(scores), kind, combine)
    reference = plain_learner(learner, 0.1, train, y[TRAIN], kind)
    assert model.linear is not None
    decision, expected = model.linear.decide(test.astype(np.float32)), reference.decision_function(test)
    np.testing.assert_allclose(decision, expected, atol=2e-3)
    logs = model.log_probabilities(on_test_part(scores))
    np.testing.assert_array_equal(logs.argmax(axis=1), reference.predict(test))
    np.testing.assert_allclose(logs, log_softmax(model.scale * expected, axis=1), atol=2e-2)
    assert (model.options, model.c) == (options, 0.1)


@pytest.mark.usefixtures("exact_solver")
def test_default_takes_the_smallest_c_within_a_standard_error_of_the_best_on_the_inner_folds(
    scores: list[BaseScores], y: Codes, inner: list[Fold]
) -> None:
    train = plain_features([s.out_of_fold for s in scores], "probability", "concat")
    test = plain_features(on_test_part(scores), "probability", "concat")
    right = np.zeros((len(META_C_GRID), 400), dtype=np.bool_)
    for place, c in enumerate(META_C_GRID):
        for fold in inner:
            fitted = plain_learner("svm", c, train[fold.train], y[TRAIN][fold.train])
            right[place, fold.test] = fitted.predict(train[fold.test]) == y[TRAIN][fold.test]
    lead = right[right.sum(axis=1).argmax()].astype(float) - right
    expected = next(c for c, each in zip(META_C_GRID, lead, strict=True) if each.sum() <= np.sqrt(400) * np.std(each))
    model = fit_meta(scores, y[TRAIN], 10, inner)
    assert model.c == expected
    predicted = model.log_probabilities(on_test_part(scores)).argmax(axis=1)
    np.testing.assert_array_equal(predicted, plain_learner("svm", expected, train, y[TRAIN]).predict(test))


@pytest.mark.parametrize("kind", SCORES)
def test_with_hardly_a_weight_on_the_labels_the_stack_is_the_mean_of_its_members(
    scores: list[BaseScores], y: Codes, inner: list[Fold], kind: str
) -> None:
    model = fit_meta(scores, y[TRAIN], 10, inner, MetaOptions("svm", kind, c=1e-9))
    mean = meta_features(on_test_part(scores), kind, "average")
    np.testing.assert_array_equal(model.log_probabilities(on_test_part(scores)).argmax(axis=1), mean.argmax(axis=1))


@pytest.mark.parametrize("n", [12, 30, 90])
def test_a_backbone_that_knows_nothing_does_not_draw_the_stack_down(n: int) -> None:
    accuracies = []
    for seed in range(20):
        rng = np.random.default_rng([n, seed])
        y = np.arange(n + 300) % 3
        members = [(4 * np.eye(3)[y] + noise * rng.normal(size=(len(y), 3))).astype(np.float32) for noise in (1, 50)]
        scores = [BaseScores(1.0, each[:n], each[n:], NO_MAP) for each in members]
        stacked = fit_meta(scores, y[:n], 3, inner_folds(y[:n], NAMES, 0)).log_probabilities(on_test_part(scores))
        mean = mean_probability(on_test_part(scores))
        accuracies.append([np.mean(found.argmax(axis=1) == y[n:]) for found in (stacked, mean, members[0][n:])])
    stack, average, single = np.mean(accuracies, axis=0)
    assert average < 0.5
    assert stack > single - 0.04


@pytest.mark.parametrize("n", [8, 12, 20])
def test_a_handful_of_rows_does_not_draw_the_stack_below_the_mean(n: int) -> None:
    differences = []
    for seed in range(40):
        rng = np.random.default_rng([n, seed])
        y = np.arange(n + 400) % 2
        members = [(np.where(y[:, None] == [0, 1], 1, -1) + 2 * rng.normal(size=(len(y), 2))) for _ in range(3)]
        scores = [BaseScores(1.0, each[:n].astype(np.float32), each[n:].astype(np.float32), NO_MAP) for each in members]
        stacked = fit_meta(scores, y[:n], 2, inner_folds(y[:n], NAMES, 0)).log_probabilities(on_test_part(scores))
        mean = mean_probability(on_test_part(scores))
        differences.append(np.mean(stacked.argmax(axis=1) == y[n:]) - np.mean(mean.argmax(axis=1) == y[n:]))
    assert np.mean(differences) > -0.02


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("learner", ["svm", "lr"])
def test_scale_has_the_least_plain_log_loss_out_of_fold(
    scores: list[BaseScores], y: Codes, inner: list[Fold], learner: str
) -> None:
    train = plain_features([each.out_of_fold for each in scores], "probability", "concat")
    decision = np.empty((400, 10))
    for fold in inner:
        fitted = plain_learner(learner, 1.0, train[fold.train], y[TRAIN][fold.train])
        decision[fold.test] = fitted.decision_function(train[fold.test])

    def loss(log_scale: float) -> float:
        return float(log_loss(y[TRAIN], softmax(np.exp(log_scale) * decision, axis=1)))

    best = np.exp(minimize_scalar(loss, bounds=(-3, 5), method="bounded").x)
    assert fit_meta(scores, y[TRAIN], 10, inner, MetaOptions(learner, c=1.0)).scale == pytest.approx(best, rel=1e-2)


@pytest.mark.parametrize("learner", ["svm", "lr", "mean"])
def test_calibrated_probabilities_sum_to_one_and_lose_less_on_unseen_rows(
    scores: list[BaseScores], y: Codes, inner: list[Fold], learner: str
) -> None:
    model = fit_meta(scores, y[TRAIN], 10, inner, MetaOptions(learner))
    calibrated = model.log_probabilities(on_test_part(scores))
    raw = MetaModel(model.options, model.c, model.linear, 1.0).log_probabilities(on_test_part(scores))
    np.testing.assert_allclose(np.exp(calibrated).sum(axis=1), 1, atol=1e-9)
    np.testing.assert_array_equal(calibrated.argmax(axis=1), raw.argmax(axis=1))
    # The decision values of ``lr`` are log-probabilities from the start: calibration can hardly better them.
    bound = 1.01 if learner == "lr" else 1.0
    assert log_loss(y[TEST], np.exp(calibrated)) < bound * log_loss(y[TEST], np.exp(raw))


def test_mean_is_the_class_of_the_highest_mean_probability(scores: list[BaseScores], y: Codes) -> None:
    by_hand = np.mean([softmax(s.test.astype(np.float64), axis=1) for s in scores], axis=0)
    logs = mean_probability(on_test_part(scores))
    np.testing.assert_allclose(np.exp(logs), by_hand, rtol=1e-9)
    best_single = max((s.test.argmax(axis=1) == y[TEST]).mean() for s in scores)
    assert (logs.argmax(axis=1) == y[TEST]).mean() > best_single


def test_mean_as_meta_learner_learns_its_calibration_only(
    scores: list[BaseScores], y: Codes, inner: list[Fold]
) -> None:
    model = fit_meta(scores, y[TRAIN], 10, inner, MetaOptions("mean"))
    assert model.c is None
    assert model.linear is None
    logs, plain = model.log_probabilities(on_test_part(scores)), mean_probability(on_test_part(scores))
    np.testing.assert_allclose(logs, log_softmax(model.scale * plain, axis=1), atol=1e-9)
    np.testing.assert_array_equal(logs.argmax(axis=1), plain.argmax(axis=1))


def test_mean_of_probabilities_that_vanish_is_no_nan() -> None:
    sure, opposed = np.array([[500.0, -500.0]], np.float32), np.array([[-500.0, 500.0]], np.float32)
    np.testing.assert_allclose(np.exp(mean_probability([sure, opposed])), [[0.5, 0.5]])
    assert np.exp(mean_probability([sure, sure])).tolist() == [[1.0, 0.0]]


def test_meta_learner_never_sees_the_test_scores(scores: list[BaseScores], y: Codes, inner: list[Fold]) -> None:
    blind = [BaseScores(s.chosen, s.out_of_fold, np.full_like(s.test, np.nan), s.linear) for s in scores]
    seeing, unseeing = (fit_meta(each, y[TRAIN], 10, inner) for each in (scores, blind))
    assert seeing.scale == unseeing.scale
    np.testing.assert_array_equal(
        seeing.log_probabilities(on_test_part(scores)), unseeing.log_probabilities(on_test_part(scores))
    )


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("learner", ["svm", "lr", "mean"])
def test_rows_without_out_of_fold_scores_are_left_out(blocks: list[Matrix], y: Codes, learner: str) -> None:
    spared = np.arange(0, 400, 9)
    folds = [Fold(np.union1d(f.train, spared), np.setdiff1d(f.test, spared)) for f in inner_folds(y[TRAIN], NAMES, 0)]
    scores = [score_classes(x[TRAIN], y[TRAIN], x[TEST], 10, folds, [0.01]) for x in blocks]
    model = fit_meta(scores, y[TRAIN], 10, folds, MetaOptions(learner, c=0.1))
    kept = np.setdiff1d(np.arange(400), spared)
    # The same without the rows: their numbers are gone, and folds count the rows that remain.
    fewer = [BaseScores(s.chosen, s.out_of_fold[kept], s.test, s.linear) for s in scores]
    renumbered = [
        Fold(np.searchsorted(kept, np.setdiff1d(f.train, spared)), np.searchsorted(kept, f.test)) for f in folds
    ]
    expected = fit_meta(fewer, y[kept], 10, renumbered, MetaOptions(learner, c=0.1))
    np.testing.assert_array_equal(
        model.log_probabilities(on_test_part(scores)), expected.log_probabilities(on_test_part(scores))
    )
    assert model.scale == expected.scale
    if learner != "mean":
        train = plain_features([s.out_of_fold[kept] for s in scores], "probability", "concat")
        reference = plain_learner(learner, 0.1, train, y[kept])
        test = plain_features(on_test_part(scores), "probability", "concat")
        predicted = model.log_probabilities(on_test_part(scores)).argmax(axis=1)
        np.testing.assert_array_equal(predicted, reference.predict(test))


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize("learner", ["svm", "lr"])
def test_class_that_no_inner_fold_tests_keeps_the_mean_of_its_members_and_breaks_nothing(
    blocks: list[Matrix], y: Codes, learner: str, kind: str
) -> None:
    rows = np.flatnonzero((y[TRAIN] != 4) | (np.arange(400) == np.flatnonzero(y[TRAIN] == 4)[0]))  # one 4 is left
    train = y[rows]
    folds = inner_folds(train, NAMES, 0)
    scores = [score_classes(x[rows], train, x[TEST], 10, folds, [0.01]) for x in blocks]
    assert 4 not in train[np.concatenate([fold.test for fold in folds])]
    model = fit_meta(scores, train, 10, folds, MetaOptions(learner, kind))
    logs = model.log_probabilities(on_test_part(scores))
    assert logs.shape == (300, 10)
    assert model.linear is not None
    own = model.linear.coef[:, 4].reshape(3, 10)
    np.testing.assert_allclose(own[:, 4], own[0, 4])  # an equal share of each backbone's score of the class
    np.testing.assert_array_equal(np.delete(own, 4, axis=1), 0)
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, atol=1e-9)
    assert (logs.argmax(axis=1) == y[TEST])[y[TEST] != 4].mean() > 0.8


def test_a_class_of_one_training_row_is_predicted_where_its_members_are_sure() -> None:
    y = np.array([0] * 6 + [1] * 6 + [2])
    folds = inner_folds(y, NAMES, 0)
    x = (np.eye(3)[y] * 6).astype(np.float32)
    scores = [score_classes(x, y, x, 3, folds) for _ in range(2)]
    logs = fit_meta(scores, y, 3, folds).log_probabilities(on_test_part(scores))
    np.testing.assert_array_equal(logs.argmax(axis=1), y)


def test_class_learnt_from_spared_rows_alone_in_an_inner_fold_breaks_nothing() -> None:
    # Class 1 has three rows. Two are tested in the first fold; the third was spared so that the fold knows the class.
    codes = np.array([0, 0, 2, 2, 1, 0, 0, 0, 1])
    groups = np.array([2, 1, 1, 0, 2, 2, 0, 0, 1])
    folds = inner_folds(codes, np.array(["ant", "bee", "cat"]), 3, groups=groups)
    x = np.random.default_rng(3).normal(size=(9, 3)).astype(np.float32)
    scores = [score_classes(x, codes, x, 3, folds, [0.1])]
    logs = fit_meta(scores, codes, 3, folds).log_probabilities(on_test_part(scores))
    assert np.isfinite(logs).all()


@pytest.mark.parametrize("learner", ["svm", "lr", "mean"])
def test_fewer_than_two_classes_met_in_every_inner_fold_are_refused(learner: str) -> None:
    y = np.array([0, 0, 0, 0, 1, 1, 1])  # the last row is tested nowhere: class 1 is tested in one fold only
    folds = [Fold(np.array([1, 3, 6]), np.array([0, 2, 4, 5])), Fold(np.array([0, 2, 4, 5, 6]), np.array([1, 3]))]
    out_of_fold = np.where(y[:, None] == [0, 1], 1, -1).astype(np.float32)
    out_of_fold[6] = np.nan
    with pytest.raises(StackError, match=r"1 of 2 classes have images in two inner folds or more"):
        fit_meta([BaseScores(1.0, out_of_fold, out_of_fold, NO_MAP)], y, 2, folds, MetaOptions(learner))


@pytest.mark.parametrize(
    "options", [MetaOptions(), MetaOptions("lr"), MetaOptions("mean"), MetaOptions(combine="average")]
)
def test_one_backbone_and_two_classes_stack(blocks: list[Matrix], y: Codes, options: MetaOptions) -> None:
    two = np.flatnonzero(y < 2)
    train, test = two[:80], two[80:]
    inner = inner_folds(y[train], NAMES[:2], 0)
    scores = [score_classes(blocks[1][train], y[train], blocks[1][test], 2, inner, [0.01])]
    logs = fit_meta(scores, y[train], 2, inner, options).log_probabilities(on_test_part(scores))
    assert (logs.argmax(axis=1) == y[test]).mean() > 0.95
    np.testing.assert_allclose(np.exp(logs).sum(axis=1), 1, atol=1e-9)
    published = predict_published([blocks[1][train]], y[train], [blocks[1][test]])
    assert published.shape == (len(test), 2)
    np.testing.assert_array_equal(published[:, 0], -published[:, 1])
    assert (published.argmax(axis=1) == y[test]).mean() > 0.95


@pytest.mark.parametrize("misspelt", [{"learner": "svn"}, {"scores": "probabilities"}, {"combine": "averge"}], ids=str)
def test_misspelt_options_are_refused_and_not_taken_for_others(
    scores: list[BaseScores], y: Codes, inner: list[Fold], misspelt: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match="did you mean"):
        fit_meta(scores, y[TRAIN], 10, inner, replace(MetaOptions(), **misspelt))  # type: ignore[arg-type]


def test_meta_c_that_is_no_positive_number_is_refused(scores: list[BaseScores], y: Codes, inner: list[Fold]) -> None:
    with pytest.raises(UsageError, match="C is 0"):
        fit_meta(scores, y[TRAIN], 10, inner, MetaOptions(c=0.0))


def test_published_decides_as_mlxtend_on_sklearn_columns(blocks: list[Matrix], y: Codes) -> None:
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
        meta_classifier=LinearSVC(random_state=0),
        use_probas=True,
        average_probas=True,
    ).fit(x[TRAIN], y[TRAIN])
    decision = predict_published([b[TRAIN] for b in blocks], y[TRAIN], [b[TEST] for b in blocks])
    expected = reference.meta_clf_.decision_function(reference.predict_meta_features(x[TEST]))
    np.testing.assert_allclose(decision, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(decision.argmax(axis=1), reference.predict(x[TEST]))
    assert (decision.argmax(axis=1) == y[TEST]).mean() > 0.7


def test_published_meta_learner_sees_the_mean_of_in_sample_probabilities(blocks: list[Matrix], y: Codes) -> None:
    base = [LogisticRegression(max_iter=10_000).fit(b[TRAIN], y[TRAIN]) for b in blocks]
    train, test = (
        np.mean([m.predict_proba(b[part]) for m, b in zip(base, blocks, strict=True)], axis=0) for part in (TRAIN, TEST)
    )
    by_hand = LinearSVC(random_state=0).fit(train, y[TRAIN]).predict(test)
    predicted = predict_published([b[TRAIN] for b in blocks], y[TRAIN], [b[TEST] for b in blocks]).argmax(axis=1)
    np.testing.assert_array_equal(predicted, by_hand)
