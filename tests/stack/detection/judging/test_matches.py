"""Matches and weighted average precision agree with COCO's own evaluation."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.judging.intervals import FoldMatches, ap50, difference, draw
from stackbone.stack.detection.judging.matches import (
    IGNORED,
    NOTHING,
    average_precision,
    match_class,
    match_image,
    overlaps,
)
from tests.made.detection import boxes_of

NAMES = ("a", "b")


def made(seed: int, n_images: int = 30) -> tuple[list[Detections], list[ImageBoxes]]:
    """Return detections that are near the objects, far from them, or of the other class, at random."""
    rng = np.random.default_rng(seed)
    found, boxes = [], []
    for _ in range(n_images):
        n = int(rng.integers(0, 6))
        start = rng.uniform(0, 400, (n, 2))
        corners = np.concatenate([start, start + rng.uniform(80, 150, (n, 2))], axis=1).astype(np.float32)
        classes = rng.integers(0, 2, n)
        none = np.zeros(n, np.bool_)
        boxes.append(ImageBoxes(corners, tuple(NAMES[i] for i in classes), none, rng.random(n) < 0.15, 640, 640))
        near = np.repeat(corners, 2, axis=0) + rng.normal(0, 12, (2 * n, 4)).astype(np.float32)
        far = rng.uniform(0, 400, (4, 2))
        every = np.concatenate([near, np.concatenate([far, far + 60], axis=1)])
        guessed = np.where(rng.random(2 * n) < 0.8, np.repeat(classes, 2), 1 - np.repeat(classes, 2))
        codes = np.concatenate([guessed, rng.integers(0, 2, 4)])
        found.append(Detections.sort(every, np.round(rng.random(len(every)), 2), codes))
    return found, boxes


def coco_ap50(found: Sequence[Detections], boxes: Sequence[ImageBoxes]) -> list[float]:
    """Return AP50 of each class by pycocotools."""
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    truth = {
        "images": [{"id": i + 1} for i in range(len(boxes))],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": [],
    }
    results = []
    for i, (own, each) in enumerate(zip(boxes, found, strict=True), start=1):
        for corners, name, crowd in zip(own.corners.astype(float), own.classes, own.crowd, strict=True):
            left, top, right, bottom = corners.tolist()
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": i,
                    "category_id": NAMES.index(name) + 1,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top),
                    "iscrowd": int(crowd),
                }
            )
        for corners, score, code in zip(each.corners.astype(float), each.scores, each.classes, strict=True):
            left, top, right, bottom = corners.tolist()
            box = [left, top, right - left, bottom - top]
            results.append({"image_id": i, "category_id": int(code) + 1, "bbox": box, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        known = coco.COCO()
        known.dataset = truth
        known.createIndex()
        judged = cocoeval.COCOeval(known, known.loadRes(results), "bbox")
        judged.evaluate()
        judged.accumulate()
    return [float(judged.eval["precision"][0, :, k, 0, 2].mean()) for k in range(2)]


def matches_of(found: Sequence[Detections], boxes: Sequence[ImageBoxes]) -> FoldMatches:
    taken = [match_image(each, own, NAMES) for each, own in zip(found, boxes, strict=True)]
    return FoldMatches({i: match_class(found, taken, boxes, i, name) for i, name in enumerate(NAMES)})


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_coco(seed: int) -> None:
    found, boxes = made(seed)
    mine = [float(average_precision(each)[0]) for each in matches_of(found, boxes).classes.values()]
    assert mine == pytest.approx(coco_ap50(found, boxes), abs=1e-9)


def test_an_image_drawn_twice_counts_as_two_images() -> None:
    found, boxes = made(0, 12)
    times = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12))
    drawn = np.repeat(np.arange(12), times)
    weighted = matches_of(found, boxes).mean_precision(times[None].astype(float))[0]
    plain = ap50([matches_of([found[i] for i in drawn], [boxes[i] for i in drawn])])
    assert weighted == pytest.approx(plain, abs=0.01)  # equal scores of copies lie in another order


def test_each_object_is_found_once_and_the_surest_detection_has_it() -> None:
    boxes = boxes_of(np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32), ("a", "b"))
    corners = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]], np.float32)
    found = Detections.sort(corners, np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 0, 1]))
    assert match_image(found, boxes, NAMES).tolist() == [0, NOTHING, NOTHING, NOTHING]


def test_what_has_but_a_crowd_to_take_counts_neither_way() -> None:
    none = np.zeros(1, np.bool_)
    boxes = ImageBoxes(np.array([[0, 0, 100, 100]], np.float32), ("a",), none, np.array([True]), 200, 200)
    corners = np.array([[0, 0, 20, 20], [30, 30, 60, 60]], np.float32)
    found = Detections.sort(corners, np.array([0.9, 0.8]), np.array([0, 0]))
    assert match_image(found, boxes, NAMES).tolist() == [IGNORED, IGNORED]


def test_overlap_of_boxes_without_area_is_zero() -> None:
    assert overlaps(np.array([[1.0, 1, 1, 1]]), np.array([[1.0, 1, 1, 1], [0, 0, 2, 2]])).tolist() == [[0.0, 0.0]]


def test_the_interval_of_a_detector_against_itself_is_none_and_draws_are_paired() -> None:
    fold = matches_of(*made(1))
    a, b = draw([fold], 3, 200), draw([fold], 3, 200)
    assert np.array_equal(a, b)
    assert difference(0.0, a, b).low is None
    other = matches_of(*made(2))
    found = difference(0.1, a, draw([other], 3, 200))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.high


def test_groups_are_drawn_whole() -> None:
    found, boxes = made(4, 10)
    whole = matches_of(found, boxes)
    one = FoldMatches(whole.classes, np.zeros(10, np.int64))
    assert np.ptp(draw([one], 0, 20)) == 0
    assert np.ptp(draw([whole], 0, 20)) > 0
