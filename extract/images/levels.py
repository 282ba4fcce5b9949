"""Samples of more than 8 bits, signed and floating-point ones, as levels from 0 to 255.

The range of the values is what the file says where it does, and is taken from the picture itself where it does not; see
docs/datasets.md. It cannot be taken from other pictures: a feature depends on the bytes of its own image alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache.errors import ImageError
from stackbone.extract.images.png_text import significant_bits
from stackbone.extract.images.strips import in_strips, strips

_DEPTHS = (8, 10, 12, 14)  # bits of what sensors give that is stored in samples of 16
_PHOTOMETRIC, _BITS, _KIND = 262, 258, 339  # tags of TIFF 6.0
_SMALLEST, _LARGEST = 340, 341
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
_SCALED_BY_PILLOW = ("PPM", "JPEG2000")  # to all 16 bits, from the depth that the file declares


@dataclass(frozen=True)
class Scale:
    """Which values become black and white.

    Attributes
    ----------
    black, white
        They are levels 0 and 255; those between lie between.
    remark
        What is to be said of it, or ''.
    """

    black: float
    white: float
    remark: str = ""


@dataclass(frozen=True)
class Declared:
    """What a file says of its samples.

    Attributes
    ----------
    bits
        How many of them count, or None.
    smallest, largest
        Their range, or None.
    unsigned
        Whether 32-bit samples are.
    inverted
        Whether zero is white and Pillow leaves that to the reader.
    """

    bits: int | None = None
    smallest: float | None = None
    largest: float | None = None
    unsigned: bool = False
    inverted: bool = False


def is_deep(picture: Image.Image) -> bool:
    """Return whether a picture's samples are grey and wider than 8 bits."""
    return picture.mode.startswith("I") or picture.mode == "F"


def declared(opened: Image.Image, content: bytes) -> Declared:
    """Return what a file says of its samples; tags that make no sense count as absent."""
    if opened.format in _SCALED_BY_PILLOW:
        return Declared(bits=16)
    if opened.format == "PNG":
        return Declared(bits=significant_bits(content))
    tags = getattr(opened, "tag_v2", None)
    if tags is None:
        return Declared()
    try:
        smallest, largest = (_first(tags.get(tag)) for tag in (_SMALLEST, _LARGEST))
        bits = int(_first(tags.get(_BITS)) or 16)
        return Declared(
            bits if bits < 16 else None,  # that the samples have 16 does not say that the values do
            smallest,
            largest,
            unsigned=_first(tags.get(_KIND, 1)) == _UNSIGNED,
            inverted=_first(tags.get(_PHOTOMETRIC)) == _WHITE_IS_ZERO,
        )
    except (TypeError, ValueError, OverflowError):
        return Declared()


def to_levels(picture: Image.Image, said: Declared) -> tuple[Image.Image, str]:
    """Return deep grey as RGB, and what is to be said of its range, or ''.

    Raises
    ------
    ImageError
        If a value is no finite number.
    """
    unsigned = said.unsigned and picture.mode == "I"
    least = min(float(_values(part, unsigned=unsigned).min()) for part in strips(picture))
    most = max(float(_values(part, unsigned=unsigned).max()) for part in strips(picture))
    if not np.isfinite((least, most)).all():
        message = "its pixels hold values that are not finite numbers; save it as 8- or 16-bit"
        raise ImageError(message)
    scale = find_scale(least, most, said, floating=picture.mode == "F")
    clear = picture.info.get("transparency")

    def convert(part: Image.Image) -> Image.Image:
        values = _values(part, unsigned=unsigned)
        levels = apply_scale(values, scale)
        if said.inverted:
            levels = 255 - levels
        if isinstance(clear, int):
            levels[values == clear] = 255
        return Image.fromarray(levels).convert("RGB")

    return in_strips(picture, convert), scale.remark


def find_scale(least: float, most: float, said: Declared, *, floating: bool = False) -> Scale:
    """Return the scale for values from `least` to `most`, by the first rule of docs/datasets.md that fits."""
    low, high = said.smallest, said.largest
    if low is not None and high is not None and low <= least and most <= high and low < high:
        return Scale(low, high, f"values scaled from {low:g} to {high:g}, as the file declares")
    if floating and least >= 0 and most <= 1:
        return Scale(0, 1, "floating-point values scaled from 0 to 1")
    if floating and least >= 0 and most <= 255:
        return Scale(0, 255, "floating-point values scaled from 0 to 255")
    if floating or least < 0:
        return Scale(least, most, "values scaled from the smallest to the largest in the picture")
    if most > 65535:
        return Scale(0, most, "values scaled from 0 to the largest in the picture")
    return scale_of_bits(int(most), said.bits)


def scale_of_bits(most: int, bits: int | None) -> Scale:
    """Return the scale for unsigned samples of up to 16 bits, of which the file says that so many count."""
    if bits is not None and bits < 16 and most < 1 << bits:
        return Scale(0, (1 << bits) - 1)
    found = next((depth for depth in _DEPTHS if most < 1 << depth), 16)
    if found == 16 or bits == 16 or not most:
        return Scale(0, 65535)
    return Scale(0, (1 << found) - 1, f"16-bit samples that hold values of {found} bits, scaled from those")


def apply_scale(values: NDArray[np.generic], scale: Scale) -> NDArray[np.uint8]:
    """Return values as the nearest levels, an array of the same shape, uint8."""
    width = (scale.white - scale.black) or 1.0
    levels = np.subtract(values, scale.black, dtype=np.float64)
    levels *= 255 / width
    scaled: NDArray[np.uint8] = np.rint(levels, out=levels).astype(np.uint8)
    return scaled


def _values(part: Image.Image, *, unsigned: bool) -> NDArray[np.generic]:
    values = np.asarray(part)
    return values.view(np.uint32) if unsigned else values


def _first(value: Any) -> float | None:  # noqa: ANN401 - tags hold anything; float() raises where that is no number
    """Return a tag's number, or the first of its numbers; None if it has none that is finite."""
    if isinstance(value, tuple):
        value = value[0] if value else None
    if value is None:
        return None
    number = float(value)
    return number if np.isfinite(number) else None
