"""Each view is the pixels that a plain formula gives, and hangs on the image and the view alone."""

from __future__ import annotations

import hashlib
import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import UsageError
from stackbone.cache.records.views import CORNERS, expand_views
from stackbone.extract.backbones.backbone import BACKBONES, Transform
from stackbone.extract.images.decode import apply_transform, central_window, crop_resized, resized_size
from stackbone.extract.views.augment import DEGREES, SHEAR, SHIFT, ZOOM, draw
from stackbone.extract.views.views import check_fit, make_views

Pixels = NDArray[np.uint8]

CENTER = Transform((64, 64), 0.875, "bicubic")
SQUASH = Transform((48, 48), 0.8, "bilinear", "squash")
WIDE = Transform((40, 72), 0.9, "bicubic")
TRANSFORMS = [CENTER, SQUASH, WIDE]
SIZES = [(150, 90), (70, 160), (64, 64), (30, 20)]


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Colours that change smoothly, alike in no two corners."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def levels_apart(found: Pixels, expected: Pixels) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


# Mirrored, and cropped at the corners


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_plain_is_what_it_was_and_hflip_is_its_mirror_image(transform: Transform) -> None:
    shown = picture(150, 90)
    made = make_views(shown, transform, ["hflip", "plain"], digest(0))
    np.testing.assert_array_equal(made["plain"], apply_transform(shown, transform))
    np.testing.assert_array_equal(made["hflip"], made["plain"][:, ::-1])
    assert list(made) == ["hflip", "plain"]


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("size", SIZES)
def test_corners_are_those_of_the_resized_picture(transform: Transform, size: tuple[int, int]) -> None:
    shown = picture(*size)
    kind = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[transform.interpolation]
    whole = np.asarray(shown.resize(resized_size(size, transform), kind))
    (height, width), rows, columns = transform.input_size, slice(None), slice(None)
    made = make_views(shown, transform, expand_views("ten-crop"), digest(0))
    for corner in CORNERS:
        vertical, horizontal = corner.split("_")
        rows = slice(height) if vertical == "top" else slice(len(whole) - height, None)
        columns = slice(width) if horizontal == "left" else slice(whole.shape[1] - width, None)
        assert levels_apart(made[corner], whole[rows, columns]) <= 1  # as near as the plain view is to timm's
        np.testing.assert_array_equal(made[f"{corner}_hflip"], made[corner][:, ::-1])
    assert len(made) == 10


def test_five_crops_are_of_five_places_and_share_the_plain_one() -> None:
    shown = picture(150, 90)
    made = make_views(shown, CENTER, expand_views("five-crop"), digest(0))
    for one, other in itertools.combinations(made.values(), 2):
        assert levels_apart(one, other) > 8
    np.testing.assert_array_equal(made["plain"], apply_transform(shown, CENTER))


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2)])
def test_pictures_of_odd_sizes_have_every_view(size: tuple[int, int]) -> None:
    for transform in TRANSFORMS:
        made = make_views(picture(*size), transform, expand_views("ten-crop,augment:3"), digest(0))
        assert {each.shape for each in made.values()} == {(*transform.input_size, 3)}


def test_a_view_is_contiguous_and_no_view_is_another_ones_memory() -> None:
    made = list(make_views(picture(90, 70), CENTER, expand_views("ten-crop,augment:2"), digest(0)).values())
    assert all(each.flags.c_contiguous and each.dtype == np.uint8 for each in made)
    assert not any(np.shares_memory(one, other) for one, other in itertools.combinations(made, 2))


# At random


def sampled(shown: Image.Image, transform: Transform, number: int, image: bytes) -> Pixels:
    """Compute a random view pixel by pixel from the whole resized picture, nearest fill by clamping."""
    height, width = transform.input_size
    full_width, full_height = resized_size(shown.size, transform)
    whole = crop_resized(shown, transform, (0, 0, full_width, full_height)).astype(np.float64)
    left, top, _, _ = central_window(shown.size, transform)
    drawn = draw(number, image)
    turn = math.radians(drawn.degrees)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    shear = np.array([[1, -math.sin(drawn.shear)], [0, math.cos(drawn.shear)]])
    zoom = np.diag(drawn.zoom)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    x = x * (-1 if drawn.is_mirrored else 1)
    shift = np.array([drawn.shift[0] * width, drawn.shift[1] * height])
    seen = np.einsum("ij,jhw->ihw", rotation @ shear @ zoom, np.stack([x, y])) + (rotation @ shift)[:, None, None]
    column, row = seen[0] + left + width / 2 - 0.5, seen[1] + top + height / 2 - 0.5
    first_column, first_row = np.floor(column).astype(int), np.floor(row).astype(int)
    total = np.zeros((height, width, 3))
    for down, right in itertools.product((0, 1), (0, 1)):
        weight = (1 - abs(column - first_column - right)) * (1 - abs(row - first_row - down))
        at = np.clip(first_row + down, 0, full_height - 1), np.clip(first_column + right, 0, full_width - 1)
        total += weight[..., None] * whole[at]
    return np.floor(total + 1e-9).astype(np.uint8)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("size", SIZES)
def test_a_random_view_is_one_bilinear_affine_resampling(transform: Transform, size: tuple[int, int]) -> None:
    shown = picture(*size)
    made = make_views(shown, transform, expand_views("augment:6"), digest(1))
    for number in range(6):
        found, expected = made[f"augment{number}"], sampled(shown, transform, number, digest(1))
        assert levels_apart(found, expected) <= 1
        assert np.mean(found != expected) < 0.05


def test_where_the_picture_ends_its_last_pixels_are_repeated() -> None:
    for size in [(80, 80), (200, 60), (20, 30)]:
        shown = Image.new("RGB", size, (200, 30, 90))
        made = make_views(shown, CENTER, expand_views("augment:40"), digest(2))
        assert all((each == (200, 30, 90)).all() for each in made.values())


def test_draws_are_within_their_ranges_and_fill_them() -> None:
    drawn = [draw(number, digest(image)) for number in range(8) for image in range(250)]
    columns = {
        "turn": ([each.degrees / DEGREES for each in drawn], -1.0, 1.0),
        "right": ([each.shift[0] / SHIFT for each in drawn], -1.0, 1.0),
        "down": ([each.shift[1] / SHIFT for each in drawn], -1.0, 1.0),
        "shear": ([each.shear / SHEAR for each in drawn], -1.0, 1.0),
        "wide": ([each.zoom[0] for each in drawn], *ZOOM),
        "high": ([each.zoom[1] for each in drawn], *ZOOM),
    }
    values = np.array([values for values, _, _ in columns.values()])
    for row, (name, (_, least, most)) in zip(values, columns.items(), strict=True):
        assert least <= row.min() < least + 0.01 * (most - least), name
        assert most - 0.01 * (most - least) < row.max() <= most, name
        assert abs(row.mean() - (least + most) / 2) < 0.03 * (most - least), name
    assert np.abs(np.corrcoef(values) - np.eye(len(values))).max() < 0.08
    assert 0.45 < np.mean([each.is_mirrored for each in drawn]) < 0.55


def test_the_draw_of_an_image_stays_what_it_is() -> None:
    """Features in caches hang on it: numbers that change here make another feature of the same name."""
    drawn = draw(3, bytes(range(32)))
    words = np.frombuffer(hashlib.sha256(b"stackbone augment\0\3\0\0\0" + bytes(range(32))).digest(), "<u4") / 2**32
    assert drawn.degrees == pytest.approx(80 * words[0] - 40)
    assert drawn.shift == pytest.approx((0.4 * words[1] - 0.2, 0.4 * words[2] - 0.2))
    assert drawn.shear == pytest.approx(0.4 * words[3] - 0.2)
    assert drawn.zoom == pytest.approx((0.8 + 0.4 * words[4], 0.8 + 0.4 * words[5]))
    assert drawn.is_mirrored == (words[6] < 0.5)


def test_a_view_hangs_on_neither_order_nor_threads_nor_other_views_and_images() -> None:
    shown = {number: picture(90 + number, 70, seed=number) for number in range(6)}
    views = expand_views("ten-crop,augment:4")
    alone = {
        (number, view): make_views(each, CENTER, [view], digest(number))[view]
        for number, each in shown.items()
        for view in views
    }
    with ThreadPoolExecutor(4) as pool:
        backwards = pool.map(lambda n: (n, make_views(shown[n], CENTER, views[::-1], digest(n))), reversed(shown))
        for number, made in backwards:
            for view, pixels in made.items():
                np.testing.assert_array_equal(pixels, alone[number, view])


def test_another_image_number_or_transform_is_another_view() -> None:
    shown = picture(90, 70)
    made = make_views(shown, CENTER, ["augment0", "augment1"], digest(0))
    assert levels_apart(made["augment0"], made["augment1"]) > 20
    assert levels_apart(made["augment0"], make_views(shown, CENTER, ["augment0"], digest(1))["augment0"]) > 20
    larger = make_views(shown, replace(CENTER, input_size=(80, 80)), ["augment0"], digest(0))["augment0"]
    assert larger.shape == (80, 80, 3)


# What does not fit


def test_corners_of_an_input_that_is_the_whole_picture_are_refused() -> None:
    whole = replace(
        BACKBONES["efficientnet_lite0"], name="whole", transform=Transform((64, 64), 1.0, "bicubic", "squash")
    )
    for asked in ("five-crop", "top_left", "plain,bottom_right_hflip"):
        with pytest.raises(UsageError, match=r"does not fit whole: its input of 64 x 64 pixels is the whole picture"):
            check_fit(expand_views(asked), [BACKBONES["resnet50"], whole])
    check_fit(expand_views("plain,hflip,augment:2"), [whole])


@pytest.mark.parametrize(
    "transform", [Transform((64, 64), 0.9, "bicubic", "squash"), Transform((64, 64), 1.0, "bicubic")]
)
def test_corners_that_differ_from_the_plain_view_fit(transform: Transform) -> None:
    check_fit(expand_views("five-crop"), [replace(BACKBONES["resnet50"], transform=transform)])
    made = make_views(picture(150, 90), transform, expand_views("five-crop"), digest(0))
    assert levels_apart(made["top_left"], made["bottom_right"]) > 8
