"""Scores of boxes: equal to pycocotools, to a plain reading of Pascal VOC's rule, and to images counted twice."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.scores.bootstrap import draw_images, mean_precision
from stackbone.stack.detection.scores.coco import as_coco, coco_scores
from stackbone.stack.detection.scores.matching import average_precision, match, precision_curve
from stackbone.stack.detection.scores.thresholds import best_thresholds
from stackbone.stack.detection.scores.voc import voc_mean, voc_scores
from tests.made.drawn_boxes import drawn_images, image_boxes

Images = list[ImageBoxes]
Found = list[Detections]
Box = NDArray[np.float32]

CLASSES = ("cat", "dog", "owl")


def by_pycocotools(truths: Images, found: Found) -> Any:  # noqa: ANN401 - it has no types
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, results = as_coco(truths, found, CLASSES)
    with contextlib.redirect_stdout(io.StringIO()):
        annotated = COCO()
        annotated.dataset = truth
        annotated.createIndex()
        evaluation = COCOeval(annotated, annotated.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("special", [0.0, 0.2])
def test_cocos_scores_are_those_of_pycocotools(special: float) -> None:
    truths, found = drawn_images(3, 60, CLASSES, special=special)
    plain, ours = by_pycocotools(truths, found), coco_scores(truths, found, CLASSES)
    told = [ours.ap, ours.ap50, ours.ap75, ours.ap_small, ours.ap_medium, ours.ap_large]
    np.testing.assert_allclose(np.array(told, float), plain.stats[:6], atol=1e-12)
    assert ours.recall == pytest.approx(plain.stats[8], abs=1e-12)
    for code, name in enumerate(CLASSES):
        assert ours.classes[name].ap50 == pytest.approx(plain.eval["precision"][0, :, code, 0, 2].mean(), abs=1e-12)
    assert 0.1 < (ours.ap50 or 0) < 0.95


@pytest.mark.parametrize("special", [0.0, 0.2])
def test_own_matches_give_cocos_average_precision(special: float) -> None:
    truths, found = drawn_images(5, 80, CLASSES, special=special)
    precision = by_pycocotools(truths, found).eval["precision"][..., 0, 2]
    np.testing.assert_allclose(average_precision(match(truths, found, CLASSES)), precision.mean(axis=1), atol=1e-12)


def test_a_difficult_object_need_not_be_found_and_is_not_wrong_to_find() -> None:
    truths = [image_boxes([[0, 0, 50, 50], [100, 0, 150, 50]], ("cat", "cat"), difficult=[False, True])]
    missed = [Detections.sort(np.array([[0, 0, 50, 50]]), np.array([0.5]), np.array([0]))]
    found = [Detections.sort(np.array([[100, 0, 150, 50], [0, 0, 50, 50]]), np.array([0.9, 0.5]), np.array([0, 0]))]
    for each in (missed, found):
        scores = coco_scores(truths, each, CLASSES)
        assert (scores.ap, scores.classes["cat"].n_objects) == (1.0, 1)
        assert voc_scores(truths, each, CLASSES)["cat"].all_points == 1.0


def test_nothing_found_scores_zero_and_a_class_without_objects_has_no_score() -> None:
    truths = [image_boxes([[0, 0, 50, 50]], ("cat",))]
    scores = coco_scores(truths, [Detections.none()], CLASSES)
    assert (scores.ap, scores.ap50, scores.classes["cat"].ap50) == (0.0, 0.0, 0.0)
    assert scores.classes["dog"].ap is None
    assert scores.ap_large is None
    voc = voc_scores(truths, [Detections.none()], CLASSES)
    assert (voc["cat"].all_points, voc["dog"].all_points, voc_mean(voc).eleven_points) == (0.0, None, 0.0)
    precision = average_precision(match(truths, [Detections.none()], CLASSES))
    assert np.isnan(precision[:, 1:]).all()
    assert (precision[:, 0] == 0).all()


def plain_voc(truths: Images, found: Found, name: str, code: int) -> tuple[float, float]:
    """Average precision by the words of the challenge, one detection and one recall at a time."""

    def overlap(first: Box, second: Box) -> float:
        a, b = [float(each) for each in first], [float(each) for each in second]
        wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        if wide <= 0 or high <= 0:
            return 0.0
        both = wide * high
        return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)

    told = [
        (-float(score), image, row)
        for image, each in enumerate(found)
        for row, (score, kind) in enumerate(zip(each.scores, each.classes, strict=True))
        if kind == code
    ]
    total = sum(
        1
        for each in truths
        for own, hard, many in zip(each.classes, each.difficult, each.crowd, strict=True)
        if own == name and not (hard or many)
    )
    used, curve, true, wrong = set(), [], 0, 0
    for _, image, row in sorted(told):
        each = truths[image]
        candidates = [
            (overlap(found[image].corners[row], each.corners[k]), -k)
            for k, own in enumerate(each.classes)
            if own == name
        ]
        best, negative = max(candidates, default=(0.0, 0))
        if best >= 0.5 and (each.difficult[-negative] or each.crowd[-negative]):
            continue
        if best >= 0.5 and (image, negative) not in used:
            used.add((image, negative))
            true += 1
        else:
            wrong += 1
        curve.append((true / total, true / (true + wrong)))
    eleven = sum(max([p for r, p in curve if r >= point / 10], default=0.0) for point in range(11)) / 11
    area, before = 0.0, 0.0
    for place, (recall, _) in enumerate(curve):
        area += (recall - before) * max(p for _, p in curve[place:])
        before = recall
    return eleven, area


def test_vocs_scores_are_those_of_its_words() -> None:
    truths, found = drawn_images(7, 40, CLASSES, special=0.2)
    scores = voc_scores(truths, found, CLASSES)
    for code, name in enumerate(CLASSES):
        eleven, area = plain_voc(truths, found, name, code)
        assert scores[name].eleven_points == pytest.approx(eleven, abs=1e-12)
        assert scores[name].all_points == pytest.approx(area, abs=1e-12)
        assert 0.05 < eleven < 0.95


def test_the_curve_of_a_class_is_that_of_pycocotools_and_its_mean_the_average_precision() -> None:
    truths, found = drawn_images(5, 40, CLASSES, special=0.2)
    matches = match(truths, found, (*CLASSES, "yak"))
    theirs = by_pycocotools(truths, found).eval["precision"][..., 0, 2]
    for code in range(len(CLASSES)):
        for level in (0, 5):
            curve = precision_curve(matches, code, level)
            np.testing.assert_allclose(curve, theirs[level, :, code], atol=1e-12)
            assert curve.mean() == pytest.approx(average_precision(matches)[level, code])
    assert np.isnan(precision_curve(matches, 3)).all()


def test_a_draw_counts_an_image_as_often_as_it_holds_it() -> None:
    truths, found = drawn_images(11, 12, CLASSES, special=0.1, digits=9)
    rows = np.array([0, 0, 2, 3, 3, 3, 5, 7, 8, 9, 11, 11])
    counts = np.bincount(rows, minlength=12)
    twice = average_precision(match([truths[row] for row in rows], [found[row] for row in rows], CLASSES))
    np.testing.assert_allclose(average_precision(match(truths, found, CLASSES), counts[None])[0], twice, atol=1e-12)


def test_images_of_a_group_are_drawn_together() -> None:
    groups = np.arange(60) // 3
    draws = draw_images(60, 0, 200, groups)
    assert draws.shape == (200, 60)
    assert (draws[:, 0::3] == draws[:, 1::3]).all()
    assert (draws.sum(axis=1) == 60).all()
    assert (draw_images(60, 0, 200, groups) == draws).all()


def test_draws_are_those_of_one_multinomial_whose_blocks_are_small() -> None:
    n, draws = 4000, 1000
    tracemalloc.start()
    drawn = draw_images(n, 7, draws)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert drawn.dtype == np.uint16
    assert peak < 2 * n * draws + (4 << 20)  # the counts themselves, and a block of them
    assert (drawn[:150] == np.random.default_rng(7).multinomial(n, np.full(n, 1 / n), draws)[:150]).all()
    assert (drawn.sum(axis=1) == n).all()


def test_average_precision_of_many_draws_makes_no_wider_copy_of_them() -> None:
    truths, found = drawn_images(13, 60, CLASSES)
    matches = match(truths, found, CLASSES, np.array([0.5]))
    n, draws = 20_000, 1000
    many = replace(matches, n_objects=np.pad(matches.n_objects, ((0, n - 60), (0, 0))))
    times = np.ones((draws, n), np.uint16)
    times[:, :60] = draw_images(60, 0, draws)
    tracemalloc.start()
    wide = mean_precision(many, times)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < times.nbytes + (8 << 20)  # a copy of eight bytes a count is four times as large
    np.testing.assert_array_equal(wide, mean_precision(matches, times[:, :60].astype(np.int64)))


def test_no_image_has_no_score() -> None:
    matches = match([], [], CLASSES)
    assert np.isnan(mean_precision(matches))
    assert np.isnan(mean_precision(matches, draw_images(0, 0, 5))).all()


def test_thresholds_have_the_highest_f1_of_their_class() -> None:
    truths, found = drawn_images(17, 40, CLASSES, special=0.1)
    matches = match(truths, found, (*CLASSES, "yak"), np.array([0.5]))
    thresholds = best_thresholds(matches)
    totals = matches.n_objects.sum(axis=0)
    assert np.isnan(thresholds[3])
    for code in range(3):
        own = (matches.classes == code) & ~matches.ignored[0]

        def f1(threshold: float, code: int = code, own: NDArray[np.bool_] = own) -> float:
            kept = own & (matches.scores >= threshold)
            return float(2 * matches.hits[0, kept].sum() / (kept.sum() + totals[code]))

        assert f1(float(thresholds[code])) == max(f1(each) for each in np.linspace(-0.005, 1.005, 102))
