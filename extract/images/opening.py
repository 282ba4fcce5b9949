"""Encoded bytes to a loaded picture: what is hostile refused, what is sound but odd read all the same."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from stackbone.cache import ImageError
from stackbone.cache.errors import NotLetInError
from stackbone.cache.text import typed
from stackbone.extract.images.arrays import decode_array
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.formats import is_multiple, prepare_decoder, unidentified_reason, what_decodes
from stackbone.extract.images.jxl_size import is_jxl, jxl_size
from stackbone.extract.images.levels import Declared, apply_scale, declared, is_deep, scale_of_bits
from stackbone.extract.images.limits import MAX_PIXELS, Limits
from stackbone.extract.images.png_text import is_png, is_text_limit, without_large_text

TRUNCATED = "cut short, with what is missing in grey or black"
FIRST_FRAME = "the first of several pages or frames was taken"
TOO_LARGE = "over the usual limit of pixels, let in by --max-pixels"

_STORED = 4  # bytes that Pillow keeps of a pixel in most modes, RGB among them
_RUNS_PROGRAMS = ("EPS",)  # which Pillow has Ghostscript draw
_PIXELS_OF_BOMB = re.compile(r"\((\d+) pixels\)")
_LEAST_THERE = 0.1  # of a cut image's rows: decoders leave a few rows of nonsense where no pixels are
_DIM = 64  # level under which every sample lies of a picture that uses 14 of its 16 bits, or fewer
_OTHER_ORDER = {"16L": "16B", "16B": "16L", "16N": "16B" if np.little_endian else "16L"}


@dataclass(frozen=True, eq=False)
class Loaded:
    """A decoded picture, as it lies in its file.

    Attributes
    ----------
    picture
        Loaded.
    said
        What its file says of its samples.
    remarks
        What is to be known of how it was read.
    """

    picture: Image.Image
    said: Declared
    remarks: tuple[str, ...]


@contextmanager
def translated_errors(content: bytes, limits: Limits) -> Iterator[None]:
    """Raise an `ImageError` in the place of whatever decoding some bytes raises, but for want of memory."""
    try:
        yield
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError as exc:
        message = f"it {unidentified_reason(content)}"
        raise ImageError(message) from exc
    except Image.DecompressionBombError as exc:
        found = _PIXELS_OF_BOMB.search(str(exc))
        raise _too_large(int(found[1]) if found else limits.max_pixels + 1, "", limits) from exc
    except Exception as exc:  # decoders of hostile files raise anything: struct.error, SyntaxError
        message = f"it could not be decoded ({type(exc).__name__}: {exc})"
        raise ImageError(message) from exc


def load(
    content: bytes, limits: Limits, least: tuple[int, int] | None, budget: DecodingBudget | None, held: ExitStack
) -> Loaded:
    """Return the first frame of an encoded image.

    Parameters
    ----------
    least
        See `decode.decoded`.
    budget
        What the header declares is taken from it before a pixel is decoded, and given back with `held`.

    Raises
    ------
    ImageError, MemoryError
        See `decode.decoded`.
    Exception
        Whatever a decoder raises.
    """
    if is_jxl(content) and not what_decodes(".jxl"):
        _check_jxl(content, limits)
    opened, content = _open(content)
    _refuse_hostile(opened, limits)
    if least:
        opened.draft("RGB", least)
    if budget:
        held.enter_context(budget.room_for(declared_bytes(opened)))
    remarks = [FIRST_FRAME] if is_multiple(opened) else []
    remarks += [TOO_LARGE] if opened.width * opened.height > MAX_PIXELS else []
    raw = _raw_mode(opened)
    try:
        opened, content = _load_whole(opened, content)
    except OSError as exc:
        if "truncated" not in str(exc).lower():
            raise
        opened = _load_cut(content, limits, least, exc)
        remarks.append(TRUNCATED)
    said = declared(opened, content) if is_deep(opened) else Declared()
    if raw in _OTHER_ORDER and opened.mode in ("RGB", "RGBA") and TRUNCATED not in remarks:
        dim = _brightened(opened, content)
        if dim:
            opened = dim[0]
            remarks.append(dim[1])
    return Loaded(opened, said, tuple(remarks))


def declared_bytes(opened: Image.Image) -> int:
    """Return the memory that an image takes to be decoded, as its header declares size and mode, at most.

    That is what Pillow keeps of each pixel, once as decoded and once as turned upright, and the RGB that comes out,
    in four bytes. When the whole image is resized, there are two such.
    """
    stored = 1 if opened.mode in ("1", "L", "P") else 2 if opened.mode.startswith("I;16") else _STORED
    return opened.width * opened.height * max(2 * stored + _STORED, 2 * _STORED)


def _open(content: bytes) -> tuple[Image.Image, bytes]:
    """Return an image whose header was read, and the bytes that it is loaded from."""
    made = decode_array(content)
    if made:
        return made, content
    prepare_decoder(content)
    try:
        return Image.open(io.BytesIO(content)), content
    except ValueError as exc:
        if not is_text_limit(exc):
            raise
        content = without_large_text(content)
        return Image.open(io.BytesIO(content)), content


def _refuse_hostile(opened: Image.Image, limits: Limits) -> None:
    if opened.format in _RUNS_PROGRAMS:
        message = f"it is {opened.format}, which is a program to run and not pixels; save it as PNG"
        raise ImageError(message)
    _check_size(opened.width, opened.height, limits)


def _check_jxl(content: bytes, limits: Limits) -> None:
    """Refuse a JPEG XL that is too large, or does not say how large it is: its plug-in decodes it before it tells."""
    size = jxl_size(content)
    if size is None:
        message = "it is JPEG XL and does not say how large it is, so it is damaged"
        raise ImageError(message)
    _check_size(*size, limits)


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise _too_large(width * height, f"{width:,} x {height:,} = ", limits)


def _too_large(n_pixels: int, sides: str, limits: Limits) -> NotLetInError:
    message = f"it declares {sides}{n_pixels:,} pixels, over the limit of {limits.max_pixels:,}"
    return NotLetInError(message, f"if you trust the file, {typed('--max-pixels', n_pixels)} lets it in")


def _load_whole(opened: Image.Image, content: bytes) -> tuple[Image.Image, bytes]:
    """Return an image, loaded, and the bytes that it was loaded from: those of a PNG may be without a long text."""
    try:
        with _PILLOW.strict():
            opened.load()
    except ValueError as exc:
        if not is_text_limit(exc):
            raise
        content = without_large_text(content)
        opened = Image.open(io.BytesIO(content))
        with _PILLOW.strict():
            opened.load()
    return opened, content


def _load_cut(content: bytes, limits: Limits, least: tuple[int, int] | None, error: Exception) -> Image.Image:
    """Return what is there of an image whose file is cut short."""
    if not limits.allow_truncated:
        message = f"its file is cut short ({error})"
        raise NotLetInError(message, "--allow-truncated lets in what is there") from error
    if is_png(content):  # texts behind the pixels may be too long, besides
        content = without_large_text(content)
    opened = Image.open(io.BytesIO(content))
    if least:
        opened.draft("RGB", least)
    with _PILLOW.lenient():
        opened.load()
    if _share_there(opened) < _LEAST_THERE:
        message = f"its file is cut short ({error}), and hardly anything of its pixels is left"
        raise ImageError(message) from error
    return opened


def _share_there(opened: Image.Image) -> float:
    """Return the share of the rows that differ from the first or the last, where what is missing begins."""
    rows = np.asarray(opened).reshape(opened.height, -1)
    return min(float((rows != rows[end]).any(axis=1).mean()) for end in (0, -1))


def _raw_mode(opened: Image.Image) -> str:
    """Return how 16-bit samples lie in the file (``16L``, ``16B``, ``16N``), or ''; of an image that is not loaded."""
    tiles = getattr(opened, "tile", [])
    if not tiles:
        return ""
    arguments = tiles[0][3]
    mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return mode.rpartition(";")[2] if isinstance(mode, str) and mode.startswith(("RGB;", "RGBA;", "RGBX;")) else ""


def _brightened(opened: Image.Image, content: bytes) -> tuple[Image.Image, str] | None:
    """Return a picture of 16-bit colours that hold fewer bits, scaled from those; None if they hold 16.

    Pillow keeps the high byte of each sample alone, which is nearly black then. Read in the other order of bytes, the
    low ones come out.
    """
    colours = opened.getbands()[:3]
    high = [np.asarray(opened.getchannel(name)) for name in colours]
    if max(int(band.max()) for band in high) >= _DIM:
        return None
    other = Image.open(io.BytesIO(content))
    tiles: list[Any] = other.tile
    for number, tile in enumerate(tiles):  # named tuples in Pillow 11 and later
        swapped = _swapped(tile[3])
        tiles[number] = tile._replace(args=swapped) if hasattr(tile, "_replace") else (*tile[:3], swapped)
    with _PILLOW.strict():
        other.load()
    low = [np.asarray(other.getchannel(name)) for name in colours]
    values = [(above.astype(np.uint16) << 8) | below for above, below in zip(high, low, strict=True)]
    scale = scale_of_bits(max(int(band.max()) for band in values), declared(opened, content).bits)
    if not scale.remark:
        return None
    bands = [Image.fromarray(apply_scale(band, scale)) for band in values]
    bands += [opened.getchannel(name) for name in opened.getbands()[3:]]
    made = Image.merge(opened.mode, bands)
    made.info = opened.info
    made.getexif().update(opened.getexif())
    return made, scale.remark


def _swapped(arguments: Any) -> Any:  # noqa: ANN401 - of a decoder
    mode = arguments[0] if isinstance(arguments, tuple) else arguments
    before, _, order = str(mode).rpartition(";")
    swapped = f"{before};{_OTHER_ORDER[order]}"
    return (swapped, *arguments[1:]) if isinstance(arguments, tuple) else swapped


class _PillowSwitch:
    """Lets one thread at a time decode leniently, and none strictly meanwhile: the switch is the whole process's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._n_strict = 0
        self._n_waiting = 0

    @contextmanager
    def strict(self) -> Iterator[None]:
        """Decode as ever."""
        with self._changed:
            self._changed.wait_for(lambda: not self._n_waiting)
            self._n_strict += 1
        try:
            yield
        finally:
            with self._changed:
                self._n_strict -= 1
                self._changed.notify_all()

    @contextmanager
    def lenient(self) -> Iterator[None]:
        """Decode what is there of files that are cut short."""
        with self._changed:
            self._n_waiting += 1
            self._changed.wait_for(lambda: not self._n_strict)
            before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
            try:
                yield
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = before
                self._n_waiting -= 1
                self._changed.notify_all()


_PILLOW = _PillowSwitch()
