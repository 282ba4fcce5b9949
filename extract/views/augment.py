"""Random views of a picture, as the classic recipe of a frozen VGG16 with augmentation makes them.

The recipe is that of F. Chollet, "Deep Learning with Python" (2017), section 5.3, and of the Keras blog before it:
turned by up to 40 degrees, moved by up to a fifth of each side, sheared by up to 0.2, zoomed by 0.8 to 1.2 in each
direction by itself, mirrored half the time, and filled with the nearest pixel where nothing is. The shear is an angle
in radians, as Keras took it at first (later versions read the same number as degrees, which moves no pixel).

What is drawn comes from the SHA-256 of the view's number and of the image, so that it depends on neither order, threads
nor other images, and is the same with every version of every library. The picture is resized by the backbone's own
transform, and all the rest is one bilinear resampling, whose coefficients are multiples of 1/65,536: every product in
it is exact in double precision, so that all machines round alike.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackbone.extract.backbones.backbone import Transform
from stackbone.extract.images.decode import central_window, crop_resized, resized_size

DEGREES = 40.0
SHIFT = 0.2  # of the input's width and height
SHEAR = 0.2  # radians
ZOOM = (0.8, 1.2)  # how much of the input's width and height is seen

_REACH = 1.25  # of the input's larger side: with all at its most, a corner is taken from 1.22 of it off the centre
_GRAIN = 65_536.0
_DOMAIN = b"stackbone augment\0"
_WORD = 2.0**-32


@dataclass(frozen=True)
class Draw:
    """What one random view of one image is.

    Attributes
    ----------
    degrees
        By which what is seen is turned.
    shift
        (x, y) by which it is moved, as a share of the input's width and height.
    shear
        Radians.
    zoom
        (x, y): the share of the input's width and height that is seen; above 1 the picture gets smaller.
    is_mirrored
        Whether left and right are exchanged.
    """

    degrees: float
    shift: tuple[float, float]
    shear: float
    zoom: tuple[float, float]
    is_mirrored: bool


def draw(number: int, digest: bytes) -> Draw:
    """Return what the random view of this number, from 0, is of the image whose bytes have this SHA-256."""
    content = hashlib.sha256(_DOMAIN + number.to_bytes(4, "little") + digest).digest()
    turn, right, down, shear, wide, high, mirror, _ = (np.frombuffer(content, "<u4") * _WORD).tolist()
    least, most = ZOOM
    return Draw(
        degrees=DEGREES * (2 * turn - 1),
        shift=(SHIFT * (2 * right - 1), SHIFT * (2 * down - 1)),
        shear=SHEAR * (2 * shear - 1),
        zoom=(least + (most - least) * wide, least + (most - least) * high),
        is_mirrored=mirror < 0.5,
    )


def coefficients(drawn: Draw, width: int, height: int) -> tuple[float, float, float, float, float, float]:
    """Return (a, b, c, d, e, f): the output's (x, y) is taken from (ax + by + c, dx + ey + f).

    Both are in pixels from the middle of the input, and multiples of 1/65,536. Zoom, shear, shift and turn follow each
    other as in Keras.
    """
    turn, zoom = math.radians(drawn.degrees), drawn.zoom
    cos, sin = math.cos(turn), math.sin(turn)
    across = -math.sin(drawn.shear) * zoom[1]  # what a step down moves to the side
    down = math.cos(drawn.shear) * zoom[1]
    sign = -1.0 if drawn.is_mirrored else 1.0
    right, below = drawn.shift[0] * width, drawn.shift[1] * height
    exact = (
        sign * cos * zoom[0],
        cos * across - sin * down,
        cos * right - sin * below,
        sign * sin * zoom[0],
        sin * across + cos * down,
        sin * right + cos * below,
    )
    a, b, c, d, e, f = (round(value * _GRAIN) / _GRAIN for value in exact)
    return a, b, c, d, e, f


class Canvas:
    """A picture resized for one transform, and what lies around it: where random views are taken from.

    It is a square of what any random view can see, the middle of the plain view in its middle; where the picture ends,
    its outermost pixels are repeated.

    Parameters
    ----------
    picture
        RGB.
    transform
        Of the backbones that the views are for.
    """

    def __init__(self, picture: Image.Image, transform: Transform) -> None:
        height, width = transform.input_size
        self._size = (width, height)
        full_width, full_height = resized_size(picture.size, transform)
        left, top, _, _ = central_window(picture.size, transform)
        reach = math.ceil(_REACH * max(width, height)) + 2
        self._middle = (width / 2 + reach - width // 2, height / 2 + reach - height // 2)
        first = (left + width // 2 - reach, top + height // 2 - reach)
        last = (first[0] + 2 * reach, first[1] + 2 * reach)
        begin = (max(0, first[0]), max(0, first[1]))
        end = (min(full_width, last[0]), min(full_height, last[1]))
        seen = crop_resized(picture, transform, (*begin, end[0] - begin[0], end[1] - begin[1]))
        around = [(begin[axis] - first[axis], last[axis] - end[axis]) for axis in (1, 0)]
        self._square = Image.fromarray(np.pad(seen, [*around, (0, 0)], mode="edge"))

    def view(self, number: int, digest: bytes) -> NDArray[np.uint8]:
        """Return the random view of this number, (height, width, 3) uint8, of the image with this SHA-256."""
        width, height = self._size
        a, b, c, d, e, f = coefficients(draw(number, digest), width, height)
        x, y = self._middle
        matrix = (a, b, c + x - a * width / 2 - b * height / 2, d, e, f + y - d * width / 2 - e * height / 2)
        made = self._square.transform(self._size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
        return np.array(made)
