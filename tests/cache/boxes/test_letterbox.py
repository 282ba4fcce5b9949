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
    back = frame.to_image(frame.to_frame(boxes.astype(np.float32)))
    np.testing.assert_allclose(back, boxes, rtol=0, atol=1e-3 * max(width, height) / 416)


@pytest.mark.parametrize(
    ("size", "side", "resized", "corner", "whole"),
    [
        ((480, 640), 320, (240, 320), (40, 0), [40, 0, 280, 320]),  # tall
        ((640, 475), 320, (320, 238), (0, 41), [0, 41, 320, 279]),  # 237.5 pixels: halves to even
        ((100, 49), 100, (100, 49), (0, 25), [0, 25, 100, 74]),  # one row more below than above
        ((49, 100), 100, (49, 100), (25, 0), [25, 0, 74, 100]),
        ((384, 114), 416, (416, 123), (0, 146), [0, 146, 416, 269]),  # 123.5, and under it in doubles
        ((1000, 1), 32, (32, 1), (0, 15), [0, 15, 32, 16]),
    ],
)
def test_odd_margins_and_halves_of_pixels_lie_where_format_says(
    size: tuple[int, int], side: int, resized: tuple[int, int], corner: tuple[int, int], whole: list[float]
) -> None:
    frame = Letterbox(*size, side)
    assert (frame.size, frame.corner) == (resized, corner)
    assert frame.to_frame(np.array([[0, 0, *size]], np.float32)).tolist() == [whole]
    half = np.array([[0, 0, size[0] / 2, size[1] / 2]], np.float32)
    middle = [corner[0] + resized[0] / 2, corner[1] + resized[1] / 2]
    assert frame.to_frame(half).tolist() == [[*corner, *middle]]


def test_what_lies_beyond_the_image_is_cut_at_its_edges() -> None:
    frame = Letterbox(640, 480, 320)
    assert frame.to_image(np.array([[-5, 0, 320, 320]], np.float32)).tolist() == [[0, 0, 640, 480]]
