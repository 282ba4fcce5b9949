"""The size that a JPEG XL file declares: its plug-in for Pillow decodes a file before it tells, bombs and all."""

from __future__ import annotations

import struct
from fractions import Fraction

_CODESTREAM, _CONTAINER = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_HEAD = 16  # bytes, in which the size is told
_MOST_BOXES = 10_000  # before the size is told; metadata take a dozen
_RATIOS = (None, *map(Fraction, ("1", "6/5", "4/3", "3/2", "16/9", "5/4", "2")))  # of width to height
_WIDTHS = (9, 13, 18, 30)  # bits of a length, by the two bits before it


def is_jxl(content: bytes) -> bool:
    """Return whether bytes are a JPEG XL file, by the first of them."""
    return _is_codestream(content) or content.startswith(_CONTAINER)


def jxl_size(content: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels, or None where the bytes do not say (ISO/IEC 18181-1, SizeHeader)."""
    stream = _codestream(content) if is_jxl(content) else b""
    if not _is_codestream(stream):
        return None
    bits = _Bits(stream[2:])
    try:
        is_small = bits.take(1)
        height = _length(bits, is_small)
        ratio = _RATIOS[bits.take(3)]
        return (_length(bits, is_small) if ratio is None else int(height * ratio)), height
    except EOFError:
        return None


def _is_codestream(content: bytes) -> bool:
    return content.startswith(_CODESTREAM)


class _Bits:
    """A number whose bits are taken from the lowest on, with an `EOFError` where there are no more."""

    def __init__(self, content: bytes) -> None:
        self._rest = int.from_bytes(content, "little")
        self._n = 8 * len(content)

    def take(self, n: int) -> int:
        if n > self._n:
            raise EOFError
        taken = self._rest & ((1 << n) - 1)
        self._rest >>= n
        self._n -= n
        return taken


def _length(bits: _Bits, is_small: int) -> int:
    return 8 * (bits.take(5) + 1) if is_small else bits.take(_WIDTHS[bits.take(2)]) + 1


def _codestream(content: bytes) -> bytes:
    """Return the first bytes of the codestream, which may lie in boxes (ISO/IEC 18181-2), even in parts of a byte."""
    if _is_codestream(content):
        return content[:_HEAD]
    found, at, n_boxes = b"", 0, 0
    while at + 8 <= len(content) and len(found) < _HEAD and n_boxes < _MOST_BOXES:
        n_boxes += 1
        length, kind = struct.unpack_from(">I4s", content, at)
        inside = at + 8
        if length == 1 and inside + 8 <= len(content):
            (length,) = struct.unpack_from(">Q", content, inside)
            inside += 8
        end = at + length if length else len(content)  # 0: to the end of the file
        if end < inside:
            break
        if kind in (b"jxlc", b"jxlp"):
            found += content[inside + (4 if kind == b"jxlp" else 0) : end][:_HEAD]
        at = end
    return found[:_HEAD]
