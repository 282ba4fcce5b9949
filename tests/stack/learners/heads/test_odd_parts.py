"""Heads on parts of few rows, of rows that say nothing, of weighted rows and of several views."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack.evaluation.viewed import run_fit
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.folds.per_fold import Viewed
from stackbone.stack.learners.bases.knn import NEIGHBOURS, NearestNeighbours
from stackbone.stack.learners.bases.lda import RATIOS, learn_gaussians
from stackbone.stack.learners.heads.head import Head, choose_strength
from stackbone.stack.learners.heads.scatter import ClassMoments
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.registry import BASE_LEARNERS
from stackbone.stack.solvers.ridge import SideBySide

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Digits = tuple[NDArray[np.float32], NDArray[np.int64]]
HEADS = ("lda", "knn", "prototype", "ridge_classifier")
NAMES = np.array(list("0123456789"))


def head(name: str) -> Head:
    found = BASE_LEARNERS[name]
    assert isinstance(found, Head)
    return found


def part_of(y: NDArray[np.int64], n_train: int) -> Part:
    train = np.arange(n_train)
    inner = inner_folds(y[train], NAMES[: y.max() + 1], 0, n_splits=3)
    return Part(0, Fold(train, np.arange(n_train, len(y))), y[train], int(y.max()) + 1, inner)


def fit(name: str, features: NDArray[np.float32] | Viewed, part: Part) -> BaseScores:
    found = run_fit(head(name), [features], part, StackOptions(), 0)
    assert isinstance(found, BaseScores)
    return found


def far_apart(y: NDArray[np.int64], dim: int = 12) -> NDArray[np.float32]:
    """Return features that tell every class without an error."""
    rng = np.random.default_rng(0)
    return (20 * np.eye(dim)[y] + rng.normal(size=(len(y), dim))).astype(np.float32)


# Nothing is left about the classes' means


@pytest.mark.parametrize("dim", [3, 8, 200])
@pytest.mark.parametrize("copies", [1, 3])
def test_rounding_about_means_of_equal_rows_is_taken_for_nothing(dim: int, copies: int) -> None:
    means = np.random.default_rng(dim).normal(size=(6, dim)).astype(np.float32)
    x, y = np.repeat(means, copies, axis=0), np.repeat(np.arange(6), copies)
    learnt = learn_gaussians(ClassMoments.of(SideBySide.whole(x), y, np.ones(len(y)), 6))
    assert set(learnt.strengths) == {1.0}
    decisions = learnt.decide(SideBySide.whole(x))
    assert np.isfinite(decisions).all()
    assert np.abs(decisions).max() < 1e9
    np.testing.assert_array_equal(decisions.argmax(axis=2), np.tile(y, (len(RATIOS), 1)))


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("value", [0.0, 1.0, -3.7])
def test_columns_that_never_vary_give_the_classes_shares(name: str, value: float) -> None:
    y = np.arange(60) % 3
    found = fit(name, np.full((60, 5), value, np.float32), part_of(y, 45))
    assert np.isfinite(found.test).all()
    np.testing.assert_allclose(found.test - found.test[:, :1], 0, atol=1e-5)
    if name == "lda":
        assert found.chosen == 1


@pytest.mark.parametrize("total", [0.1, 1.0, 2.0, 40.0])
def test_a_ridge_is_above_0_whatever_rows_count_for(total: float) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 3
    learnt = learn_gaussians(ClassMoments.of(SideBySide.whole(x), y, np.full(40, total / 40), 3))
    shares = np.array(learnt.strengths)
    assert ((shares > 0) & (shares < 1)).all()
    assert (np.diff(shares) < 0).all()
    assert np.isfinite(learnt.decide(SideBySide.whole(x))).all()


# Few images


@pytest.mark.parametrize("name", HEADS)
def test_without_inner_folds_the_strongest_is_taken_as_it_is(name: str) -> None:
    y = np.arange(40) % 4
    x = far_apart(y)
    found = fit(name, x, Part(0, Fold(np.arange(4), np.arange(4, 40)), y[:4], 4, []))
    assert np.isnan(found.out_of_fold).all()
    assert found.out_of_fold.shape == (4, 4)
    np.testing.assert_array_equal(found.test.argmax(axis=1), y[4:])
    learnt = head(name).learn(SideBySide([x], np.arange(4)), y[:4], np.ones(4), 4)
    first = learnt.decide(SideBySide([x], np.arange(4, 40)))[0]
    np.testing.assert_allclose(found.test, first, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [2, 7, 60])
def test_no_more_neighbours_vote_than_there_are_images(n: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 4)).astype(np.float32), np.arange(n) % 2
    learnt = NearestNeighbours().learn(SideBySide.whole(x), y, np.ones(n), 2)
    assert list(learnt.strengths) == [min(k, n) for k in NEIGHBOURS]
    viewed = NearestNeighbours().learn(
        SideBySide.whole(np.repeat(x, 3, axis=0)), y.repeat(3), np.full(3 * n, 1 / 3), 2, 3
    )
    assert viewed.strengths == learnt.strengths
    asked = SideBySide.whole(rng.normal(size=(20, 4)).astype(np.float32))
    np.testing.assert_allclose(viewed.decide(asked), learnt.decide(asked), atol=1e-4)


# Weights of rows


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_one_neighbour_is_one_whatever_images_count_for(weight: float) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3
    learnt = NearestNeighbours().learn(SideBySide.whole(x), y, np.full(30, weight), 3)
    asked = rng.normal(size=(50, 5)).astype(np.float32)
    cosines = (asked / np.linalg.norm(asked, axis=1, keepdims=True)) @ learnt.rows.T
    found = learnt.decide(SideBySide.whole(asked))[-1]
    np.testing.assert_array_equal(found.argmax(axis=1), y[cosines.argmax(axis=1)])


@pytest.mark.parametrize("name", HEADS)
def test_the_strength_is_chosen_and_calibrated_by_what_images_count_for(digits: Digits, name: str) -> None:
    x, y = digits[0][:200], digits[1][:200] % 3
    part = part_of(y, 150)
    weights = 1 + 3.0 * (part.y_train == 0)
    weights /= weights.mean()
    found = fit(name, x, replace(part, row_weights=weights))
    said = [
        head(name)
        .learn(SideBySide([x], fold.train), y[fold.train], weights[fold.train], 3)
        .decide(SideBySide([x], fold.test))
        for fold in part.inner
    ]
    tested = np.concatenate([fold.test for fold in part.inner])
    best = choose_strength(np.concatenate(said, axis=1), y[tested], weights[tested])
    for fold, each in zip(part.inner, said, strict=True):
        np.testing.assert_array_equal(found.out_of_fold[fold.test], each[best.number] * best.scale)


# Several views


@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
@pytest.mark.parametrize("name", HEADS)
def test_equal_views_of_what_is_told_without_an_error_give_what_one_gives(name: str, *, weighted: bool) -> None:
    """Where no row is wrong, the factor that calibrates goes by how many images there were: see `fit_scale`."""
    y = np.arange(120) % 4
    x, part = far_apart(y), part_of(y, 90)
    if weighted:
        weights = 1 + (np.arange(90) % 5).astype(np.float64)
        part = replace(part, row_weights=weights / weights.mean())
    one = fit(name, x, part)
    several = fit(name, Viewed(np.stack([x] * 5), ("a", "b", "c", "d")), part)
    assert several.chosen == pytest.approx(one.chosen, rel=1e-3)
    np.testing.assert_allclose(several.out_of_fold, one.out_of_fold, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(several.test, one.test, rtol=2e-3, atol=2e-3)


def test_decisions_of_one_strength_are_looked_at_at_a_time() -> None:
    y = np.arange(30) % 3
    rng = np.random.default_rng(0)
    alive: list[float] = []

    def decisions() -> Iterator[NDArray[np.float32]]:
        for noise in (3.0, 0.1, 3.0):
            alive.append(noise)
            yield (np.eye(3)[y] + noise * rng.normal(size=(30, 3))).astype(np.float32)

    assert choose_strength(decisions(), y, np.ones(30)).number == 1
    assert alive == [3.0, 0.1, 3.0]
