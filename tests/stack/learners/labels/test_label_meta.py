"""A label's meta-learner minimises what it says it does, and stays at the mean where there is little to learn."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.labels.label_meta import fit_label_mean, fit_labels, log_presence, mean_log_odds
from stackbone.stack.learners.labels.near_prior import fit_near
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.solvers.linear import LinearMap
from tests.made.learners import whole
from tests.made.multilabel import make_presence

NOTHING = LinearMap(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))


def scores_of(presence: NDArray[np.int8], noises: tuple[float, ...], seed: int = 0) -> list[BaseScores]:
    """Return what backbones of these noises say of each label: logits that point the right way."""
    rng = np.random.default_rng(seed)
    told = [(2.0 * presence - 1 + noise * rng.normal(size=presence.shape)).astype(np.float32) for noise in noises]
    return [BaseScores(1.0, each, each, NOTHING) for each in told]


def thirds(n: int) -> list[Fold]:
    return [Fold.testing(np.arange(i, n, 3), n) for i in range(3)]


@pytest.mark.parametrize("c", [1e-3, 1.0, 100.0])
def test_the_objective_is_at_its_minimum(c: float) -> None:
    rng = np.random.default_rng(0)
    x, has = rng.normal(size=(50, 3)), (rng.random(50) < 0.3).astype(np.float64)
    weights = np.stack([np.ones(50), (np.arange(50) % 2).astype(np.float64)])
    prior = np.array([0.5, 0.2, 0.3])
    found = fit_near(x, has, weights, prior, np.zeros((2, 4)), c)
    for own, v in zip(weights, found, strict=True):

        def loss(v: NDArray[np.float64], own: NDArray[np.float64] = own) -> float:
            z = x @ v[:-1] + v[-1]
            return float(c * own @ (np.logaddexp(0, z) - has * z) + np.square(v[:-1] - prior).sum() / 2)

        best = minimize(loss, np.zeros(4), method="BFGS", options={"gtol": 1e-10})
        assert loss(v) <= best.fun + 1e-7 * abs(best.fun)
        assert v == pytest.approx(best.x, abs=1e-3)


def test_the_better_backbone_counts_more_for_every_label() -> None:
    presence = make_presence(300)
    scores = scores_of(presence, (0.5, 4.0))
    meta = fit_labels(scores, whole(presence, 3, thirds(300)), MetaOptions("label-lr"))
    assert meta.linear is not None
    assert meta.linear.coef.shape == (6, 3)
    blocks = meta.linear.coef.reshape(2, 3, 3)
    assert not blocks[:, ~np.eye(3, dtype=np.bool_)].any()  # each label sees its own columns alone
    assert (np.diag(blocks[0]) > np.diag(blocks[1])).all()
    assert meta.shares is not None
    assert meta.shares.sum() == pytest.approx(1)
    assert meta.shares[0] > 0.6


def test_probabilities_are_calibrated() -> None:
    presence = make_presence(2000)
    meta = fit_labels(scores_of(presence, (1.5, 2.0)), whole(presence, 3, thirds(2000)), MetaOptions("label-lr"))
    new = make_presence(4000, seed=9)
    probability = np.exp(log_presence(meta, [each.test for each in scores_of(new, (1.5, 2.0), seed=5)]))
    for label in range(3):
        order = np.argsort(probability[:, label])
        for part in np.array_split(order, 4):
            assert probability[part, label].mean() == pytest.approx(new[part, label].mean(), abs=0.05)


def test_a_label_that_no_inner_fold_tests_keeps_the_mean() -> None:
    presence = make_presence(90)
    presence[:, 2] = 0
    presence[0, 2] = 1
    folds = [Fold.testing(np.arange(1 + i, 90, 3), 90) for i in range(3)]  # row 0 is always learnt from
    meta = fit_labels(scores_of(presence, (1.0, 1.0)), whole(presence, 3, folds), MetaOptions("label-lr"))
    assert meta.linear is not None
    assert meta.linear.coef[[2, 5], 2].tolist() == [0.5, 0.5]
    assert meta.thresholds is not None
    assert meta.thresholds[2] == 0.5


def test_the_mean_is_that_of_probabilities() -> None:
    presence = make_presence(120)
    scores = scores_of(presence, (1.0, 2.0))
    meta = fit_label_mean(scores, whole(presence, 3, thirds(120)), MetaOptions("mean"))
    told = [each.test for each in scores]
    mean = np.mean([expit(each.astype(np.float64)) for each in told], axis=0)
    assert mean_log_odds(told) == pytest.approx(logit(mean))
    assert np.exp(log_presence(meta, told)) == pytest.approx(expit(meta.scale * logit(mean)))
