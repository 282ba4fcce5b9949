"""A picture in a frame is shown whole, where `Letterbox` says, and its mirrored view is the frame mirrored."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.extract.backbones.backbone import BACKBONES, Transform
from stackbone.extract.images.decode import crop_resized, letterboxed, resized_size
from stackbone.extract.views.views import make_views

LITE0 = BACKBONES["efficientnet_lite0"].framed(64)
FRAME = LITE0.transform


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 1000 + height)
    small = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def test_a_frame_has_the_mean_colour_and_the_backbones_interpolation() -> None:
    assert Transform((64, 64), 1.0, "bicubic", "letterbox", (128, 128, 128)) == FRAME
    red, green, blue = BACKBONES["resnet50"].framed(416).transform.fill
    assert (red, green, blue) == (124, 116, 104)
    assert BACKBONES["resnet50"].framed(416).transform.interpolation == BACKBONES["resnet50"].transform.interpolation


@pytest.mark.parametrize(
    "size", [(64, 64), (128, 96), (640, 480), (33, 90), (20, 10), (65, 64), (1, 500), (500, 1), (1, 1)]
)
def test_a_picture_is_resized_whole_into_the_middle(size: tuple[int, int]) -> None:
    made = letterboxed(picture(*size), FRAME)
    box = Letterbox(*size, 64)
    (width, height), (left, top) = box.size, box.corner
    expected = np.full((64, 64, 3), 128, np.uint8)
    resized = picture(*size).resize(box.size, Image.Resampling.BICUBIC)
    expected[top : top + height, left : left + width] = np.array(resized)
    assert made.shape == (64, 64, 3)
    assert int(np.abs(made.astype(int) - expected).max()) <= 1
    assert resized_size(size, FRAME) == box.size


def test_what_is_around_the_picture_is_the_fill_alone() -> None:
    made = letterboxed(Image.new("RGB", (100, 50), "white"), FRAME)
    assert (made[:16] == 128).all()
    assert (made[48:] == 128).all()
    assert (made[16:48] == 255).all()


@pytest.mark.parametrize("size", [(100, 50), (50, 99), (99, 40)])
def test_the_mirrored_view_is_the_frame_mirrored(size: tuple[int, int]) -> None:
    views = make_views(picture(*size), FRAME, ["plain", "hflip"], bytes(32))
    np.testing.assert_array_equal(views["hflip"], views["plain"][:, ::-1])
    np.testing.assert_array_equal(views["plain"], letterboxed(picture(*size), FRAME))
    of_mirrored = letterboxed(picture(*size).transpose(Image.Transpose.FLIP_LEFT_RIGHT), FRAME)
    shift = (64 - Letterbox(*size, 64).size[0]) % 2  # a pixel, where the margins cannot be equal
    difference = np.abs(views["hflip"].astype(int) - np.roll(of_mirrored, shift, axis=1))
    assert int(difference.max()) <= 1


def test_other_transforms_are_what_they_were() -> None:
    usual = BACKBONES["efficientnet_lite0"].transform
    assert resized_size((640, 480), usual) == (341, 256)
    assert crop_resized(picture(640, 480), usual, (0, 0, 224, 224)).shape == (224, 224, 3)
    assert hash(usual) == hash(Transform(usual.input_size, usual.crop_fraction, usual.interpolation))
