"""The checksums that HDF5 keeps inside a file: Jenkins' lookup3 of metadata, Fletcher-32 of chunks."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_WORD = 0xFFFFFFFF
_BLOCK_WORDS = 1 << 20  # sums of so many weighted 16-bit words fit into 64 bits
_FLETCHER = 65_535


def lookup3(content: bytes | bytearray | memoryview) -> int:
    """Return the 32-bit checksum of a piece of HDF5 metadata.

    Source: B. Jenkins, lookup3.c, `hashlittle` with initial value 0 (May 2006, public domain).
    """
    length = len(content)
    a = b = c = (0xDEADBEEF + length) & _WORD
    if not length:
        return c
    padded = bytes(content) + bytes(-length % 12)
    words: tuple[int, ...] = struct.unpack(f"<{len(padded) // 4}I", padded)
    for i in range(0, len(words) - 3, 3):
        a = (a + words[i]) & _WORD
        b = (b + words[i + 1]) & _WORD
        c = (c + words[i + 2]) & _WORD
        a = ((a - c) & _WORD) ^ ((c << 4 | c >> 28) & _WORD)
        c = (c + b) & _WORD
        b = ((b - a) & _WORD) ^ ((a << 6 | a >> 26) & _WORD)
        a = (a + c) & _WORD
        c = ((c - b) & _WORD) ^ ((b << 8 | b >> 24) & _WORD)
        b = (b + a) & _WORD
        a = ((a - c) & _WORD) ^ ((c << 16 | c >> 16) & _WORD)
        c = (c + b) & _WORD
        b = ((b - a) & _WORD) ^ ((a << 19 | a >> 13) & _WORD)
        a = (a + c) & _WORD
        c = ((c - b) & _WORD) ^ ((b << 4 | b >> 28) & _WORD)
        b = (b + a) & _WORD
    a, b, c = ((value + word) & _WORD for value, word in zip((a, b, c), words[-3:], strict=True))
    c = ((c ^ b) - (b << 14 | b >> 18)) & _WORD
    a = ((a ^ c) - (c << 11 | c >> 21)) & _WORD
    b = ((b ^ a) - (a << 25 | a >> 7)) & _WORD
    c = ((c ^ b) - (b << 16 | b >> 16)) & _WORD
    a = ((a ^ c) - (c << 4 | c >> 28)) & _WORD
    b = ((b ^ a) - (a << 14 | a >> 18)) & _WORD
    return ((c ^ b) - (b << 24 | b >> 8)) & _WORD


def fletcher32(content: bytes | memoryview) -> int:
    """Return the 32-bit checksum of a chunk: of its big-endian 16-bit words, an odd last byte first in its word.

    Sums are taken modulo 65,535, so the word 0xFFFF counts as 0x0000, and a chunk of zeros has the checksum 0.
    """
    even = len(content) // 2 * 2
    words: NDArray[np.uint16] = np.frombuffer(content, ">u2", even // 2)
    if len(content) > even:
        words = np.append(words, np.uint16(content[even] << 8))
    low = high = 0
    for start in range(0, len(words), _BLOCK_WORDS):
        block = words[start : start + _BLOCK_WORDS].astype(np.int64)
        # The second sum is that of all first sums: each word counts as often as words follow it, itself included.
        high += len(block) * low + int(np.dot(block, np.arange(len(block), 0, -1)))
        low += int(block.sum())
    return _folded(high) << 16 | _folded(low)


def _folded(total: int) -> int:
    """Return a sum of 16-bit words with its carries added back: only a sum of nothing but zeros folds to 0."""
    return (total - 1) % _FLETCHER + 1 if total else 0
