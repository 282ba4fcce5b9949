"""Calibration and histogram count every prediction once."""

from itertools import pairwise

import numpy as np
import pytest

from stackbone.stack.metrics.calibration import calibration_curve
from stackbone.stack.report.sections.confidence import calibration_ranges, score_histogram


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


def test_the_histogram_counts_right_and_wrong_apart() -> None:
    confidence = np.array([0.02, 0.5, 0.96, 0.97, 1.0, 0.99])
    right = np.array([False, True, True, False, True, True])
    found = score_histogram(confidence, right)
    assert len(found.edges) == 21
    assert (found.edges[0], found.edges[-1]) == (0.0, 1.0)
    assert (sum(found.right), sum(found.wrong)) == (4, 2)
    assert (found.right[-1], found.wrong[-1], found.wrong[0], found.right[10]) == (3, 1, 1, 1)
