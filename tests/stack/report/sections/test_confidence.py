"""Calibration and histogram count every prediction once."""

from itertools import pairwise

import numpy as np
import pytest

from stackbone.stack.metrics.calibration import CalibrationBin, calibration_curve
from stackbone.stack.report.sections.confidence import calibration_ranges, score_histogram, share_interval


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ranges_are_those_of_the_bins_in_order(seed: int) -> None:
    truth = np.arange(240) % 4
    raw = np.eye(4)[truth] + np.random.default_rng(seed).normal(size=(240, 4))
    scores = raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))
    curve = calibration_curve(truth, scores)
    found = calibration_ranges(curve, np.sort(np.exp(scores.max(axis=1))))
    assert [(each.confidence, each.accuracy, each.n) for each in found] == [
        (each.confidence, each.accuracy, each.n) for each in curve
    ]
    assert all(each.low <= each.confidence <= each.high for each in found)
    assert all(a.high < b.low for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("share", "n", "expected"), [(0.5, 100, (0.404, 0.596)), (1.0, 10, (0.722, 1)), (0.0, 10, (0, 0.278))]
)
def test_the_interval_of_a_share_is_that_of_wilson(share: float, n: int, expected: tuple[float, float]) -> None:
    assert share_interval(share, n) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_repeated_predictions_make_no_interval_narrower(repeats: int) -> None:
    curve = [CalibrationBin(0.8, 0.75, 60 * repeats)]
    [found] = calibration_ranges(curve, np.full(60 * repeats, 0.8), repeats)
    assert found.interval == pytest.approx(share_interval(0.75, 60))


def test_the_histogram_counts_right_and_wrong_apart() -> None:
    confidence = np.array([0.02, 0.5, 0.96, 0.97, 1.0, 0.99])
    right = np.array([False, True, True, False, True, True])
    found = score_histogram(confidence, right)
    assert len(found.edges) == 21
    assert (found.edges[0], found.edges[-1]) == (0.0, 1.0)
    assert (sum(found.right), sum(found.wrong)) == (4, 2)
    assert (found.right[-1], found.wrong[-1], found.wrong[0], found.right[10]) == (3, 1, 1, 1)
