"""How large images are once they are upright, from their files' headers."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from PIL import ExifTags, Image, TiffImagePlugin

from stackbone.cache.disk.digest import usable_cores
from stackbone.cache.disk.reading import MOST_IMAGE_BYTES, open_regular, read_regular
from stackbone.extract.images.decode import decode, quiet_pillow
from stackbone.extract.images.formats import declared_size

_TURNED = (5, 6, 7, 8)  # EXIF orientations that make height of width
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TELLS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # chunks of a PNG that may hold an orientation

Size = tuple[int, int]
"""Width and height in pixels."""


def upright_sizes(root: Path, paths: Sequence[str]) -> list[tuple[Size, Size]]:
    """Return the size of each image as it is decoded, turned as its EXIF tag says, and as its file stores it.

    Zeros stand for an image that cannot be read: why, its embedding says.
    """
    places = [os.path.join(root, path) for path in paths]
    with quiet_pillow(), ThreadPoolExecutor(max_workers=min(8, usable_cores() + 2)) as pool:
        return list(pool.map(_upright_size, places))


def _upright_size(path: str) -> tuple[Size, Size]:
    try:
        with io.BufferedReader(cast(io.FileIO, open_regular(path))) as stream:
            stored = declared_size(stream)
            stream.seek(0)
            if _tells_late(stream):
                return decode(read_regular(path, MOST_IMAGE_BYTES)).size, stored
            stream.seek(0)
            stored, is_turned = _turned(stream, stored)
            return (stored[::-1] if is_turned else stored), stored
    except Exception:  # decoders of hostile files raise anything
        return (0, 0), (0, 0)


def _turned(stream: BinaryIO, declared: Size) -> tuple[Size, bool]:
    """Return the size that an image's file stores, and whether its header asks for a quarter turn; no pixel is decoded.

    What Pillow declares of a TIFF is that after the turn with newer versions, and that before it with older ones.
    """
    try:
        with Image.open(stream) as opened:
            if isinstance(opened, TiffImagePlugin.TiffImageFile):
                tags = opened.tag_v2
                declared = (int(tags[ExifTags.Base.ImageWidth]), int(tags[ExifTags.Base.ImageLength]))
            # A PNG's own `getexif` decodes the image first, in search of what may follow its pixels.
            exif = Image.Image.getexif(opened) if opened.format == "PNG" else opened.getexif()
            return declared, exif.get(ExifTags.Base.Orientation) in _TURNED
    except Exception:  # a broken block counts as none, as it does when the image is decoded
        return declared, False


def _tells_late(stream: BinaryIO) -> bool:
    """Return whether a PNG holds metadata behind its pixels, where only decoding finds it."""
    if stream.read(len(_SIGNATURE)) != _SIGNATURE:
        return False
    seen_pixels = False
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        seen_pixels |= kind == b"IDAT"
        if seen_pixels and kind in _TELLS:
            return True
        stream.seek(length + 4, os.SEEK_CUR)
    return False
