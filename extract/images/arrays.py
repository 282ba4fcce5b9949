"""Pixels in memory as the bytes of an image file of our own, so that they have a digest and are decoded as files are.

The bytes are ``stackbone-array``, a zero byte, ``WIDTH HEIGHT``, a line feed, and the RGB pixels row by row: see
FORMAT.md. So equal pixels are one image, whatever held them.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from stackbone.cache.disk.array_form import HEAD, array_bytes
from stackbone.cache.errors import ImageError, UsageError
from stackbone.extract.images.rgb import upright_rgb

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
_EXPECTED = (
    "Expected uint8 pixels from 0 to 255: an array (n, height, width, 3), or (n, height, width) of grey, or a list of "
    "arrays (height, width, 3) or (height, width) and of PIL images"
)
_OPEN_FILE = threading.Lock()  # of a picture that is in a list twice: two threads would move one another's place in it


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images in memory.

    Attributes
    ----------
    images
        An array (n, h, w, 3), (n, h, w, 4) or (n, h, w) uint8, a memory map among them, or whatever is read like one by
        ``images[i]``; or a sequence of such arrays without the first axis, and of PIL images.
    """

    images: Any

    def __len__(self) -> int:
        return len(self.images)

    def size(self, row: int) -> tuple[int, int]:
        """Return the (width, height) in pixels of an image as it lies in memory; no pixel is read."""
        image = self.images[row]
        width, height = image.size if isinstance(image, Image.Image) else image.shape[1::-1]
        return width, height

    def read(self, row: int, digest: bytes | None = None) -> bytes:
        """Return an image as bytes of a file.

        Parameters
        ----------
        row
            Which.
        digest
            SHA-256 that they must have, or None.

        Raises
        ------
        UsageError
            If the image is no array of pixels, or of another type or shape.
        ImageError
            If its pixels are not those that were listed.
        """
        picture = _as_rgb(self.images[row], row)
        content = array_bytes(*picture.size, picture.tobytes())
        if digest is not None and hashlib.sha256(content).digest() != digest:
            message = "its pixels changed since it was listed; run again"
            raise ImageError(message)
        return content


def are_images(data: Any) -> bool:  # noqa: ANN401 - whatever a user gives
    """Return whether `data` is an array, or a list of arrays or PIL images, and no path or list of paths."""
    if _holds_pixels(data):
        return True
    is_list = isinstance(data, Sequence) and not isinstance(data, str | bytes)
    return is_list and any(_holds_pixels(each) for each in data)


def _holds_pixels(data: Any) -> bool:  # noqa: ANN401 - whatever a user gives
    """Return whether this is an image or an array of numbers; arrays of texts and objects are lists of paths."""
    is_array = hasattr(data, "dtype") and getattr(data.dtype, "kind", "u") not in "USTO"
    return is_array or isinstance(data, Image.Image)


def check_images(images: Any) -> None:  # noqa: ANN401 - whatever a user gives
    """Raise a `UsageError` if these cannot be images, as far as types and shapes tell without reading pixels."""
    if isinstance(images, Image.Image):
        message = f"Found one PIL image. {_EXPECTED}. Write open_dataset([image])."
        raise UsageError(message)
    shape = getattr(images, "shape", None)
    if shape is not None:
        if len(shape) not in (3, 4):
            message = f"Found an array of shape {tuple(shape)}. {_EXPECTED}."
            raise UsageError(message)
        if len(shape) == 3 and shape[2] in (3, 4):
            message = (
                f"Found an array of shape {tuple(shape)}, which is one image, or {shape[0]:,} grey ones {shape[2]} "
                f"pixels wide. {_EXPECTED}. Of one image, write open_dataset(image[None])."
            )
            raise UsageError(message)
        if len(shape) == 4:
            _check_array(tuple(shape[1:]), str(images.dtype), f"an array of shape {tuple(shape)}")
        else:
            _check_array(tuple(shape[1:]), str(images.dtype), f"an array of shape {tuple(shape)}, n grey images")
    if not len(images):
        message = f"No images: found none in the {type(images).__name__}. {_EXPECTED}."
        raise UsageError(message)
    if isinstance(images, list | tuple):  # another sequence may read an image for each that is asked for
        _check_list(images)


def _check_list(images: Sequence[object]) -> None:
    for row, image in enumerate(images):
        if not _holds_pixels(image):
            is_path = isinstance(image, str | os.PathLike)
            advice = "Open it, as by PIL.Image.open, or list paths alone" if is_path else "Take it out of the list"
            message = f"Found, as image {row} of a list of images, {repr(image)[:80]}. {_EXPECTED}. {advice}."
            raise UsageError(message)


def decode_array(content: bytes) -> Image.Image | None:
    """Return the picture that `Arrays.read` wrote, or None if the bytes are something else.

    Raises
    ------
    ImageError
        If they are such bytes, with too few pixels or too many.
    """
    head = HEAD.match(content)
    if head is None:
        return None
    width, height = int(head[1]), int(head[2])
    if len(content) - head.end() != 3 * width * height:
        message = f"it has {len(content) - head.end():,} bytes of pixels for {width} x {height}"
        raise ImageError(message)
    return Image.frombytes("RGB", (width, height), content[head.end() :])


def _as_rgb(image: object, row: int) -> Image.Image:
    if isinstance(image, Image.Image):
        try:
            return upright_rgb(_decoded(image))[0]
        except Exception as exc:  # of an image that Pillow opened and has not decoded yet
            message = f"it could not be decoded ({type(exc).__name__}: {exc})"
            raise ImageError(message) from exc
    pixels: NDArray[np.uint8] = np.asarray(image)
    found = f"image {row} is an array of shape {pixels.shape}"
    _check_array(pixels.shape, str(pixels.dtype), found)
    if not pixels.size:
        message = f"Found that {found}: it has no pixels. {_EXPECTED}."
        raise UsageError(message)
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    mode = _MODES[1 if flat.ndim == 2 else flat.shape[2]]
    picture = Image.frombytes(mode, (flat.shape[1], flat.shape[0]), np.ascontiguousarray(flat).tobytes())
    return upright_rgb(picture)[0]


def _decoded(image: Image.Image) -> Image.Image:
    """Return a picture with its pixels: of one that Pillow has not decoded yet another one, from the same file.

    Otherwise it would stay decoded for as long as the list is there that holds it.
    """
    file = getattr(image, "fp", None)
    if isinstance(image, ImageFile.ImageFile) and file is not None and image.format:
        with _OPEN_FILE:
            before = file.tell()
            file.seek(0)
            content = file.read()
            file.seek(before)
        other = Image.open(io.BytesIO(content), formats=[image.format])
        if image.tell():
            other.seek(image.tell())
        if other.size != image.size:  # as a draft of a JPEG
            other.draft(image.mode, image.size)
        if (other.size, other.mode) == (image.size, image.mode):
            other.load()
            return other
    image.load()
    return image


def _check_array(shape: tuple[int, ...], dtype: str, found: str) -> None:
    """Raise a `UsageError` unless an image of this shape and type can be taken."""
    if dtype.removeprefix("torch.") != "uint8":
        advice = _advice(dtype)
        message = f"Found {found} and type {dtype}. {_EXPECTED}.{advice}"
        raise UsageError(message)
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in _MODES):
        return
    last = len(shape) == 3 and shape[0] in _MODES
    advice = " Are the channels first? Move them to the end: np.moveaxis(images, -3, -1)." if last else ""
    message = f"Found {found}. {_EXPECTED}.{advice}"
    raise UsageError(message)


def _advice(dtype: str) -> str:
    if "float" in dtype:
        return " Of values from 0 to 1, make them by (255 * images).round().astype('uint8')."
    if "uint16" in dtype:
        return " Scale the range of your values to 0 to 255 first: (images * (255 / largest)).round().astype('uint8')."
    if "bool" in dtype:
        return " Of masks, make them by 255 * images.astype('uint8')."
    return ""
