"""Greedy and convex weights equal plain references, and keep to the mean where labels are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack import MetaOptions, stack_options
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds, regression_folds
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.meta.convex import PRIORS, convex_weights
from stackbone.stack.learners.meta.greedy import ROUNDS, grow
from stackbone.stack.learners.meta_model import mean_probability
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.learners.weighted_mean import LEAST_PROBABILITY, choose_step, true_probabilities
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.metrics.temperature import fit_scale
from stackbone.stack.solvers.linear import LinearMap
from tests.made.learners import fit_meta, fit_number_meta, whole

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Doubles = NDArray[np.float64]
NO_MAP = LinearMap(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
NEW = ("greedy", "convex")


def made(
    n: int, noises: Sequence[float], n_classes: int = 3, seed: int = 0
) -> tuple[list[BaseScores], NDArray[np.int64]]:
    """Return members that know the classes through so much noise, out of fold on `n` rows and of as many new ones."""
    rng = np.random.default_rng(seed)
    y = rng.integers(n_classes, size=2 * n)
    y[:n_classes] = y[n : n + n_classes] = np.arange(n_classes)
    found = []
    for noise in noises:
        says = 2 * np.eye(n_classes)[y] + noise * rng.normal(size=(2 * n, n_classes))
        found.append(BaseScores(1.0, says[:n].astype(np.float32), says[n:].astype(np.float32), NO_MAP))
    return found, y


def folds_of(y: NDArray[np.int64], n_classes: int = 3) -> list[Fold]:
    return inner_folds(y, np.array(list("abcdefghij"))[:n_classes], 0)


def log_loss(said: Doubles, weights: Doubles) -> float:
    return float(-np.log(said @ weights).mean())


def probabilities(n: int, n_members: int, seed: int = 0) -> Doubles:
    scores, y = made(n, np.linspace(0.3, 3, n_members).tolist(), seed=seed)
    return true_probabilities([each.out_of_fold for each in scores], y[:n])


def _log_losses(sums: Doubles, size: int) -> Doubles:
    losses: Doubles = -np.log(sums / size).sum(axis=0)
    return losses


# The weights themselves


def test_the_mean_grows_as_the_paper_has_it() -> None:
    said = probabilities(80, 5)
    members, bag = list(said.T), list(np.eye(5))
    path = [np.mean(bag, axis=0)]
    for _ in range(10):
        losses = [-np.log(np.mean([*members, said[:, each]], axis=0)).mean() for each in range(5)]
        best = int(np.argmin(losses))
        members.append(said[:, best])
        bag.append(np.eye(5)[best])
        path.append(np.mean(bag, axis=0))
    found = grow(said, _log_losses, 10)
    np.testing.assert_allclose(found, path, atol=1e-12)
    assert len(grow(said, _log_losses)) == ROUNDS + 1


@pytest.mark.parametrize("n_members", [1, 2, 6])
@pytest.mark.parametrize("prior", [100.0, 1.0, 0.01])
@pytest.mark.filterwarnings("ignore:Values in x were outside bounds:RuntimeWarning")  # of the reference, in SciPy 1.11
def test_convex_weights_are_the_minimum(n_members: int, prior: float) -> None:
    said = probabilities(60, n_members)

    def objective(weights: Doubles) -> float:
        return float(-np.log(said @ weights).sum() - prior / n_members * np.log(weights).sum())

    (found,) = convex_weights(said, (prior,))
    start = np.full(n_members, 1 / n_members)
    plain = minimize(
        objective,
        start,
        bounds=[(1e-9, 1)] * n_members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert found.sum() == pytest.approx(1)
    assert found.min() > 0
    assert objective(found) <= plain.fun + 1e-6
    np.testing.assert_allclose(found, plain.x, atol=2e-3)


def test_a_row_that_counts_twice_is_two_rows() -> None:
    said = probabilities(50, 4)
    twice = np.concatenate([said, said[::2]])
    counts = 1.0 + (np.arange(50) % 2 == 0)
    np.testing.assert_allclose(convex_weights(said, counts=counts), convex_weights(twice), atol=1e-6)


@pytest.mark.parametrize("learner", ["greedy", "convex"])
def test_weights_of_rows_move_the_weights_of_members(learner: str) -> None:
    """Two members that each know one class: the class that counts for more decides who does."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    scores = []
    for known in (0, 1):
        noise = rng.normal(size=(200, 2)) * np.where(y == known, 0.5, 3.0)[:, None]
        scores.append(BaseScores(1.0, (np.eye(2)[y] * 2 + noise).astype(np.float32), np.zeros((0, 2)), NO_MAP))
    part = whole(y, 2, folds_of(y, 2))
    found = []
    for favoured in (0, 1):
        weights = np.where(y == favoured, 1.9, 0.1)
        model = META_LEARNERS[learner].fit(scores, replace(part, row_weights=weights), MetaOptions(learner))
        assert model.weights is not None
        found.append(model.weights[favoured])
    assert min(found) > 0.7


@pytest.mark.parametrize("learner", ["greedy", "convex"])
def test_a_metric_chooses_how_far_to_go(learner: str) -> None:
    scores, y = made(120, (0.8, 2.0, 3.0))
    part = whole(y[:120], 3, folds_of(y[:120]))
    chosen = META_LEARNERS[learner].fit(scores, replace(part, metric=METRICS["accuracy"]), MetaOptions(learner))
    assert chosen.weights is not None
    assert chosen.weights.sum() == pytest.approx(1)
    numbers = whole(y[:120].astype(np.float64), 0, regression_folds(y[:120].astype(np.float64), 3, 0))
    says = [replace(each, out_of_fold=each.out_of_fold[:, 0].astype(np.float64)) for each in scores]
    if learner == "greedy":
        asked = replace(numbers, metric=METRICS["mae"], row_weights=np.ones(120))
        assert META_LEARNERS[learner].fit(says, asked, MetaOptions(learner)).linear is not None


def test_less_of_a_prior_is_a_smaller_log_loss_and_no_end_is_the_mean() -> None:
    said = probabilities(100, 4)
    path = convex_weights(said)
    np.testing.assert_array_equal(path[0], np.full(4, 0.25))
    losses = [log_loss(said, weights) for weights in path]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] - losses[-1] > 0.05
    assert len(path) == len(PRIORS)


@pytest.mark.parametrize("extreme", [LEAST_PROBABILITY, 1.0])
def test_members_that_are_all_right_or_all_wrong_do_no_harm(extreme: float) -> None:
    said = np.column_stack([np.full(30, extreme), np.full(30, 0.5), np.full(30, extreme)])
    for path in (convex_weights(said), grow(said, _log_losses)):
        np.testing.assert_allclose(path.sum(axis=1), 1)
        assert path.min() >= 0
        assert np.isfinite(path).all()
        assert (path[-1, 1] < 0.1) == (extreme == 1.0)


# The meta-learners


@pytest.mark.parametrize("learner", NEW)
def test_the_better_members_get_the_weight(learner: str) -> None:
    scores, y = made(400, (0.5, 3.0, 3.0))
    model = fit_meta(scores, y[:400], 3, folds_of(y[:400]), MetaOptions(learner))
    assert model.weights is not None
    assert model.shares is model.weights
    assert model.linear is None
    assert model.weights.sum() == pytest.approx(1)
    assert model.weights[0] > 0.9
    found = model.log_probabilities([each.test for each in scores])
    own = np.arange(400), y[400:]
    mean = log_softmax(
        fit_scale(mean_probability([each.out_of_fold for each in scores]), y[:400])
        * mean_probability([each.test for each in scores]),
        axis=1,
    )
    assert -found[own].mean() < -mean[own].mean()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)


@pytest.mark.parametrize("learner", NEW)
def test_members_alike_stay_the_mean(learner: str) -> None:
    scores, y = made(60, (1.5,))
    model = fit_meta(scores * 3, y[:60], 3, folds_of(y[:60]), MetaOptions(learner))
    plain = fit_meta(scores * 3, y[:60], 3, folds_of(y[:60]), MetaOptions("mean"))
    decisions = [each.test for each in scores * 3]
    np.testing.assert_allclose(model.log_probabilities(decisions), plain.log_probabilities(decisions), atol=1e-9)


@pytest.mark.parametrize("learner", NEW)
@pytest.mark.parametrize(("n", "n_classes"), [(12, 2), (30, 3)])
def test_of_a_few_rows_the_mean_is_hardly_left_for_worse(learner: str, n: int, n_classes: int) -> None:
    """Where members are alike the mean is best, and few rows cannot tell: over 60 draws little is lost."""
    worse, right = [], []
    for seed in range(60):
        scores, y = made(n, (1.5, 1.5, 1.5), n_classes=n_classes, seed=seed)
        folds = folds_of(y[:n], n_classes)
        model, plain = (fit_meta(scores, y[:n], n_classes, folds, MetaOptions(name)) for name in (learner, "mean"))
        decisions, own = [each.test for each in scores], (np.arange(n), y[n:])
        found, mean = model.log_probabilities(decisions), plain.log_probabilities(decisions)
        worse.append(mean[own].mean() - found[own].mean())
        right.append((found.argmax(axis=1) == y[n:]).mean() - (mean.argmax(axis=1) == y[n:]).mean())
    assert np.mean(worse) < 0.1
    assert np.mean(right) > -0.03


def _given(lost: Doubles, rows: NDArray[np.int64], path: Doubles) -> Doubles:
    assert len(rows) == len(lost)
    assert len(path) == lost.shape[1]
    return lost


def test_steps_that_chance_cannot_tell_from_the_best_leave_the_mean() -> None:
    path, folds = np.array([[0.5, 0.5], [1.0, 0.0]]), [Fold(np.arange(10, 20), np.arange(10))]
    noise = np.random.default_rng(0).normal(size=10)
    for gain, step in ((0.1, 0), (2.0, 1), (-0.1, 0)):
        lost = np.column_stack([gain + noise, np.zeros(10)])
        found = choose_step(20, folds, lambda _: path, partial(_given, lost))
        assert found.step == step
        np.testing.assert_array_equal(found.weights, path[step])


@pytest.mark.parametrize("learner", NEW)
def test_the_path_is_walked_on_inner_folds_alone(learner: str) -> None:
    scores, y = made(90, (0.5, 2.0))
    folds = folds_of(y[:90])
    blind = [BaseScores(s.chosen, s.out_of_fold, np.full_like(s.test, np.nan), s.linear) for s in scores]
    first, second = (fit_meta(each, y[:90], 3, folds, MetaOptions(learner)) for each in (scores, blind))
    assert first.weights is not None
    assert second.weights is not None
    np.testing.assert_array_equal(first.weights, second.weights)
    assert first.scale == second.scale


def test_a_c_that_is_asked_for_is_the_inverse_of_the_prior() -> None:
    scores, y = made(60, (0.5, 2.0))
    model = fit_meta(scores, y[:60], 3, folds_of(y[:60]), MetaOptions("convex", c=0.01))
    assert model.c == pytest.approx(0.01)
    said = true_probabilities([each.out_of_fold for each in scores], y[:60])
    assert model.weights is not None
    np.testing.assert_allclose(model.weights, convex_weights(said, (100.0,))[0])


@pytest.mark.parametrize("learner", NEW)
@pytest.mark.parametrize("wrong", [{"scores": "decision"}, {"scores": "log-probability"}, {"combine": "average"}])
def test_means_are_of_probabilities_alone(learner: str, wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=f"--meta {learner} is a mean of the probabilities: leave --meta-scores"):
        stack_options(meta=learner, **wrong)  # type: ignore[arg-type] # names alone


@pytest.mark.parametrize("learner", NEW)
def test_classes_that_no_two_inner_folds_test_are_refused(learner: str) -> None:
    scores, _ = made(9, (1.0, 1.0))
    folds = [Fold(np.arange(3, 9), np.arange(3)), Fold(np.arange(3), np.arange(3, 9))]
    codes = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1])
    with pytest.raises(StackError, match="two inner folds"):
        fit_meta(scores, codes, 2, folds, MetaOptions(learner))


# Numbers


def test_numbers_are_weighed_by_their_squared_error() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    out_of_fold = np.column_stack([y + noise * rng.normal(size=200) for noise in (0.1, 1.0, 1.0)])
    model = fit_number_meta(out_of_fold, y, regression_folds(y, 5, 0), "greedy")
    assert model.linear is not None
    weights = model.linear.coef[:, 0]
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert weights.min() >= 0
    assert weights[0] > 0.9
    np.testing.assert_array_equal(model.linear.intercept, [0])


def test_numbers_of_members_alike_stay_their_mean() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=60)
    says = y + rng.normal(size=60)
    model = fit_number_meta(np.column_stack([says, says]), y, regression_folds(y, 3, 0), "greedy")
    np.testing.assert_allclose(model.values([says, says]), says, atol=1e-5)


def test_convex_weights_are_for_classes() -> None:
    with pytest.raises(UsageError, match="unknown meta-learner 'convex'"):
        stack_options("regression", meta="convex")


@pytest.mark.parametrize(("n", "n_classes", "size"), [(50, 3, 1.0), (2_000, 70, 5.0), (40, 4, 3_000.0)])
def test_a_weighted_mean_of_probabilities_has_a_logarithm_however_small(n: int, n_classes: int, size: float) -> None:
    rng = np.random.default_rng(n)
    said = [(size * rng.normal(size=(n, n_classes))).astype(np.float32) for _ in range(3)]
    codes, weights = rng.integers(n_classes, size=n), np.array([0.5, 0.0, 1.5])
    logs = [log_softmax(each.astype(np.float64), axis=1) for each in said]
    expected = logsumexp(logs, axis=0, b=weights[:, None, None]) - np.log(2)
    np.testing.assert_allclose(mean_probability(said, weights), expected, rtol=1e-12, atol=1e-12)
    own = np.exp(np.column_stack([each[np.arange(n), codes] for each in logs]))
    np.testing.assert_array_equal(true_probabilities(said, codes), np.maximum(own, LEAST_PROBABILITY))
