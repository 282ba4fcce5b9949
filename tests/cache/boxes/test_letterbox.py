"""Boxes go into the frame of a letterboxed image and come back."""

from __future__ import annotations

import numpy as np
import pytest

from stackbone.cache.boxes.letterbox import Letterbox


def test_a_wide_image_fills_the_width_and_lies_in_the_middle() -> None:
    frame = Letterbox(640, 480, 320)
    assert (frame.size, frame.corner) == ((320, 240), (0, 40))
    whole = np.array([[0, 0, 640, 480]], np.float32)
    assert frame.to_frame(whole).tolist() == [[0, 40, 320, 280]]


@pytest.mark.parametrize(("width", "height"), [(640, 480), (3, 1000), (333, 332), (7, 5)])
def test_boxes_come_back_as_they_were(width: int, height: int) -> None:
    frame = Letterbox(width, height, 416)
    boxes = np.random.default_rng(0).uniform(0, 1, (20, 4)).astype(np.float32) * [width, height, width, height]
    np.testing.assert_allclose(
        frame.to_image(frame.to_frame(boxes.astype(np.float32))), boxes, atol=width * height * 1e-5
    )


def test_what_lies_beyond_the_image_is_cut_at_its_edges() -> None:
    frame = Letterbox(640, 480, 320)
    assert frame.to_image(np.array([[-5, 0, 320, 320]], np.float32)).tolist() == [[0, 0, 640, 480]]
