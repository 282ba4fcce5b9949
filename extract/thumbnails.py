"""Small upright pictures of images, for a report that carries them with it."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from cache import ImageError, usable_cores
from extract.images import decode, quiet_pillow

SIZE = 160  # pixels of the longer side

_MOST_BYTES = 6_500  # so that 600 of them stay under 4 MB
_QUALITIES = (80, 65, 50, 35, 20, 5)
_EFFORT = 2  # of 0 to 6: the default takes twice the time for a few percent of the size


def thumbnails(
    files: Sequence[Path],
    *,
    size: int = SIZE,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[bytes | None]:
    """Return WebP pictures of image files, oriented by their EXIF tags, in the order of the files.

    A picture that takes many bytes is encoded at a lower quality, so that 600 of 160 pixels stay under 4 MB.

    Parameters
    ----------
    files
        Image files.
    size
        Pixels of the longer side, at most.
    workers
        Threads; by default one per core.
    on_progress
        Called with (pictures done, pictures in all).

    Returns
    -------
    list of bytes or None
        None where a file is gone or cannot be decoded: a report does without.
    """
    pictures: list[bytes | None] = []
    pool = ThreadPoolExecutor(workers or usable_cores())
    try:
        with quiet_pillow():
            for done, picture in enumerate(pool.map(lambda file: _thumbnail(file, size), files), start=1):
                pictures.append(picture)
                if on_progress:
                    on_progress(done, len(files))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for no picture
    return pictures


def _thumbnail(file: Path, size: int) -> bytes | None:
    try:
        picture = decode(file.read_bytes(), (2 * size, 2 * size))
    except (OSError, ImageError, MemoryError):
        return None
    picture.thumbnail((size, size), Image.Resampling.BICUBIC)
    return _encode(picture)


def _encode(picture: Image.Image) -> bytes:
    content = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=quality, method=_EFFORT)
        content = file.getvalue()
        if len(content) <= _MOST_BYTES:
            break
    return content
