"""How much each backbone counts in a meta-learner: what its weights say, and what its predictions give away."""

import numpy as np
import pytest

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.meta_model import NUMBERS, MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.weight_shares import mean_shares, target_shares, weight_shares
from stackbone.stack.solvers.linear import LinearMap
from tests.made.learners import fit_meta


def test_a_weight_counts_as_much_as_it_moves_the_scores() -> None:
    x = np.array([[0, 1, 0, 0], [2, 1, 4, 0]], np.float32)  # standard deviations 1, 0, 2, 0
    linear = LinearMap(np.array([[1, -2], [9, 9], [1, 0.5], [9, 9]], np.float32), np.zeros(2, np.float32))
    found = weight_shares(linear, x, 2)
    assert found is not None
    np.testing.assert_allclose(found, [3 / 6, 3 / 6])
    assert weight_shares(linear, np.ones((2, 4), np.float32), 2) is None, "nothing moves"


def scores_of(codes: np.ndarray, noise: float, seed: int) -> BaseScores:
    scores = (np.eye(3)[codes] * 4 + noise * np.random.default_rng(seed).normal(size=(len(codes), 3))).astype(
        np.float32
    )
    return BaseScores(1.0, scores, scores[:0], LinearMap(np.zeros((1, 3), np.float32), np.zeros(3, np.float32)))


def test_the_meta_classifier_leans_on_the_backbone_that_knows() -> None:
    codes = np.arange(90) % 3
    folds = [Fold.testing(np.arange(k, 90, 4), 90) for k in range(4)]
    both = [scores_of(codes, 1.0, 0), scores_of(codes, 50.0, 1)]
    for learner in ("svm", "lr"):
        weak, strong = (fit_meta(both, codes, 3, folds, MetaOptions(learner, c=c)).shares for c in (0.1, 100.0))
        assert weak is not None
        assert strong is not None
        assert strong.sum() == pytest.approx(1.0)
        assert 0.5 < weak[0] < strong[0]  # the more the labels count, the further from equal shares
        assert strong[0] > 0.8
    assert fit_meta(both, codes, 3, folds, MetaOptions("mean")).shares is None
    assert fit_meta(both, codes, 3, folds, MetaOptions("svm", combine="average", c=1.0)).shares is None


def test_predictions_give_the_weights_of_a_regression_away() -> None:
    rng = np.random.default_rng(0)
    alone = rng.normal(size=(40, 3)) * [1.0, 2.0, 5.0] + 100
    linear = LinearMap(np.array([[0.5], [-0.25], [0.1]], np.float32), np.full(1, 3.0, np.float32))
    found = target_shares(MetaModel(NUMBERS, None, linear, 1.0).values(list(alone.T)), alone)
    moved = np.array([0.5, 0.25, 0.1]) * alone.std(axis=0)
    assert found is not None
    np.testing.assert_allclose(found, moved / moved.sum(), rtol=1e-3)


def test_too_few_rows_give_nothing_away() -> None:
    alone = np.random.default_rng(0).normal(size=(3, 3))
    assert target_shares(alone.sum(axis=1), alone) is None
    same = np.repeat(alone[:, :1], 2, axis=1)
    assert target_shares(same.sum(axis=1), same) is None


def test_folds_without_shares_are_left_out_of_the_mean() -> None:
    assert mean_shares(["a", "b"], [np.array([0.2, 0.8]), None, np.array([0.4, 0.6])]) == pytest.approx(
        {"a": 0.3, "b": 0.7}
    )
    assert mean_shares(["a"], [None]) == {}
