"""Pixels as the bytes of an image file of our own, for images that no file holds: see FORMAT.md."""

from __future__ import annotations

import re

HEAD = re.compile(rb"stackbone-array\0([1-9]\d{0,8}) ([1-9]\d{0,8})\n")
"""How such bytes begin: with width and height."""


def array_bytes(width: int, height: int, pixels: bytes) -> bytes:
    """Return the bytes of an image of these RGB pixels, row by row, three bytes each."""
    return b"stackbone-array\0%d %d\n%b" % (width, height, pixels)
