"""Which formats can be decoded here, what to install for the others, and how large a file of any says it is."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import BinaryIO

from PIL import Image, TiffImagePlugin, features

from stackbone.cache.disk.array_form import HEAD
from stackbone.extract.images.jxl_size import is_jxl, jxl_size

IMAGE_EXTENSIONS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".jp2", ".j2k", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".psd", ".qoi", ".dds"),
)
"""What every Pillow reads by itself."""

_START = 4096  # bytes, in which a format shows and a JPEG XL tells its size
_TIFF = (b"II*\x00", b"MM\x00*")
_SAMPLES, _BITS, _KINDS = 277, 258, 339  # tags of TIFF 6.0: SamplesPerPixel, BitsPerSample, SampleFormat
_KIND_NAMES = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers"}


@dataclass(frozen=True)
class Decoder:
    """A format that Pillow reads with some builds or plug-ins alone.

    Attributes
    ----------
    name
        Of the format.
    extensions
        Of its files, in lower case with their dots.
    recognises
        Whether bytes are of this format, by the first of them.
    is_here
        Whether it can be decoded here; imports nothing.
    needs
        What to install, where it cannot.
    register
        Makes Pillow read it; may be called again and again.
    """

    name: str
    extensions: tuple[str, ...]
    recognises: Callable[[bytes], bool]
    is_here: Callable[[], bool]
    needs: str
    register: Callable[[], object]


def _has_brand(brands: frozenset[bytes]) -> Callable[[bytes], bool]:
    """Return whether a file of ISO/IEC 14496-12 names one of some brands as its main one."""
    return lambda content: content[4:8] == b"ftyp" and content[8:12] in brands


DECODERS = (
    Decoder(
        "HEIC",
        (".heic", ".heif", ".hif"),
        _has_brand(frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))),
        lambda: find_spec("pillow_heif") is not None,
        "pip install 'stackbone[heif]'",
        lambda: import_module("pillow_heif").register_heif_opener(),
    ),
    Decoder(
        "JPEG XL",
        (".jxl",),
        is_jxl,
        lambda: find_spec("pillow_jxl") is not None,
        "pip install pillow-jxl-plugin",
        lambda: import_module("pillow_jxl"),
    ),
    Decoder(
        "AVIF",
        (".avif", ".avifs"),
        _has_brand(frozenset((b"avif", b"avis"))),
        lambda: "avif" in features.modules and bool(features.check("avif")),
        "pip install 'pillow>=11.3'",
        lambda: None,
    ),
)


@cache
def decodable_extensions() -> tuple[str, ...]:
    """Return the extensions of files that can be decoded here, in lower case with their dots."""
    return IMAGE_EXTENSIONS + tuple(extension for each in DECODERS if each.is_here() for extension in each.extensions)


def what_decodes(extension: str) -> str | None:
    """Return what to install so that files with an extension can be decoded; None if nothing would help, or is needed.

    Parameters
    ----------
    extension
        In lower case with its dot: ``.heic``.
    """
    return next((each.needs for each in DECODERS if extension in each.extensions and not each.is_here()), None)


def prepare_decoder(content: bytes) -> None:
    """Make Pillow read the format of these bytes, where a plug-in that is installed does."""
    for each in DECODERS:
        if each.recognises(content) and each.is_here():
            each.register()


def declared_size(stream: BinaryIO) -> tuple[int, int]:
    """Return the (width, height) in pixels that an image file declares; nothing is decoded.

    Raises
    ------
    Exception
        Whatever a decoder raises.
    """
    start = stream.read(_START)
    if head := HEAD.match(start):
        return int(head[1]), int(head[2])
    if is_jxl(start):
        return jxl_size(start) or (0, 0)
    prepare_decoder(start)
    stream.seek(0)
    with Image.open(stream) as opened:
        return opened.size


def unidentified_reason(content: bytes) -> str:
    """Return why Pillow does not know an image, after "it"."""
    for each in DECODERS:
        if each.recognises(content) and not each.is_here():
            return f"is {each.name}, and nothing here decodes that: {each.needs}"
    return _tiff_reason(content) or "is not an image in a format that Pillow reads"


def _tiff_reason(content: bytes) -> str:
    """Return what is unusual about a TIFF's pixels, or '' if the bytes are no TIFF that can be read so far."""
    if not content.startswith(_TIFF):
        return ""
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(content[:8])
        file = io.BytesIO(content)
        file.seek(directory.next)
        directory.load(file)
        n_samples = int(directory.get(_SAMPLES, 1))
        bits = sorted({int(each) for each in directory.get(_BITS, (1,))})
        kinds = sorted({_KIND_NAMES.get(int(each), "numbers") for each in directory.get(_KINDS, (1,))})
    except Exception:  # as many kinds as there are ways to break a block of tags
        return ""
    samples = "1 sample" if n_samples == 1 else f"{n_samples} samples"
    what = f"is a TIFF with {samples} a pixel ({'- and '.join(map(str, bits))}-bit {' and '.join(kinds)})"
    if n_samples > 4:
        return f"{what}, which does not say what is red, green and blue; save those three as an RGB image"
    return f"{what}, which Pillow does not read; save it with 8 or 16 bits a sample"


def is_multiple(opened: Image.Image) -> bool:
    """Return whether an image, opened and not yet loaded, is the first of several pages or frames.

    The pictures beside the first in a camera's MPO or HEIC (a preview, a depth map) are none.
    """
    try:
        return opened.format in ("TIFF", "GIF", "WEBP", "PNG", "AVIF", "JXL") and bool(
            getattr(opened, "is_animated", False)
        )
    except Exception:  # looking for a second frame is no reason to lose the first
        return False
