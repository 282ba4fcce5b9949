"""How far a weighted mean leaves the plain one: by chance, by a metric, and by a C of one's own."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.stack import MetaOptions
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.learners.weighted_mean import choose_step
from stackbone.stack.solvers.linear import LinearMap
from tests.made.learners import fit_meta

pytestmark = pytest.mark.usefixtures("one_blas_thread")

Doubles = NDArray[np.float64]
PATH = np.array([[0.5, 0.5], [0.6, 0.4], [0.8, 0.2], [1.0, 0.0]])
FOLDS = [Fold(np.arange(10, 20), np.arange(10)), Fold(np.arange(10), np.arange(10, 20))]


@pytest.mark.parametrize(
    ("by_metric", "step"),
    [([3, 2, 1, 0], 2), ([0, 1, 2, 3], 0), ([1, 0, 0, 0], 1), ([0, 0, 0, 0], 0), ([2, 1, 2, 0], 1)],
    ids=["the further the better", "the nearer", "two alike", "all alike", "beyond the least loss alone"],
)
def test_a_metric_chooses_no_further_than_the_least_loss(by_metric: list[int], step: int) -> None:
    """The third step has the least loss; what a metric of few rows finds beyond it is not believed."""

    def losses(rows: NDArray[np.int64], path: Doubles) -> Doubles:
        return np.tile([1.0, 0.5, 0.1, 0.4], (len(rows), 1))

    def metric(of_folds: list[Doubles]) -> float:
        (number,) = {int(np.flatnonzero((weights == PATH).all(axis=1))[0]) for weights in of_folds}
        return by_metric[number]

    found = choose_step(20, FOLDS, lambda _: PATH, losses, metric)
    assert found.step == step
    np.testing.assert_array_equal(found.weights, PATH[step])


@pytest.mark.parametrize("c", [1e-300, 1.0, 1e300, float("inf")])
def test_no_c_is_too_small_or_too_large_for_convex_weights(c: float) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    nothing = LinearMap(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    says = [(2 * np.eye(3)[y] + noise * rng.normal(size=(60, 3))).astype(np.float32) for noise in (0.5, 3.0)]
    scores = [BaseScores(1.0, each, each[:0], nothing) for each in says]
    model = fit_meta(scores, y, 3, inner_folds(y, np.array(list("abc")), 0), MetaOptions("convex", c=c))
    assert model.weights is not None
    assert model.weights.sum() == pytest.approx(1)
    assert model.weights.min() >= 0
    assert (model.weights[0] > 0.6) == (c >= 1)
