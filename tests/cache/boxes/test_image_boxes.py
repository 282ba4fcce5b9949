"""Boxes of one image."""

from __future__ import annotations

import numpy as np

from stackbone.cache.boxes.image_boxes import ImageBoxes


def test_the_boxes_of_some_classes_keep_what_is_said_of_each() -> None:
    corners = np.arange(16, dtype=np.float32).reshape(4, 4)
    difficult, crowd = np.array([True, False, False, True]), np.array([False, False, True, False])
    boxes = ImageBoxes(corners, ("a", "b", "a", "c"), difficult, crowd, 30, 20)
    found = boxes.of_classes({"a", "c", "none"})
    assert found.classes == ("a", "a", "c")
    np.testing.assert_array_equal(found.corners, corners[[0, 2, 3]])
    assert found.difficult.tolist() == [True, False, True]
    assert found.crowd.tolist() == [False, True, False]
    assert (found.width, found.height) == (30, 20)
    assert len(boxes.of_classes(())) == 0
