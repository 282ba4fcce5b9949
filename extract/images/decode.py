"""Encoded bytes to the pixels a network takes: decode and orient once, resize and crop per transform."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import ImageError
from stackbone.cache.boxes.letterbox import Letterbox
from stackbone.extract.backbones.backbone import LETTERBOX, Transform
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.limits import USUAL, Limits
from stackbone.extract.images.opening import load, translated_errors
from stackbone.extract.images.rgb import upright_rgb

DECODING = "2"
"""Version of the rules by which bytes become pixels, kept in the provenance of shards; see FORMAT.md."""

Window = tuple[int, int, int, int]
"""(left, top, width, height) in pixels of a resized picture."""

_INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_WIDEST_SUPPORT = 2.0  # of bicubic, in pixels of the coarser of the two grids
_MOST_BETWEEN = 1 << 24  # pixels between the two passes, where an image is made wider than it is
_WIDE = 8  # resized images this many times wider than the input cost more memory than exactness is worth


@contextmanager
def quiet_pillow(limits: Limits = USUAL) -> Iterator[None]:
    """Silence what Pillow says of odd metadata and large images, for `decode` in this and other threads.

    `decode` cannot do so itself: the filters of warnings belong to the whole process, and threads that set and
    restore them side by side leave behind whatever the last one found. Nor can it raise Pillow's own limit of pixels
    where `limits` asks for more.
    """
    before, log, silent = Image.MAX_IMAGE_PIXELS, logging.getLogger("PIL"), logging.NullHandler()
    passed_on = log.propagate
    log.addHandler(silent)  # without any handler, its errors would go to the terminal
    log.propagate = False  # to the handlers of a program, such as the command line's own
    try:
        if before is not None:
            Image.MAX_IMAGE_PIXELS = max(before, (limits.max_pixels + 1) // 2)  # an error comes at twice as many
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before
        log.propagate = passed_on
        log.removeHandler(silent)


def decode(content: bytes, least: tuple[int, int] | None = None, *, limits: Limits = USUAL) -> Image.Image:
    """Return the first frame of an encoded image, oriented by its EXIF tag, as RGB; see `decoded`."""
    with decoded(content, least=least, limits=limits) as picture:
        return picture


@contextmanager
def decoded(
    content: bytes,
    budget: DecodingBudget | None = None,
    *,
    least: tuple[int, int] | None = None,
    limits: Limits = USUAL,
    remarks: list[str] | None = None,
) -> Iterator[Image.Image]:
    """Yield the first frame of an encoded image, oriented by its EXIF tag, as RGB.

    Transparency is laid over white, samples of more than 8 bits are scaled to 8 (docs/datasets.md). Any file that is
    cut short is an error, never grey pixels, unless `limits` lets it in. A broken EXIF block counts as none.

    Parameters
    ----------
    content
        The file's bytes.
    budget
        Of all threads that decode; what the header declares is taken from it, before a pixel is decoded, until the
        picture is no longer needed.
    least
        (width, height) in pixels that suffice: a JPEG may be decoded at a fraction of its size, which is fast and gives
        other pixels, so for pictures to look at only.
    limits
        What it may be.
    remarks
        Added to: what is to be known of how it was read, such as that it is the first of several pages.

    Raises
    ------
    ImageError
        If the bytes are empty, no image, damaged, or declare more pixels than `limits` allows.
    MemoryError
        If there is not enough memory.
    """
    if not content:
        message = "the file is empty"
        raise ImageError(message)
    with ExitStack() as held:
        with translated_errors(content, limits):
            loaded = load(content, limits, least, budget, held)
            picture, said = upright_rgb(loaded.picture, loaded.said)
            loaded.picture.close()  # its pixels are not needed any more
        if remarks is not None:
            remarks += [*loaded.remarks, *([said] if said else [])]
        yield picture


def apply_transform(picture: Image.Image, transform: Transform) -> NDArray[np.uint8]:
    """Return the network's input before normalisation, (height, width, 3) uint8.

    The pixels of timm's evaluation transform, at most one level of 255 apart: resize (the shorter side for
    ``center``, both sides for ``squash``) to ``floor(input / crop_fraction)``, then crop the centre. Hardly more
    than what the crop keeps is resized, so that memory does not grow with the image's aspect ratio.

    See `crop_resized`.
    """
    return crop_resized(picture, transform, central_window(picture.size, transform))


def letterboxed(picture: Image.Image, transform: Transform) -> NDArray[np.uint8]:
    """Return the whole of a picture in a frame, (side, side, 3) uint8: where it is there, `Letterbox` says."""
    box = Letterbox(*picture.size, transform.input_size[0])
    (width, height), (left, top) = box.size, box.corner
    frame = np.empty((box.side, box.side, 3), np.uint8)
    frame[:] = transform.fill
    frame[top : top + height, left : left + width] = crop_resized(picture, transform, (0, 0, width, height))
    return frame


def crop_resized(picture: Image.Image, transform: Transform, window: Window) -> NDArray[np.uint8]:
    """Return a part of a picture as a transform resizes it, (height, width, 3) uint8 of the window's.

    Pillow resizes in two passes and rounds between them, so that their order shows. Up to version 12 the
    horizontal pass came first; from 13 on that depends on the sizes, also of a part and of its whole. Here it
    comes first always: the same pixels with every Pillow, and timm's own unless the image is more than twice as
    high as wide.

    Parameters
    ----------
    window
        Within what `resized_size` returns.
    """
    left, top, width, height = window
    full_width, full_height = resized_size(picture.size, transform)
    interpolation = _INTERPOLATION[transform.interpolation]

    y_scale = picture.height / full_height
    support = _WIDEST_SUPPORT * max(1.0, y_scale) + 1.0
    first = max(0, math.floor(top * y_scale - support))
    last = min(picture.height, math.ceil((top + height) * y_scale + support))
    rows = picture.crop((0, first, picture.width, last))
    whole_rows = full_width <= _WIDE * transform.input_size[1]
    across = full_width if whole_rows else width
    if across > rows.width and across * rows.height > _MOST_BETWEEN:
        # A thread of an image, squashed: enlarged across first it would take gigabytes.
        rows = rows.resize((rows.width, full_height), interpolation)
        first, y_scale = 0, 1.0
    if whole_rows:
        # Not by a box: its float32 corners shift the weights a little, some pixels here round to the other side,
        # and the second pass makes two levels of that.
        rows = rows.resize((full_width, rows.height), interpolation).crop((left, 0, left + width, rows.height))
    else:
        x_scale = rows.width / full_width
        right = min((left + width) * x_scale, rows.width)
        rows = rows.resize((width, rows.height), interpolation, (left * x_scale, 0, right, rows.height))
    bottom = min((top + height) * y_scale - first, rows.height)
    box = (0, top * y_scale - first, width, bottom)
    return np.array(rows.resize((width, height), interpolation, box))


def central_window(size: tuple[int, int], transform: Transform) -> Window:
    """Return the window of the centre crop in an image of (width, height) as it is resized."""
    height, width = transform.input_size
    full_width, full_height = resized_size(size, transform)
    return round((full_width - width) / 2.0), round((full_height - height) / 2.0), width, height


def resized_size(size: tuple[int, int], transform: Transform) -> tuple[int, int]:
    """Return the (width, height) to which timm resizes an image of (width, height) before it crops, or a frame asks."""
    width, height = size
    target_height, target_width = (math.floor(side / transform.crop_fraction) for side in transform.input_size)
    if transform.crop_mode == "squash":
        return target_width, target_height
    if transform.crop_mode == LETTERBOX:
        return Letterbox(width, height, target_width).size
    if target_height != target_width:
        ratio = min(height / target_height, width / target_width)
        return round(width / ratio), round(height / ratio)
    if width <= height:
        return target_width, int(target_width * height / width)
    return int(target_height * width / height), target_height
