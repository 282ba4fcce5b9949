"""Heads equal plain references, give honest calibrated scores out of fold, and take odd rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.special import log_softmax, softmax
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

from stackbone.stack.evaluation.viewed import run_fit
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.folds.per_fold import Viewed
from stackbone.stack.learners.bases.knn import TEMPERATURE, NearestNeighbours, Neighbours
from stackbone.stack.learners.bases.lda import learn_gaussians
from stackbone.stack.learners.bases.prototype import NearestPrototype
from stackbone.stack.learners.bases.ridge_classifier import learn_indicators
from stackbone.stack.learners.heads.head import Head, choose_strength, unit_length
from stackbone.stack.learners.heads.scatter import ClassMoments
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.registry import BASE_LEARNERS
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.metrics.temperature import fit_scale
from stackbone.stack.solvers.ridge import SideBySide
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Doubles = NDArray[np.float64]
Digits = tuple[NDArray[np.float32], NDArray[np.int64]]
HEADS = ("lda", "knn", "prototype", "ridge_classifier")
NAMES = np.array(list("0123456789"))


def moments_of(x: NDArray[Any], y: NDArray[np.int64], weights: Doubles | None = None) -> ClassMoments:
    return ClassMoments.of(SideBySide.whole(x), y, np.ones(len(y)) if weights is None else weights, int(y.max()) + 1)


def decide(learnt: Any, x: NDArray[Any]) -> NDArray[np.float32]:  # noqa: ANN401 - a head that learnt
    found: NDArray[np.float32] = learnt.decide(SideBySide.whole(x))
    return found


def head(name: str) -> Head:
    found = BASE_LEARNERS[name]
    assert isinstance(found, Head)
    return found


def part_of(y: NDArray[np.int64], n_train: int, groups: NDArray[np.int64] | None = None) -> Part:
    train = np.arange(n_train)
    inner = inner_folds(y[train], NAMES[: y.max() + 1], 0, groups=groups, n_splits=3)
    return Part(0, Fold(train, np.arange(n_train, len(y))), y[train], int(y.max()) + 1, inner)


# Linear discriminants

# Of the digits 150 rows have more rows than columns, 40 have fewer.
SIZES = (150, 40)


@pytest.mark.parametrize("n", SIZES)
def test_discriminants_are_those_of_scikit_learn(digits: Digits, n: int) -> None:
    x, y = digits[0][:n], digits[1][:n] % 3
    learnt = learn_gaussians(moments_of(x, y))
    scaler = ModeratedScaler().fit(x.astype(np.float64))
    new = digits[0][200:300]
    for number, shrinkage in enumerate(learnt.strengths):
        plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
        # scikit-learn counts columns that do not vary in the share that is shrunk to
        varying = np.ptp(x, axis=0) > 0
        plain.fit(scaler.transform(x.astype(np.float64))[:, varying], y)
        expected = plain.predict_proba(scaler.transform(new.astype(np.float64))[:, varying])
        found = softmax(decide(learnt, new)[number].astype(np.float64), axis=1)
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("n", SIZES)
def test_ratio_1_is_the_precision_matrix_of_the_paper_but_for_a_factor(digits: Digits, n: int) -> None:
    x, y = digits[0][:n].astype(np.float64), digits[1][:n] % 3
    z = ModeratedScaler().fit_transform(x)
    means = np.stack([z[y == code].mean(axis=0) for code in range(3)])
    covariance = np.cov((z - means[y]).T)
    dim = z.shape[1]
    precision = dim * np.linalg.pinv((n - 1) * covariance + np.trace(covariance) * np.eye(dim))
    learnt = learn_gaussians(moments_of(x, y), (1.0,))
    ours = (learnt.coef[:, 0] * np.where(x.std(axis=0) > 0, ModeratedScaler().fit(x).scale_, 0)[:, None]).T
    theirs = (means - z.mean(axis=0)) @ precision
    np.testing.assert_allclose(ours / np.abs(ours).max(), theirs / np.abs(theirs).max(), atol=1e-9)


def test_one_row_a_class_leaves_the_nearest_mean(digits: Digits) -> None:
    rows = np.array([np.flatnonzero(digits[1] == code)[0] for code in range(10)])
    x, new = digits[0][rows], digits[0][500:700]
    learnt = learn_gaussians(moments_of(x, np.arange(10)))
    assert set(learnt.strengths) == {1.0}
    scaler = ModeratedScaler().fit(x.astype(np.float64))
    distances = cdist(scaler.transform(new.astype(np.float64)), scaler.transform(x.astype(np.float64)))
    expected = distances.argmin(axis=1)
    np.testing.assert_array_equal(decide(learnt, new)[0].argmax(axis=1), expected)


# Ridge regression of indicators


@pytest.mark.parametrize("n", SIZES)
def test_indicators_are_fitted_as_by_scikit_learn(digits: Digits, n: int) -> None:
    x, y, new = digits[0][:n].astype(np.float64), digits[1][:n] % 4, digits[0][200:300]
    learnt = learn_indicators(moments_of(x, y), (1000.0, 10.0, 0.1))
    scaler = ModeratedScaler().fit(x)
    for number, alpha in enumerate(learnt.strengths):
        plain = Ridge(alpha).fit(scaler.transform(x), np.eye(4)[y])
        expected = plain.predict(scaler.transform(new.astype(np.float64)))
        np.testing.assert_allclose(decide(learnt, new)[number], expected, atol=1e-4)
        classifier = RidgeClassifier(alpha).fit(scaler.transform(x), y)
        expected = classifier.predict(scaler.transform(new.astype(np.float64)))
        np.testing.assert_array_equal(decide(learnt, new)[number].argmax(axis=1), expected)


# Neighbours and prototypes


@pytest.mark.parametrize("k", [1, 5, 60])
def test_votes_are_those_of_scikit_learn(digits: Digits, k: int) -> None:
    x, y, new = digits[0][:60], digits[1][:60], digits[0][100:200]
    plain = KNeighborsClassifier(k, metric="cosine", weights=lambda distance: np.exp((1 - distance) / TEMPERATURE))
    plain.fit(x.astype(np.float64), y)
    votes = plain.predict_proba(new.astype(np.float64))
    shares = np.bincount(y) / len(y)
    neighbours = Neighbours(unit_length(x.astype(np.float64)).astype(np.float32), y, np.ones(60), shares, (k,))
    np.testing.assert_allclose(np.exp(decide(neighbours, new)[0]), (k * votes + shares) / (k + 1), atol=1e-5)


def test_more_neighbours_than_rows_are_all_rows(digits: Digits) -> None:
    x, y = digits[0][:30], digits[1][:30] % 3
    learnt = NearestNeighbours().learn(SideBySide.whole(x), y, np.ones(30), 3)
    found = decide(learnt, digits[0][40:60])
    assert found.shape == (7, 20, 3)
    assert np.isfinite(found).all()
    every = Neighbours(learnt.rows, y, np.ones(30), learnt.shares, (30,))
    np.testing.assert_array_equal(found[0].argmax(axis=1), decide(every, digits[0][40:60])[0].argmax(axis=1))


def test_a_row_of_zeros_is_like_no_other(digits: Digits) -> None:
    x, y = digits[0][:30].copy(), digits[1][:30] % 3
    x[4] = 0
    nothing = np.zeros((1, 64), np.float32)
    for name in ("knn", "prototype"):
        learnt = head(name).learn(SideBySide.whole(x), y, np.ones(30), 3)
        assert np.isfinite(decide(learnt, np.vstack([nothing, x]))).all()


def test_prototypes_are_nearest_means_of_centred_unit_vectors(digits: Digits) -> None:
    x, y, new = digits[0][:200].astype(np.float64), digits[1][:200], digits[0][200:400].astype(np.float64)
    learnt = NearestPrototype().learn(SideBySide.whole(x), y, np.ones(200), 10)
    centred, asked = unit_length(x - x.mean(axis=0)), unit_length(new - x.mean(axis=0))
    means = unit_length(np.stack([centred[y == code].mean(axis=0) for code in range(10)]))
    np.testing.assert_allclose(decide(learnt, new)[0], asked @ means.T, atol=1e-6)
    np.testing.assert_array_equal(decide(learnt, new)[0].argmax(axis=1), cdist(asked, means).argmin(axis=1))


# What all of them do


@pytest.mark.parametrize("name", HEADS)
def test_a_row_that_counts_twice_is_two_rows(digits: Digits, name: str) -> None:
    x, y, new = digits[0][:90], digits[1][:90] % 3, digits[0][200:260]
    twice = np.concatenate([np.arange(90), np.arange(0, 90, 2)])
    weights = 1.0 + (np.arange(90) % 2 == 0)
    counted = head(name).learn(SideBySide.whole(x), y, weights, 3)
    repeated = head(name).learn(SideBySide.whole(x[twice]), y[twice], np.ones(len(twice)), 3)
    found, expected = decide(counted, new), decide(repeated, new)
    if name == "knn":  # whose k nearest images are others where some are there twice: all of them vote alike
        found, expected = found[:1], expected[:1]
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("name", HEADS)
def test_scores_are_out_of_fold_calibrated_and_good(digits: Digits, name: str) -> None:
    x, y = digits[0][:500], digits[1][:500]
    part = part_of(y, 350)
    found = head(name).fit([x[:, :30], x[:, 30:]], part, StackOptions(), 0)
    assert found.out_of_fold.shape == (350, 10)
    assert found.test.shape == (150, 10)
    assert found.out_of_fold.dtype == found.test.dtype == np.float32
    assert np.isfinite(found.out_of_fold).all()
    assert found.chosen > 0
    assert fit_scale(found.out_of_fold, part.y_train) == pytest.approx(1, rel=1e-3)
    for scores, codes in ((found.out_of_fold, y[:350]), (found.test, y[350:])):
        assert (scores.argmax(axis=1) == codes).mean() > 0.8
        logs = log_softmax(scores.astype(np.float64), axis=1)[np.arange(len(codes)), codes]
        assert -logs.mean() < 0.6 < np.log(10)
    if found.linear_map is not None:
        np.testing.assert_array_equal(found.linear_map.decide(x[350:]), found.test)
    assert (found.linear_map is None) == (name in ("knn", "prototype")) == (not head(name).can_be_saved)


@pytest.mark.parametrize("name", HEADS)
def test_no_row_has_a_say_in_its_own_score(digits: Digits, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the one strength and the one factor of all rows, which are held still here."""
    fixed = choose_strength(np.zeros((1, 2, 2), np.float32), np.array([0, 1]), np.ones(2))
    monkeypatch.setattr("stackbone.stack.learners.heads.head.choose_strength", lambda *_: fixed)
    x, y = digits[0][:200], digits[1][:200] % 5
    part = part_of(y, 150)
    plain = head(name).fit([x], part, StackOptions(), 0)
    tested = part.inner[1].test
    wrong = part.y_train.copy()
    wrong[tested] = (wrong[tested] + 1) % 5
    other = head(name).fit([x], Part(0, part.fold, wrong, 5, part.inner), StackOptions(), 0)
    np.testing.assert_array_equal(plain.out_of_fold[tested], other.out_of_fold[tested])
    assert np.abs(plain.out_of_fold[part.inner[0].test] - other.out_of_fold[part.inner[0].test]).max() > 0


@pytest.mark.parametrize("name", HEADS)
def test_equal_views_give_what_one_gives(digits: Digits, name: str) -> None:
    x, y = digits[0][:200], digits[1][:200] % 5
    part = part_of(y, 150)
    one = run_fit(head(name), [x], part, StackOptions(), 0)
    three = run_fit(head(name), [Viewed(np.stack([x, x, x, x]), ("a", "b", "c"))], part, StackOptions(), 0)
    assert isinstance(one, BaseScores)
    assert isinstance(three, BaseScores)
    assert three.chosen == pytest.approx(one.chosen)
    np.testing.assert_allclose(three.out_of_fold, one.out_of_fold, atol=2e-3)
    np.testing.assert_allclose(three.test, one.test, atol=2e-3)


@pytest.mark.parametrize("name", HEADS)
def test_odd_features_do_no_harm(digits: Digits, name: str) -> None:
    """Constant columns, columns far from zero, huge and tiny units, fewer rows than columns."""
    x, y = digits[0][:60].astype(np.float64), digits[1][:60] % 2
    part = part_of(y, 40)
    odd = [np.hstack([x, np.ones((60, 3))]), 1000 + x, x * 1e6, x * 1e-6]
    for each in odd:
        found = head(name).fit([each.astype(np.float32)], part, StackOptions(), 0)
        assert np.isfinite(found.test).all()
        assert (found.test.argmax(axis=1) == y[40:]).mean() > 0.6


@pytest.mark.parametrize("name", HEADS)
def test_rows_that_no_inner_fold_tests_have_no_scores(digits: Digits, name: str) -> None:
    x, y = digits[0][:120], digits[1][:120] % 2
    part = part_of(y, 90)
    kept = [Fold(fold.train, fold.test[1:]) for fold in part.inner]
    found = head(name).fit([x], Part(0, part.fold, part.y_train, 2, kept), StackOptions(), 0)
    left = [fold.test[0] for fold in part.inner]
    assert np.isnan(found.out_of_fold[left]).all()
    assert np.isfinite(np.delete(found.out_of_fold, left, axis=0)).all()


def test_the_first_of_equal_strengths_is_chosen() -> None:
    decisions = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    y = (decisions + np.random.default_rng(1).normal(size=(50, 3))).argmax(axis=1)
    assert choose_strength(np.stack([decisions, decisions]), y, np.ones(50)).number == 0
    assert choose_strength(np.stack([-decisions, decisions, decisions]), y, np.ones(50)).number == 1
    weights = np.ones(50)
    assert choose_strength(decisions[None], y, weights).scale == np.float32(fit_scale(decisions, y))


@pytest.mark.parametrize("name", HEADS)
def test_weights_of_rows_reach_every_fit(digits: Digits, name: str) -> None:
    x, y = digits[0][:200], digits[1][:200] % 3
    part = part_of(y, 150)
    weights = 1 + 3.0 * (part.y_train == 0)
    weights /= weights.mean()
    found = head(name).fit([x], replace(part, row_weights=weights), StackOptions(), 0)
    plain = head(name).fit([x], part, StackOptions(), 0)
    if name != "prototype":  # whose classes' means know no prior
        assert (found.test.argmax(axis=1) == 0).sum() >= (plain.test.argmax(axis=1) == 0).sum()
    assert np.abs(found.test - plain.test).max() > 0
    alike = head(name).fit([x], replace(part, row_weights=np.ones(150)), StackOptions(), 0)
    np.testing.assert_array_equal(alike.test, plain.test)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "log_loss"])
def test_a_metric_chooses_the_strength(digits: Digits, metric: str) -> None:
    x, y = digits[0][:260], digits[1][:260]
    part = replace(part_of(y, 200), metric=METRICS[metric])
    found = head("knn").fit([x], part, StackOptions(), 0)
    rows = np.arange(200)

    def loss(scores: NDArray[np.float32]) -> float:
        return part.loss(log_softmax(scores.astype(np.float64), axis=1), rows, probability=True)

    plain = head("knn").fit([x], replace(part, metric=None), StackOptions(), 0)
    assert loss(found.out_of_fold) <= loss(plain.out_of_fold) + 1e-6
