"""Ridge regressions of several numbers: each is what a regression of it alone would be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import regression_folds
from stackbone.stack.learners.bases.ridge import ALPHA_GRID, RidgeBase
from stackbone.stack.learners.bases.ridges import RidgesBase, score_targets
from stackbone.stack.learners.learner import BaseScores, Part
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.learners.registry import META_LEARNERS, meta_learners
from stackbone.stack.learners.targets.each_target import part_of_target
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.solvers.ridge import SideBySide
from tests.made.numbers import features_of, make_numbers

pytestmark = pytest.mark.usefixtures("one_blas_thread")

N, N_TRAIN = 90, 70
Y = make_numbers(N)
X = features_of(Y, 0, noise=2.0)
Y[:, 2] += np.random.default_rng(2).normal(0, 2, N)  # of which the features know little
TRAIN, TEST = np.arange(N_TRAIN), np.arange(N_TRAIN, N)
WEIGHTS = np.random.default_rng(1).uniform(0.5, 1.5, N_TRAIN)


def part(**changes: Any) -> Part:  # noqa: ANN401 - fields of all kinds
    inner = regression_folds(Y[TRAIN, 0], 4, 0)
    return replace(Part(0, Fold(TRAIN, TEST), Y[TRAIN], 0, inner), **changes)


@pytest.mark.parametrize("n_at_a_time", [1, 2])
@pytest.mark.parametrize("metric", [None, "mean_mae"])
def test_many_numbers_go_in_pieces(monkeypatch: pytest.MonkeyPatch, n_at_a_time: int, metric: str | None) -> None:
    asked = part(metric=None if metric is None else METRICS[metric], row_weights=WEIGHTS, sample_weights=WEIGHTS)
    whole = RidgesBase().fit([X], asked, StackOptions(), 0)
    monkeypatch.setattr("stackbone.stack.learners.bases.ridges._MOST_TRIED", N_TRAIN * len(ALPHA_GRID) * n_at_a_time)
    pieces = RidgesBase().fit([X], asked, StackOptions(), 0)
    np.testing.assert_allclose(pieces.out_of_fold, whole.out_of_fold, rtol=1e-9)
    np.testing.assert_array_equal(pieces.test, whole.test)
    assert pieces.chosen == whole.chosen


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"row_weights": WEIGHTS, "sample_weights": WEIGHTS},
        {"metric": "mean_mae"},
        {"metric": "mean_rmse", "sample_weights": WEIGHTS},
    ],
    ids=["plain", "weights", "metric", "metric with weights"],
)
def test_each_number_is_as_if_alone(changes: dict[str, object]) -> None:
    name = str(changes.get("metric", ""))
    several = part(**{**changes, **({"metric": METRICS[name]} if name else {})})
    found = RidgesBase().fit([X], several, StackOptions(), 0)
    chosen = []
    for number in range(3):
        of_one = METRICS[name.removeprefix("mean_")] if name else None
        own = replace(several, y_train=Y[TRAIN, number], metric=of_one)
        alone = RidgeBase().fit([X], own, StackOptions(), 0)
        np.testing.assert_allclose(found.out_of_fold[:, number], alone.out_of_fold, rtol=1e-9)
        np.testing.assert_allclose(found.test[:, number], alone.test, rtol=1e-9)
        np.testing.assert_allclose(found.linear.decide(X)[:, number], alone.linear.decide(X)[:, 0], rtol=1e-5)
        chosen.append(alone.chosen)
    assert len(set(chosen)) > 1
    assert found.chosen == pytest.approx(np.exp(np.log(chosen).mean()))
    assert found.out_of_fold.dtype == np.float64


def scored(several: Part) -> BaseScores:
    return score_targets(SideBySide([X], several.fold.train), several, SideBySide([X], TEST))


def test_rows_that_are_only_learnt_from_have_no_scores() -> None:
    doubled = np.concatenate([np.arange(N_TRAIN)] * 2)
    inner = [Fold(doubled[:N_TRAIN][fold.train], N_TRAIN + fold.test) for fold in part().inner]
    spread = Part(0, Fold(doubled, TEST), Y[doubled], 0, inner, fitted=np.arange(N_TRAIN))
    found, plain = (
        score_targets(SideBySide([X], each.fold.train), each, SideBySide([X], TEST)) for each in (spread, part())
    )
    assert np.isnan(found.out_of_fold[:N_TRAIN]).all()
    np.testing.assert_allclose(found.out_of_fold[N_TRAIN:], plain.out_of_fold)
    np.testing.assert_allclose(found.test, plain.test)


def test_views_count_for_their_share() -> None:
    views = np.concatenate([np.arange(N_TRAIN)] * 2)
    several = Part(
        0,
        Fold(views, TEST),
        Y[views],
        0,
        [Fold(np.concatenate([f.train, N_TRAIN + f.train]), N_TRAIN + f.test) for f in part().inner],
        weight=0.5,
    )
    found, plain = (
        score_targets(SideBySide([X], each.fold.train), each, SideBySide([X], TEST)) for each in (several, part())
    )
    np.testing.assert_allclose(found.test, plain.test, rtol=1e-9)


def backbones() -> list[BaseScores]:
    return [RidgesBase().fit([features_of(Y, seed, noise=2.0)], part(), StackOptions(), 0) for seed in (0, 1, 2)]


@pytest.mark.parametrize("learner", meta_learners("multitarget"))
@pytest.mark.parametrize("metric", [None, "mean_mae"])
def test_meta_learners_stack_each_number_by_itself(learner: str, metric: str | None) -> None:
    scores, several = backbones(), part(metric=None if metric is None else METRICS[metric])
    found = META_LEARNERS[learner].fit(scores, several, MetaOptions(learner))
    predicted = found.numbers([each.test for each in scores])
    assert predicted.shape == (N - N_TRAIN, 3)
    for number in range(3):
        own = [replace(each, out_of_fold=each.out_of_fold[:, number], test=each.test[:, number]) for each in scores]
        alone: MetaModel = META_LEARNERS[learner].fit(own, part_of_target(several, number), MetaOptions(learner))
        np.testing.assert_allclose(predicted[:, number], alone.values([each.test for each in own]), rtol=1e-5)


def test_a_number_that_one_backbone_knows_does_not_weigh_it_for_others() -> None:
    y = Y[:, [0, 2]]
    x = [
        np.column_stack([y[:, own], np.random.default_rng(own).normal(size=(N, 3))]).astype(np.float32)
        for own in (0, 1)
    ]
    several = replace(part(), y_train=y[TRAIN])
    scores = [RidgesBase().fit([each], several, StackOptions(), 0) for each in x]
    found = META_LEARNERS["ridge"].fit(scores, several, MetaOptions("ridge"))
    assert found.linear is not None
    weights = found.linear.coef.reshape(2, 2, 2)
    assert (weights[:, 0, 1] == 0).all()
    assert (weights[:, 1, 0] == 0).all()
    assert weights[0, 0, 0] > 10 * abs(weights[1, 0, 0])
    assert weights[1, 1, 1] > 10 * abs(weights[0, 1, 1])
