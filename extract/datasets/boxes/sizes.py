"""How large images are once they are upright, from their files' headers."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from PIL import ExifTags, Image, TiffImagePlugin

from stackbone.cache.disk.digest import usable_cores
from stackbone.cache.disk.reading import open_regular, place_in
from stackbone.cache.errors import ImageError
from stackbone.extract.containers.order import by_container
from stackbone.extract.containers.reading import read_image
from stackbone.extract.images.decode import quiet_pillow
from stackbone.extract.images.formats import declared_size
from stackbone.extract.images.limits import ANY
from stackbone.extract.images.png_text import without_large_text

_TURNED = (5, 6, 7, 8)  # EXIF orientations that make height of width
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")  # chunks of a PNG that may hold an orientation, under these keywords
_KEYWORDS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0")
_MOST_CHUNK = 1 << 20  # bytes; Pillow takes no longer text, and none is kept in memory here
_END = ((b"IDAT", b""), (b"IEND", b""))

Size = tuple[int, int]
"""Width and height in pixels."""

NO_SIZE: tuple[Size, Size] = ((0, 0), (0, 0))
"""Of what tells none."""


def upright_sizes(root: Path, paths: Sequence[str]) -> list[tuple[Size, Size]]:
    """Return the size of each image as it is decoded, turned as its EXIF tag says, and as its file stores it.

    No pixel is decoded, so that an image of any number of pixels, or one that is cut short, has its size: whether it is
    let in, its embedding decides. Zeros stand for one that cannot be read: why, its embedding says.
    """
    places = [os.path.join(root, path) for path in paths]
    with quiet_pillow(ANY), ThreadPoolExecutor(max_workers=min(8, usable_cores() + 2)) as pool:
        return list(pool.map(_size_of_file, places))


def sizes_elsewhere(root: Path, path_of: Mapping[bytes, str]) -> dict[bytes, tuple[Size, Size]]:
    """Return the sizes of images in containers or behind URLs, by digest, as `upright_sizes`; each is read whole.

    Raises
    ------
    RemoteError
        If a server cannot be asked, or refuses.
    """
    digests = [*path_of]
    found: dict[bytes, tuple[Size, Size]] = {}
    with quiet_pillow(ANY):
        for row in by_container(len(digests), lambda row: place_in(root, path_of[digests[row]])):
            try:
                content = read_image(place_in(root, path_of[digests[row]]), digests[row])
            except ImageError:
                found[digests[row]] = NO_SIZE
            else:
                found[digests[row]] = size_of(io.BytesIO(content))
    return found


def size_of(stream: BinaryIO) -> tuple[Size, Size]:
    """Return the size of an image as of `upright_sizes`, which is open at its start."""
    try:
        stored = declared_size(stream)
        stream.seek(0)
        header = _header(stream)
        stream.seek(0)
        stored, is_turned = _turned(io.BytesIO(header) if header else stream, stored)
        return (stored[::-1] if is_turned else stored), stored
    except Exception:  # decoders of hostile files raise anything
        return NO_SIZE


def _size_of_file(path: str) -> tuple[Size, Size]:
    try:
        with io.BufferedReader(cast(io.FileIO, open_regular(path))) as stream:
            return size_of(stream)
    except (OSError, ValueError):
        return NO_SIZE


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


def _header(stream: BinaryIO) -> bytes:
    """Return a PNG file without pixels that holds what tells the orientation of another; empty of other formats.

    It may stand behind the pixels, where Pillow finds it only once it has decoded them.
    """
    if stream.read(len(_SIGNATURE)) != _SIGNATURE:
        return b""
    kept: list[tuple[bytes, bytes]] = []
    while len(head := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        at = stream.tell()
        if length <= _MOST_CHUNK and (kind in (b"IHDR", b"eXIf") or (kind in _TEXTS and _is_orienting(stream))):
            stream.seek(at)
            kept.append((kind, stream.read(length)))
        stream.seek(at + length + 4)
    parts = [
        struct.pack(">I4s", len(data), kind) + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*kept, *_END)
    ]
    return without_large_text(_SIGNATURE + b"".join(parts))


def _is_orienting(stream: BinaryIO) -> bool:
    start = stream.read(max(map(len, _KEYWORDS)))
    return start.startswith(_KEYWORDS)
