"""Boxes that nobody labelled are told, but for those that may be meant for a box that is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.judging.issues import UNLABELLED, _unlabelled
from tests.made.drawn_boxes import image_boxes

CLASSES = ("cat", "dog")


def shown(*corners: list[int], code: int = 0) -> Detections:
    return Detections.sort(np.array(corners), np.linspace(0.9, 0.8, len(corners)), np.full(len(corners), code))


def test_a_box_on_nothing_that_all_detectors_see_is_told_once() -> None:
    boxes = image_boxes([[0, 0, 40, 40]], ("cat",))
    found = shown([0, 0, 40, 38], [100, 0, 140, 40])
    [issue] = _unlabelled(3, [found, found], boxes, CLASSES)
    assert (issue.row, issue.kind, issue.name) == (3, UNLABELLED, "cat")
    assert issue.corners == (100, 0, 140, 40)
    assert _unlabelled(3, [found, shown([0, 0, 40, 38])], boxes, CLASSES) == []


@pytest.mark.parametrize("kind", ["difficult", "crowd"])
def test_what_lies_in_a_crowd_or_on_a_part_of_a_difficult_object_is_meant_for_it(kind: str) -> None:
    """Its share of the union is a tenth."""
    boxes = replace(image_boxes([[0, 0, 200, 200]], ("cat",)), **{kind: np.array([True])})  # type: ignore[arg-type]
    part = shown([20, 20, 80, 80])
    assert _unlabelled(0, [part, part], boxes, CLASSES) == []
    other = shown([20, 20, 80, 80], code=1)
    assert [each.name for each in _unlabelled(0, [other, other], boxes, CLASSES)] == ["dog"]
    plain = image_boxes([[0, 0, 200, 200]], ("cat",))
    assert len(_unlabelled(0, [part, part], plain, CLASSES)) == 1


def test_an_image_without_boxes_has_every_box_that_all_see() -> None:
    found = shown([0, 0, 40, 40], [100, 0, 140, 40])
    assert len(_unlabelled(0, [found, found], image_boxes([], ()), CLASSES)) == 2
