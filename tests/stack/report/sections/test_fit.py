"""The points of a regression: of repeats the mean, of many images a sample with the worst."""

import numpy as np

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.report.sections.fit import target_points


def test_targets_of_repeats_are_averaged_and_the_worst_come_first() -> None:
    y = np.arange(100, dtype=np.float64)
    once = y.copy()
    once[[7, 40]] += [30, -50]
    answers = [Prediction(once, probability=False), Prediction(y, probability=False)]
    found = target_points(answers, [Fold(np.empty(0, np.int64), np.arange(100))] * 2, y, seed=0)
    assert found.rows[found.worst[:2]].tolist() == [40, 7]
    assert len(found.worst) == 60
    np.testing.assert_allclose(found.predicted - found.true, (once - y) / 2)


def test_many_targets_are_a_sample_that_holds_the_worst() -> None:
    n = 25_000
    y, rng = np.zeros(n), np.random.default_rng(0)
    values = rng.normal(size=n)
    folds = [Fold(np.empty(0, np.int64), np.arange(n))]
    found = target_points([Prediction(values, probability=False)], folds, y, seed=0)
    assert 19_000 < len(found.rows) <= 20_000
    assert found.rows[found.worst].tolist() == np.argsort(-np.abs(values), kind="stable")[:60].tolist()
    assert (np.diff(found.rows) > 0).all()
    again = target_points([Prediction(rng.normal(size=n), probability=False)], folds, y, seed=0)
    assert len(np.intersect1d(again.rows, found.rows)) > 19_900
