"""PNG files with more text, or a larger colour profile, than Pillow takes: their pixels are as good as any.

Pillow refuses a chunk of text or a profile that inflates to over 1 MiB, lest a small file fill the memory. No feature
depends on either, so they are left out; none is inflated further than that.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_INFLATED = 1 << 20  # bytes, of one chunk
_MOST_TEXT = 32 << 20  # bytes, of all of them
_TEXTS = (b"zTXt", b"iTXt", b"tEXt")


def is_png(content: bytes) -> bool:
    """Return whether bytes are a PNG file, by the first of them."""
    return content.startswith(_SIGNATURE)


def is_text_limit(error: Exception) -> bool:
    """Return whether Pillow refused a PNG because of its text or its profile."""
    # Older versions of Pillow, 10.3 among them, name no limit where one text or profile is over it.
    told = str(error)
    return isinstance(error, ValueError) and ("MAX_TEXT_" in told or told == "Decompressed Data Too Large")


def without_large_text(content: bytes) -> bytes:
    """Return a PNG file without its colour profile and without texts that inflate to over 1 MiB.

    The orientation that a short text gives (XMP) stays.
    """
    kept, room = [_SIGNATURE], _MOST_TEXT
    for kind, chunk in chunks(content):
        if kind == b"iCCP":
            continue
        if kind in _TEXTS:
            size = _inflated(kind, chunk[8:-4])
            if size > min(room, _MOST_INFLATED):
                continue
            room -= size
        kept.append(chunk)
    return b"".join(kept)


def chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the type of each chunk of a PNG file, and all of its bytes; the last may be cut short."""
    at = len(_SIGNATURE)
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        yield kind, content[at : at + length + 12]
        at += length + 12


def significant_bits(content: bytes) -> int | None:
    """Return how many bits of a PNG's samples its chunk sBIT calls significant, at most; None if it has none."""
    if not is_png(content):
        return None
    for kind, chunk in chunks(content):
        if kind == b"IDAT":
            break
        if kind == b"sBIT" and len(chunk) > 12:
            return max(chunk[8:-4])
    return None


def _inflated(kind: bytes, data: bytes) -> int:
    """Return how many bytes a text has, counted as far as matters."""
    if kind == b"tEXt":
        return len(data)
    if kind == b"iTXt":  # PNG specification, section 11.3.3.4: keyword, flag, method, language, translated keyword
        flags = data.find(b"\0") + 1
        if data[flags : flags + 1] != b"\1":
            return len(data)
        start = data.find(b"\0", data.find(b"\0", flags + 2) + 1) + 1
    else:  # 11.3.3.3: keyword, method
        start = data.find(b"\0") + 2
    try:
        return len(zlib.decompressobj().decompress(data[start:], _MOST_INFLATED + 1))
    except zlib.error:
        return 0
