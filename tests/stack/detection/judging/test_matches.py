"""Which detection has which object, and intervals over folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.judging.intervals import difference, draw_folds, interval, mean_of_folds
from stackbone.stack.detection.judging.matches import AT_HALF, IGNORED, NOTHING, match_image
from stackbone.stack.detection.scores.bootstrap import SHARE, mean_precision
from stackbone.stack.detection.scores.matching import Matches, match
from tests.made.detection import CLASSES, boxes_of, make_images

NAMES = ("a", "b")


def test_each_object_is_found_once_and_the_surest_detection_has_it() -> None:
    boxes = boxes_of(np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32), ("b", "a"))
    corners = np.array([[0, 0, 10, 9], [20, 0, 30, 10], [0, 0, 10, 10], [50, 50, 60, 60]], np.float32)
    found = Detections.sort(corners, np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 0, 1, 0]))
    assert match_image(found, boxes, NAMES).tolist() == [0, 1, NOTHING, NOTHING]


def test_what_has_but_a_crowd_to_take_counts_neither_way() -> None:
    none = np.zeros(1, np.bool_)
    boxes = ImageBoxes(np.array([[0, 0, 100, 100]], np.float32), ("a",), none, np.array([True]), 200, 200)
    corners = np.array([[0, 0, 20, 20], [30, 30, 60, 60]], np.float32)
    found = Detections.sort(corners, np.array([0.9, 0.8]), np.array([0, 0]))
    assert match_image(found, boxes, NAMES).tolist() == [IGNORED, IGNORED]


def made(seed: int, spread: float) -> Matches:
    """Return matches of boxes that lie more or less near the objects."""
    _, boxes = make_images(20, 3)
    rng = np.random.default_rng(seed)
    found = [
        Detections.sort(
            each.corners + rng.normal(0, spread, each.corners.shape),
            rng.random(len(each)),
            np.array([CLASSES.index(name) for name in each.classes]),
        )
        for each in boxes
    ]
    return match(boxes, found, CLASSES, AT_HALF)


def draw(
    folds: list[Matches], groups: list[NDArray[np.int64] | None], seed: int, draws: int = 1000
) -> NDArray[np.float64]:
    times = draw_folds([len(each.n_objects) for each in folds], groups, seed, draws)
    return mean_of_folds([mean_precision(each, own) for each, own in zip(folds, times, strict=True)])


def test_draws_are_paired_and_an_equal_detector_has_no_interval() -> None:
    a, b = (draw([made(0, 3)], [None], 5, 200) for _ in range(2))
    assert np.array_equal(a, b)
    assert difference(0.0, a, b).low is None


def test_a_clearly_worse_detector_is_told_apart() -> None:
    good, bad = draw([made(0, 0.5)], [None], 5), draw([made(1, 6)], [None], 5)
    found = difference(0.5, good, bad)
    assert found.low is not None
    assert found.low > 0
    assert found.excludes_zero


def test_groups_are_drawn_whole() -> None:
    matches = made(0, 3)
    assert np.ptp(draw([matches], [np.zeros(20, np.int64)], 0, 20)) == 0
    assert np.ptp(draw([matches], [None], 0, 20)) > 0


def test_the_interval_lies_around_the_score_whichever_folds_have_one() -> None:
    first, second = made(0, 3), made(1, 2)
    empty = replace(first, n_objects=np.zeros_like(first.n_objects))
    folds = [first, empty, second]
    score = np.nanmean([mean_precision(each) for each in folds])
    low, high = interval(draw(folds, [None] * 3, 0))
    assert 0 < low < score < high < 1
    assert high - low < 0.3
    assert SHARE == 0.95
    drawn = np.sort(draw(folds, [None] * 3, 0))
    assert [int((drawn < low).sum()), int((drawn > high).sum())] == [25, 25]


def test_a_fold_without_objects_takes_no_part_in_draws() -> None:
    matches = made(0, 3)
    empty = replace(matches, n_objects=np.zeros_like(matches.n_objects))
    alone = draw([matches], [None], 5, 200)
    assert np.array_equal(draw([matches, empty], [None, None], 5, 200), alone)
    assert np.isnan(draw([empty], [None], 5, 200)).all()
    assert interval(np.append(alone, np.nan)) == interval(alone)
    assert difference(0.1, alone, np.full(200, np.nan)).low is None
