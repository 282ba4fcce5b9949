"""Made videos: each frame shows its number as bars, so that it is known again whatever a codec does to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache.disk.array_form import HEAD

WIDTH, HEIGHT = 144, 64
_BITS, _BAR = 8, 16


def picture(number: int) -> NDArray[np.uint8]:
    """Return (64, 144, 3) uint8: eight bars, white for the ones of a number below 256."""
    pixels = np.full((HEIGHT, WIDTH, 3), 32, np.uint8)
    for bit in range(_BITS):
        if number >> bit & 1:
            pixels[16:48, 8 + bit * _BAR : 8 + (bit + 1) * _BAR - 4] = 224
    return pixels


def number_of(content: bytes) -> int:
    """Return which number a frame shows."""
    pixels = pixels_of(content)
    return sum(int(pixels[24:40, 12 + bit * _BAR : 16 + bit * _BAR].mean() > 128) << bit for bit in range(_BITS))


def pixels_of(content: bytes) -> NDArray[np.uint8]:
    """Return the (height, width, 3) pixels of an image of our own form."""
    head = HEAD.match(content)
    assert head is not None
    return np.frombuffer(content[head.end() :], np.uint8).reshape(int(head[2]), int(head[1]), 3)


def make_video(
    file: Path,
    n: int = 75,
    *,
    codec: str = "mpeg4",
    rate: int = 25,
    form: str | None = None,
    rotation: int = 0,
    **options: str,
) -> Path:
    """Write a video of the pictures 0 to n - 1, with a picture that refers to no other every 30."""
    av = pytest.importorskip("av")
    file.parent.mkdir(parents=True, exist_ok=True)
    written = {"movflags": "faststart"} if file.suffix == ".mp4" else {}  # with what is where at the beginning
    with av.open(str(file), "w", format=form, options=written) as out:
        stream: Any = out.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"g": "30", **options}
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(n):
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return file
