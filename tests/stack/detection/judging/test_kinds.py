"""Every wrong box is of one kind: a second one, of another class, misplaced, both, or on nothing."""

from __future__ import annotations

import numpy as np

from stackbone.stack.detection.detections import Detections
from stackbone.stack.detection.judging.errors import compare
from stackbone.stack.detection.judging.kinds import KINDS, count_kinds, wrong_kinds
from tests.made.drawn_boxes import drawn_images, image_boxes

CLASSES = ("cat", "dog")


def test_each_kind_is_told_from_the_others() -> None:
    boxes = image_boxes([[0, 0, 40, 40], [100, 0, 140, 40], [0, 100, 40, 140]], (*CLASSES, "cat"))
    found = [
        ([0, 0, 40, 40], "cat", ""),
        ([2, 0, 42, 40], "cat", "duplicate"),
        ([100, 0, 140, 38], "cat", "class"),
        ([20, 100, 60, 140], "cat", "place"),
        ([120, 0, 160, 40], "cat", "class and place"),
        ([150, 100, 190, 140], "dog", "background"),
    ]
    shown = Detections.sort(
        np.array([each[0] for each in found]),
        np.linspace(0.9, 0.4, len(found)),
        np.array([CLASSES.index(each[1]) for each in found]),
    )
    each = compare(0, shown, boxes, CLASSES)
    assert [KINDS[kind] for kind in wrong_kinds(each, CLASSES)] == [told for _, _, told in found if told]
    assert count_kinds([each, each], CLASSES) == dict.fromkeys(KINDS, 2)


def test_a_box_on_a_difficult_object_of_another_class_is_on_nothing_that_counts() -> None:
    boxes = image_boxes([[0, 0, 40, 40]], ("dog",), difficult=[True])
    shown = Detections.sort(np.array([[0, 0, 40, 40]]), np.array([0.9]), np.array([0]))
    assert count_kinds([compare(0, shown, boxes, CLASSES)], CLASSES)["background"] == 1


def test_kinds_count_all_wrong_boxes_and_images_without_boxes_have_none() -> None:
    truths, found = drawn_images(3, 40, CLASSES, special=0.1)
    errors = [compare(row, shown, boxes, CLASSES) for row, (boxes, shown) in enumerate(zip(truths, found, strict=True))]
    counts = count_kinds(errors, CLASSES)
    assert sum(counts.values()) == sum(int(each.wrong.sum()) for each in errors)
    assert min(counts.values()) > 0
    nothing = compare(0, Detections.none(), image_boxes([], ()), CLASSES)
    assert count_kinds([nothing], CLASSES) == dict.fromkeys(KINDS, 0)
