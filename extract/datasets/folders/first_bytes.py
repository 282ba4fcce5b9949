"""Files recognised as images by their first bytes: those alone whose names do not say what they are.

A folder may hold a million such files, or files that are no images at all, so that looking ends where it found nothing
for long.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from stackbone.cache.disk.reading import NotRegularError, open_regular
from stackbone.extract.datasets.folders.extensions import NO_IMAGE, is_image_name, missing_decoder, why_not
from stackbone.extract.images.formats import DECODERS, decodable_extensions

LENGTH = 32
"""Bytes at the beginning of a file by which an image is recognised."""

_MOST_MISSES = 1_000  # of one extension, and then no more of it are opened
_MOST_MISSES_IN_ALL = 10_000  # each file may have an extension of its own

_SIGNATURES = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", ".jp2"),
    (b"\xff\x4f\xff\x51", ".j2k"),
    (b"8BPS\0\x01", ".psd"),
    (b"qoif", ".qoi"),
    (b"DDS |\0\0\0", ".dds"),
)
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})  # lengths in bytes


def extension_of(start: bytes) -> str | None:
    """Return the usual extension of an image that begins with these 32 bytes; None if they are no image's.

    Formats whose first bytes may as well be text's (PPM) or anything's (TGA) are known by their names alone.
    """
    for signature, extension in _SIGNATURES:
        if start.startswith(signature):
            return extension
    for decoder in DECODERS:
        if decoder.recognises(start):
            return decoder.extensions[0]
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return ".webp"
    if start[:2] == b"BM" and start[6:10] == bytes(4) and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return ".bmp"
    return None


def is_image_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is an image that can be decoded here, by its name or else by its first bytes."""
    return is_image_name(os.path.basename(path)) or (
        why_not(os.path.splitext(path)[1].lower()) is None and not _reason(path, "")
    )


def look_into(root: Path, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each file with why it is not taken; '' for an image.

    Parameters
    ----------
    root
        Absolute folder that the paths are relative to.
    paths
        Of files whose names do not say what they are.
    """
    misses: Counter[str] = Counter()
    for path in sorted(paths):
        extension = os.path.splitext(path)[1].lower()
        if misses[extension] >= _MOST_MISSES or misses.total() >= _MOST_MISSES_IN_ALL:
            yield path, missing_decoder(extension) or f"{NO_IMAGE}, to judge by others of its kind"
            continue
        reason = _reason(os.path.join(root, path), extension)
        misses[extension] += bool(reason)
        yield path, reason


def _reason(path: str | os.PathLike[str], extension: str) -> str:
    """Return why a file is not taken; '' for an image."""
    try:
        with open_regular(path) as file:
            found = extension_of(file.read(LENGTH))
    except NotRegularError as exc:
        return f"not a file: it {exc.strerror}"
    except OSError as exc:
        return f"cannot be read: {exc.strerror or exc}"
    if found is None:
        return missing_decoder(extension) or NO_IMAGE
    return "" if found in decodable_extensions() else missing_decoder(found) or NO_IMAGE
