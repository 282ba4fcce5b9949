"""The size that a JPEG XL file declares: its plug-in for Pillow decodes a file before it tells, bombs and all."""

from __future__ import annotations

import struct
from fractions import Fraction

_CODESTREAM = b"\xff\x0a"
_RATIOS = (None, *map(Fraction, ("1", "6/5", "4/3", "3/2", "16/9", "5/4", "2")))  # of width to height
_WIDTHS = (9, 13, 18, 30)  # bits of a length, by the two bits before it


def jxl_size(content: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels, or None where the bytes do not say (ISO/IEC 18181-1, SizeHeader)."""
    stream = _codestream(content)
    if stream is None or not stream.startswith(_CODESTREAM):
        return None
    bits = _Bits(int.from_bytes(stream[2:14], "little"))
    is_small = bits.take(1)
    height = _length(bits, is_small)
    ratio = _RATIOS[bits.take(3)]
    return (_length(bits, is_small) if ratio is None else int(height * ratio)), height


class _Bits:
    """A number whose bits are taken from the lowest on."""

    def __init__(self, number: int) -> None:
        self._rest = number

    def take(self, n: int) -> int:
        taken = self._rest & ((1 << n) - 1)
        self._rest >>= n
        return taken


def _length(bits: _Bits, is_small: int) -> int:
    return 8 * (bits.take(5) + 1) if is_small else bits.take(_WIDTHS[bits.take(2)]) + 1


def _codestream(content: bytes) -> bytes | None:
    """Return the beginning of the codestream, which may lie in boxes (ISO/IEC 18181-2); None if there is none."""
    if content.startswith(_CODESTREAM):
        return content[:16]
    at = 0
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        inside = at + 8
        if length == 1 and inside + 8 <= len(content):
            (length,) = struct.unpack_from(">Q", content, inside)
            inside += 8
        if kind in (b"jxlc", b"jxlp"):
            start = inside + (4 if kind == b"jxlp" else 0)
            return content[start : start + 16]
        if length < inside - at:  # 0: to the end of the file
            return None
        at += length
    return None
