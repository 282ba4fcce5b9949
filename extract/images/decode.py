"""Encoded bytes to the pixels a network takes: decode and orient once, resize and crop per transform."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from stackbone.cache import ImageError
from stackbone.extract.backbones.backbone import Transform
from stackbone.extract.images.budget import DecodingBudget

MAX_PIXELS = 178_956_970  # where Pillow stops by itself; a file that declares more is taken for a bomb
_INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_WIDEST_SUPPORT = 2.0  # of bicubic, in pixels of the coarser of the two grids
_WIDE = 8  # resized images this many times wider than the input cost more memory than exactness is worth
_STORED = 4  # bytes that Pillow keeps of a pixel in most modes, RGB among them
_STRIP_PIXELS = 1 << 22
_RUNS_PROGRAMS = ("EPS",)  # which Pillow has Ghostscript draw
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings of odd metadata and large images, for `decode` in this and other threads.

    `decode` cannot do so itself: the filters of warnings belong to the whole process, and threads that set and
    restore them side by side leave behind whatever the last one found.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def decode(content: bytes, least: tuple[int, int] | None = None) -> Image.Image:
    """Return the first frame of an encoded image, oriented by its EXIF tag, as RGB; see `decoded`."""
    with decoded(content, least=least) as picture:
        return picture


@contextmanager
def decoded(
    content: bytes, budget: DecodingBudget | None = None, *, least: tuple[int, int] | None = None
) -> Iterator[Image.Image]:
    """Yield the first frame of an encoded image, oriented by its EXIF tag, as RGB.

    Transparency is laid over white, 16-bit grey is scaled to 8 bits. Any file that is cut short is an error,
    never grey pixels. A broken EXIF block counts as none.

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

    Raises
    ------
    ImageError
        If the bytes are empty, no image, damaged, or declare more than `MAX_PIXELS`.
    MemoryError
        If there is not enough memory.
    """
    if not content:
        message = "the file is empty"
        raise ImageError(message)
    with _translated_errors():
        opened = Image.open(io.BytesIO(content))
    with opened, ExitStack() as taken:
        with _translated_errors():
            _refuse_hostile(opened)
            if least:
                opened.draft("RGB", least)
            if budget:
                taken.enter_context(budget.room_for(declared_bytes(opened)))
            opened.load()
            picture = _to_rgb(_orient(opened))
            opened.close()  # its pixels are not needed any more
        yield picture


def declared_bytes(opened: Image.Image) -> int:
    """Return the memory that an image takes to be decoded, as its header declares size and mode, at most.

    That is what Pillow keeps of each pixel, once as decoded and once as turned upright, and the RGB that comes out,
    in four bytes. When the whole image is resized, there are two such.
    """
    stored = 1 if opened.mode in ("1", "L", "P") else 2 if opened.mode.startswith("I;16") else _STORED
    return opened.width * opened.height * max(2 * stored + _STORED, 2 * _STORED)


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as exc:
        message = "it is not an image in a format that Pillow reads"
        raise ImageError(message) from exc
    except Image.DecompressionBombError as exc:
        message = f"it declares more pixels than the limit of {MAX_PIXELS:,}"
        raise ImageError(message) from exc
    except Exception as exc:  # decoders of hostile files raise anything: struct.error, SyntaxError
        message = f"it could not be decoded ({type(exc).__name__}: {exc})"
        raise ImageError(message) from exc


def _refuse_hostile(opened: Image.Image) -> None:
    if opened.format in _RUNS_PROGRAMS:
        message = f"it is {opened.format}, which is a program to run and not pixels; save it as PNG"
        raise ImageError(message)
    if opened.width * opened.height > MAX_PIXELS:
        message = f"it declares {opened.width} x {opened.height} pixels, over the limit of {MAX_PIXELS:,}"
        raise ImageError(message)


def _orient(picture: Image.Image) -> Image.Image:
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # as many kinds as there are ways to break a block of tags
        return picture
    return picture.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else picture


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):
        return _in_strips(picture, _scale_16_bit)
    if picture.mode == "F":
        message = "its pixels are floating-point numbers without a known range; save it as 8- or 16-bit"
        raise ImageError(message)
    if picture.has_transparency_data:
        return _in_strips(picture, _over_white)
    return picture.convert("RGB")


def _in_strips(picture: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return what `convert` makes of a picture, made strip by strip, so that its copies are small."""
    width, height = picture.size
    n_rows = max(1, _STRIP_PIXELS // width)
    whole = Image.new("RGB", picture.size)
    for top in range(0, height, n_rows):
        whole.paste(convert(picture.crop((0, top, width, min(height, top + n_rows)))), (0, top))
    return whole


def _over_white(picture: Image.Image) -> Image.Image:
    over = picture.convert("RGBA")
    white = Image.new("RGBA", over.size, "white")
    return Image.alpha_composite(white, over).convert("RGB")


def _scale_16_bit(picture: Image.Image) -> Image.Image:
    """Return 16-bit grey as RGB; Pillow's own conversion would clip at 255."""
    values = np.asarray(picture)
    if values.min() < 0 or values.max() > 65535:
        message = "its pixels are 32-bit or signed numbers without a known range; save it as 8- or 16-bit"
        raise ImageError(message)
    levels = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if isinstance(picture.info.get("transparency"), int):
        levels[values == picture.info["transparency"]] = 255
    return Image.fromarray(levels).convert("RGB")


def apply_transform(picture: Image.Image, transform: Transform) -> NDArray[np.uint8]:
    """Return the network's input before normalisation, (height, width, 3) uint8.

    The pixels of timm's evaluation transform, at most one level of 255 apart: resize (the shorter side for
    ``center``, both sides for ``squash``) to ``floor(input / crop_fraction)``, then crop the centre. Hardly more
    than what the crop keeps is resized, so that memory does not grow with the image's aspect ratio.

    Pillow resizes in two passes and rounds between them, so that their order shows. Up to version 12 the
    horizontal pass came first; from 13 on that depends on the sizes, also of a part and of its whole. Here it
    comes first always: the same pixels with every Pillow, and timm's own unless the image is more than twice as
    high as wide.
    """
    height, width = transform.input_size
    full_width, full_height = _resized_size(picture.size, transform)
    left, top = round((full_width - width) / 2.0), round((full_height - height) / 2.0)
    interpolation = _INTERPOLATION[transform.interpolation]

    y_scale = picture.height / full_height
    support = _WIDEST_SUPPORT * max(1.0, y_scale) + 1.0
    first = max(0, math.floor(top * y_scale - support))
    last = min(picture.height, math.ceil((top + height) * y_scale + support))
    rows = picture.crop((0, first, picture.width, last))
    if full_width <= _WIDE * width:
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


def _resized_size(size: tuple[int, int], transform: Transform) -> tuple[int, int]:
    """Return the (width, height) to which timm resizes an image of (width, height) before it crops."""
    width, height = size
    target_height, target_width = (math.floor(side / transform.crop_fraction) for side in transform.input_size)
    if transform.crop_mode == "squash":
        return target_width, target_height
    if target_height != target_width:
        ratio = min(height / target_height, width / target_width)
        return round(width / ratio), round(height / ratio)
    if width <= height:
        return target_width, int(target_width * height / width)
    return int(target_height * width / height), target_height
