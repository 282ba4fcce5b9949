"""The points of a regression: of repeats the mean, of many images a sample with the worst."""

import numpy as np

from stackbone.stack.report.sections.fit import target_points
from stackbone.stack.tasks.targets import TargetPrediction


def test_targets_of_repeats_are_averaged_and_the_worst_come_first() -> None:
    y = np.arange(100, dtype=np.float64)
    once = y.copy()
    once[[7, 40]] += [30, -50]
    answers = [TargetPrediction(np.arange(100), once), TargetPrediction(np.arange(100), y)]
    found = target_points(answers, y, seed=0)
    assert found.rows[found.worst[:2]].tolist() == [40, 7]
    assert len(found.worst) == 60
    np.testing.assert_allclose(found.predicted - found.true, (once - y) / 2)


def test_many_targets_are_a_sample_that_holds_the_worst() -> None:
    n = 25_000
    y, rng = np.zeros(n), np.random.default_rng(0)
    values = rng.normal(size=n)
    found = target_points([TargetPrediction(np.arange(n), values)], y, seed=0)
    assert 19_000 < len(found.rows) <= 20_000
    assert found.rows[found.worst].tolist() == np.argsort(-np.abs(values), kind="stable")[:60].tolist()
    assert (np.diff(found.rows) > 0).all()
    again = target_points([TargetPrediction(np.arange(n), rng.normal(size=n))], y, seed=0)
    assert len(np.intersect1d(again.rows, found.rows)) > 19_900
