"""Several views of an image are several rows of one place, count as one image, and are tested by their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from stackbone.stack import Evaluation, Fold, MetaOptions, StackOptions, evaluate, stratified_folds
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.viewed import run_fit, spread
from stackbone.stack.folds.folds import regression_folds
from stackbone.stack.folds.per_fold import Features, Viewed, mean_of_views
from stackbone.stack.learners.learner import BaseLearner, BaseOutcome, BaseScores, Part
from stackbone.stack.learners.registry import BASE_LEARNERS
from stackbone.stack.metrics.model_scores import Prediction
from tests.made.references import ModeratedScaler

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, DIM = 90, 6
Y = np.array(["cat", "dog", "emu"])[np.arange(N) % 3]
CODES = np.arange(N) % 3
FIXED = StackOptions(c=0.1, inner_splits=3, meta=MetaOptions(c=1.0))
CHOSEN = StackOptions(inner_splits=3, meta=MetaOptions(c=1.0))


def made(seed: int, n_views: int) -> list[NDArray[np.float32]]:
    """Return views of each image that differ, and tell classes apart with errors."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(3, DIM))[CODES] + rng.normal(size=(N, DIM))
    return [(image + rng.normal(size=(N, DIM))).astype(np.float32) for _ in range(n_views)]


def viewed(train: Sequence[NDArray[np.float32]], test: Sequence[NDArray[np.float32]], *ids: str) -> Viewed:
    return Viewed(np.stack([*train, mean_of_views(test)]), ids)


def part(fold: Fold, inner: Sequence[Fold], y: NDArray[Any] = CODES, n_classes: int = 3) -> Part:
    return Part(0, fold, y[fold.train], n_classes, list(inner))


FOLD = stratified_folds(Y, 3, 0)[0]
INNER = stratified_folds(Y[FOLD.train], 3, 1)


# Each image counts once


@pytest.mark.usefixtures("exact_solver")
@pytest.mark.parametrize("options", [FIXED, CHOSEN], ids=["fixed C", "chosen C"])
def test_equal_views_give_what_one_gives(options: StackOptions) -> None:
    blocks = {name: made(seed, 1)[0] for seed, name in enumerate("ab")}
    folds = stratified_folds(Y, 2, 0)
    recipes = ("oof", "published") if options is FIXED else ("oof",)
    plain = evaluate(blocks, Y, folds, options=options, recipes=recipes, n_jobs=1)
    several: dict[str, Features] = {name: viewed([x, x, x], [x, x]) for name, x in blocks.items()}
    found = evaluate(several, Y, folds, options=options, recipes=recipes, n_jobs=1)
    assert found.chosen == plain.chosen
    assert set(found.predictions) == set(plain.predictions)
    for model, predictions in plain.predictions.items():
        for one, other in zip(found.predictions[model], predictions, strict=True):
            np.testing.assert_allclose(one.scores, other.scores, atol=2e-3, err_msg=model)


def test_equal_views_give_the_same_regression() -> None:
    y = made(0, 1)[0].sum(axis=1).astype(np.float64)
    x, folds = made(1, 1)[0] + y[:, None].astype(np.float32), regression_folds(made(0, 1)[0].sum(axis=1), 2, 0)
    plain = evaluate({"a": x}, y, folds, task="regression", n_jobs=1)
    found = evaluate({"a": viewed([x, x], [x])}, y, folds, task="regression", n_jobs=1)
    assert found.chosen == plain.chosen
    for one, other in zip(found.predictions["ridge:a"], plain.predictions["ridge:a"], strict=True):
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-6)


@pytest.mark.usefixtures("exact_solver")
def test_a_logistic_regression_is_that_of_weighted_rows() -> None:
    views, test = made(0, 3), made(5, 2)
    found = run_fit(BASE_LEARNERS["lr"], [viewed(views, test)], part(FOLD, INNER), FIXED, 0)
    assert isinstance(found, BaseScores)

    def fitted(rows: NDArray[np.int64], tested: NDArray[np.int64]) -> NDArray[np.float64]:
        images = np.concatenate([view[rows] for view in views]).astype(np.float64)
        scaler = ModeratedScaler().fit(images[: len(rows)])
        mean, variance = images.mean(axis=0), images.var(axis=0)
        scale = np.sqrt((len(rows) * variance + 50 * np.median(variance)) / (len(rows) + 50))
        scaler.mean_, scaler.scale_ = mean, scale
        lr = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000)
        lr.fit(scaler.transform(images), np.tile(CODES[rows], 3), sample_weight=np.full(len(images), 1 / 3))
        tested_rows = np.mean([view[tested] for view in test], axis=0)
        decided: NDArray[np.float64] = lr.decision_function(scaler.transform(tested_rows))
        return decided

    np.testing.assert_allclose(found.test, fitted(FOLD.train, FOLD.test), atol=1e-3)
    for fold in INNER:
        expected = fitted(FOLD.train[fold.train], FOLD.train[fold.test])
        np.testing.assert_allclose(found.out_of_fold[fold.test], expected, atol=1e-3)
    assert found.out_of_fold.shape == (len(FOLD.train), 3)


@pytest.mark.usefixtures("exact_solver")
def test_an_svm_is_that_of_weighted_rows() -> None:
    views, test = made(0, 2), made(5, 3)
    found = run_fit(BASE_LEARNERS["svm"], [viewed(views, test)], part(FOLD, INNER), FIXED, 0)
    assert isinstance(found, Prediction)
    images = np.concatenate([view[FOLD.train] for view in views]).astype(np.float64)
    length = np.sqrt(np.square(images).sum(axis=1).mean())
    svm = LinearSVC(C=1, tol=1e-10, max_iter=100_000)
    svm.fit(images / length, np.tile(CODES[FOLD.train], 2), sample_weight=np.full(len(images), 0.5))
    tested = np.mean([view[FOLD.test] for view in test], axis=0)
    np.testing.assert_allclose(found.scores, svm.decision_function(tested / length), atol=2e-3)


def test_a_ridge_is_that_of_weighted_rows() -> None:
    views, test = made(0, 3), made(5, 1)
    y = (views[0].sum(axis=1) + CODES).astype(np.float64)
    found = run_fit(BASE_LEARNERS["ridge"], [viewed(views, test)], part(FOLD, INNER, y, 0), FIXED, 0)
    assert isinstance(found, BaseScores)
    images = np.concatenate([view[FOLD.train] for view in views]).astype(np.float64)
    variance, n = images.var(axis=0), len(FOLD.train)
    scale = np.sqrt((n * variance + 50 * np.median(variance)) / (n + 50))
    ridge = Ridge(found.chosen).fit(images / scale, np.tile(y[FOLD.train], 3), sample_weight=np.full(3 * n, 1 / 3))
    np.testing.assert_allclose(found.test, ridge.predict(test[0][FOLD.test] / scale), rtol=1e-5)
    assert np.isfinite(found.out_of_fold).all()
    assert found.out_of_fold.shape == (n,)


# What is tested is the mean


@pytest.mark.parametrize("n_tested", [1, 2, 5])
def test_the_mean_of_views_is_the_mean_of_their_decisions(n_tested: int) -> None:
    views, test = made(0, 2), made(7, n_tested)
    found = run_fit(BASE_LEARNERS["lr"], [viewed(views, test)], part(FOLD, INNER), FIXED, 0)
    assert isinstance(found, BaseScores)
    by_hand = np.mean([found.linear.decide(view[FOLD.test]) for view in test], axis=0)
    np.testing.assert_allclose(found.test, by_hand, atol=1e-5)


@pytest.mark.usefixtures("exact_solver")
def test_out_of_fold_scores_are_of_the_mean_too() -> None:
    views, test = made(0, 2), made(7, 3)
    found = run_fit(BASE_LEARNERS["lr"], [viewed(views, test)], part(FOLD, INNER), FIXED, 0)
    assert isinstance(found, BaseScores)
    for fold in INNER:
        own = Fold(FOLD.train[fold.train], FOLD.train[fold.test])
        alone = run_fit(BASE_LEARNERS["lr"], [viewed(views, test)], part(own, inner_of(own)), FIXED, 0)
        assert isinstance(alone, BaseScores)
        np.testing.assert_allclose(found.out_of_fold[fold.test], alone.test, atol=2e-3)


def inner_of(fold: Fold) -> list[Fold]:
    return stratified_folds(Y[fold.train], 2, 3)


# No image on two sides


class Watching(BaseLearner):
    """A learner that notes which rows it is given for what."""

    name, task, what = "watching", "classification", "{name}"

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def settings(self, options: StackOptions, seed: int) -> dict[str, object]:
        return {"name": self.name}

    def fit(self, features: Sequence[NDArray[np.float32]], part: Part, options: StackOptions, seed: int) -> BaseOutcome:
        self.parts.append(part)
        return Prediction(np.zeros((len(part.fold.test), part.n_classes)), probability=False)


@pytest.mark.parametrize("n_views", [1, 2, 5])
def test_the_rows_of_an_image_are_on_one_side_of_every_fold(n_views: int) -> None:
    learner = Watching()
    for fold in stratified_folds(Y, 3, 0):
        inner = stratified_folds(Y[fold.train], 4, 0)
        views = made(0, n_views)
        run_fit(learner, [viewed(views, views)], part(fold, inner), FIXED, 0)
        given = learner.parts[-1]
        image_of = given.fold.train % N
        assert not set(image_of) & set(given.fold.test % N)
        assert sorted(given.fold.test % N) == sorted(fold.test)
        for images in fold.train:
            assert (given.fitted_rows % N == images).sum() == n_views
        np.testing.assert_array_equal(CODES[image_of], given.y_train)
        np.testing.assert_array_equal(CODES[given.fitted_rows % N], given.y_fitted)
        assert given.weight == pytest.approx(1 / n_views)
        for own in given.inner:
            assert not set(image_of[own.train]) & set(image_of[own.test])
            assert (given.fold.train[own.test] // N == n_views).all()  # the mean alone is tested
            assert (given.fold.train[own.train] // N < n_views).all()  # and never learnt from
        assert sorted(image_of[np.concatenate([own.test for own in given.inner])]) == sorted(fold.train)


def test_features_of_one_view_pass_as_they_are() -> None:
    x = made(0, 1)[0]
    own = part(FOLD, INNER)
    rows, same = spread([x], own)
    assert rows[0] is x
    assert same is own


@pytest.mark.parametrize("positions", [np.arange(N), np.arange(N)[::-3], np.array([4, 4, 2])])
def test_no_fit_copies_the_views_of_some_images(positions: NDArray[np.int64]) -> None:
    block = viewed(made(0, 3), made(1, 2)).take(positions)
    (rows,), _ = spread([block], part(Fold(np.array([0]), np.array([1])), []))
    assert np.shares_memory(rows, block.values)
    np.testing.assert_array_equal(rows[: len(positions)], made(0, 3)[0][positions])


def test_backbones_of_other_views_are_no_one_fit() -> None:
    views = made(0, 3)
    two, three = viewed(views[:2], views), viewed(views, views)
    for other in (three, views[0]):
        with pytest.raises(ValueError, match="the same views"):
            spread([two, other], part(FOLD, INNER))


# Kept scores


def run(folder: Path, blocks: dict[str, Features]) -> Evaluation:
    ids = dict.fromkeys(blocks, "plain-id")
    cache = ScoreCache(folder, blocks, dataset="photos", feature_sets=ids)
    return evaluate(blocks, Y, stratified_folds(Y, 2, 0), options=FIXED, recipes=["mean"], n_jobs=1, cache=cache)


def test_kept_scores_of_other_views_are_not_mixed_up(tmp_path: Path) -> None:
    one, other, third = made(0, 3)
    cases: list[dict[str, Features]] = [
        {"a": one},
        {"a": viewed([one], [one, other], "x", "y")},
        {"a": viewed([one, other], [one], "x", "y")},
        {"a": viewed([one, other], [other], "x", "y")},
        {"a": viewed([other, one], [one], "x", "y")},
        {"a": viewed([one, other], [one, other], "x", "y")},
        {"a": viewed([one, other, third], [one, other], "x", "y", "z")},
    ]
    first = [run(tmp_path, blocks) for blocks in cases]
    assert [each.n_from_cache for each in first] == [0] * len(cases)
    for blocks, before in zip(cases, first, strict=True):
        again = run(tmp_path, blocks)
        assert again.n_from_cache == 2 * 2  # lr and svm on two folds
        assert again.results == before.results
        fresh = evaluate(blocks, Y, stratified_folds(Y, 2, 0), options=FIXED, recipes=["mean"], n_jobs=1)
        assert fresh.results == before.results


def test_what_is_kept_hangs_on_the_feature_sets_of_all_views(tmp_path: Path) -> None:
    from stackbone.cache.records.scores import remove_scores

    views = made(0, 2)
    run(tmp_path, {"a": viewed(views, views, "mirrored-id")})
    kept = len(list(tmp_path.iterdir()))
    assert remove_scores(tmp_path, feature_sets=["another-id"]) == 0
    assert remove_scores(tmp_path, feature_sets=["mirrored-id"]) == kept > 0
