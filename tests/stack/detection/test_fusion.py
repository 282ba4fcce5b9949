"""Weighted box fusion: the paper's algorithm read plainly, one box at a time; weights that are worth something."""

from __future__ import annotations

import numpy as np
import pytest

from stackbone.cache.errors import UsageError
from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.fusion import fuse, learn_fusion
from stackbone.stack.detection.overlap import overlaps
from stackbone.stack.detection.scores.coco import coco_scores
from tests.made.drawn_boxes import drawn_images

CLASSES = ("cat", "dog", "owl")


def plain_fusion(found: list[Detections], weights: list[float], limit: float) -> list[tuple[float, ...]]:
    """Fuse the boxes of one image by the steps of the paper's section 3, with its weights of models."""
    boxes = [
        (float(score) * weight, int(code), np.asarray(corners, float))
        for each, weight in zip(found, weights, strict=True)
        for corners, score, code in zip(each.corners, each.scores, each.classes, strict=True)
    ]
    boxes.sort(key=lambda box: -box[0])
    lists: list[list[tuple[float, int, np.ndarray]]] = []
    fused: list[tuple[float, int, np.ndarray]] = []
    for box in boxes:
        best, place = limit, -1
        for number, (_, code, corners) in enumerate(fused):
            share = float(overlaps(corners[None], box[2][None])[0, 0])
            if code == box[1] and share > best:
                best, place = share, number
        if place < 0:
            lists.append([box])
            fused.append(box)
            continue
        lists[place].append(box)
        scores = np.array([score for score, _, _ in lists[place]])
        corners = (scores[:, None] * np.array([each for _, _, each in lists[place]])).sum(axis=0) / scores.sum()
        fused[place] = (float(scores.mean()), box[1], corners)
    n = len(found)
    told = [
        (score * min(len(members), n) / sum(weights), code, *corners)
        for members, (score, code, corners) in zip(lists, fused, strict=True)
    ]
    return sorted(told, reverse=True)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.5, 2.0, 1.0]])
def test_fusion_is_the_papers(weights: list[float]) -> None:
    models = [drawn_images(1, 150, CLASSES, most=12, digits=9)[1]]
    rng = np.random.default_rng(0)
    for _ in range(2):
        models.append(
            [
                Detections.sort(
                    each.corners + rng.normal(0, 3, each.corners.shape),
                    np.clip(each.scores * rng.uniform(0.6, 1, len(each)), 0.001, 1),
                    each.classes,
                ).take(np.sort(rng.permutation(len(each))[: max(0, len(each) - 2)]))
                for each in models[0]
            ]
        )
    joined = 0
    for image, fused in enumerate(fuse(models, weights, 0.5)):
        plain = np.array(plain_fusion([each[image] for each in models], weights, 0.5)).reshape(-1, 6)
        told = np.column_stack([fused.scores, fused.classes, fused.corners])
        np.testing.assert_allclose(told, plain, rtol=1e-4, atol=1e-4)
        joined += sum(len(each[image]) for each in models) - len(fused)
    assert joined > 500


def test_a_model_of_weight_nought_takes_no_part() -> None:
    first, second = drawn_images(2, 5, CLASSES)[1], drawn_images(3, 5, CLASSES)[1]
    for alone, both in zip(fuse([first], [1]), fuse([first, second], [0.3, 0]), strict=True):
        np.testing.assert_allclose(both.scores, alone.scores, rtol=1e-6)
        np.testing.assert_array_equal(both.classes, alone.classes)


def test_images_without_detections_stay_empty() -> None:
    assert [len(each) for each in fuse([[Detections.none()] * 3] * 2, [1, 1])] == [0, 0, 0]
    assert fuse([[], []], [1, 1]) == []


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("nan")]])
def test_weights_that_weigh_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="give one for each, none negative"):
        fuse([[Detections.none()]] * 2, weights)


def test_weights_are_learned_that_are_no_worse_than_any_model_alone() -> None:
    truths, good = drawn_images(5, 60, CLASSES)
    rng = np.random.default_rng(0)
    noise = [Detections.sort(each.corners, rng.random(len(each)), rng.integers(0, 3, len(each))) for each in good]
    fusion = learn_fusion([good, noise], truths, CLASSES)
    assert fusion.weights.sum() == pytest.approx(1)
    assert fusion.weights[0] > 0.8
    fused = coco_scores(truths, fusion.fuse([good, noise]), CLASSES).ap
    assert fused == pytest.approx(fusion.ap, abs=1e-9)
    assert (fused or 0) >= (coco_scores(truths, fuse([good], [1.0], fusion.overlap), CLASSES).ap or 0) - 1e-9
    again = learn_fusion([good, noise], truths, CLASSES)
    assert (again.weights == fusion.weights).all()
