"""Pictures worked on strip by strip, so that the copies that arithmetic makes are small."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PIL import Image

_STRIP_PIXELS = 1 << 20


def strips(picture: Image.Image) -> Iterator[Image.Image]:
    """Yield a picture from top to bottom, some rows at a time."""
    for top, bottom in _rows(picture):
        yield picture.crop((0, top, picture.width, bottom))


def in_strips(picture: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Return what `convert` makes of a picture, as RGB."""
    whole = Image.new("RGB", picture.size)
    for top, bottom in _rows(picture):
        whole.paste(convert(picture.crop((0, top, picture.width, bottom))), (0, top))
    return whole


def _rows(picture: Image.Image) -> Iterator[tuple[int, int]]:
    n_rows = max(1, _STRIP_PIXELS // picture.width)
    for top in range(0, picture.height, n_rows):
        yield top, min(picture.height, top + n_rows)
