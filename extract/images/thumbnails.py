"""Small upright pictures of images, for a report that carries them with it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from stackbone.cache import ImageError, usable_cores
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.progress import Steps
from stackbone.extract.containers.order import by_container
from stackbone.extract.containers.reading import read_listed_image
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.decode import decoded, quiet_pillow
from stackbone.extract.images.limits import Limits

SIZE = 160  # pixels of the longer side

_MOST_BYTES = 6_500  # of that size, so that 600 of them stay under 4 MB
_QUALITIES = (80, 65, 50, 35, 20, 5)
_LIMITS = Limits(allow_truncated=True)  # what an index lists as sound was embedded: it is to be seen
_EFFORT = 2  # of 0 to 6: the default takes twice the time for a few percent of the size


def thumbnails(
    files: Sequence[ListedFile],
    *,
    size: int = SIZE,
    workers: int | None = None,
    on_progress: Steps | None = None,
) -> list[bytes | str]:
    """Return WebP pictures of image files, oriented by their EXIF tags, in the order of the files.

    A picture that takes many bytes is encoded at a lower quality, so that 600 of 160 pixels stay under 4 MB.

    Parameters
    ----------
    files
        Image files, of which only those that are unchanged since they were listed are pictured.
    size
        Pixels of the longer side, at most.
    workers
        Threads; by default one per core.
    on_progress
        Called with (pictures done, pictures in all).

    Returns
    -------
    list of bytes or str
        In the place of a picture that there is none of, why: a report does without.
    """
    pictures: list[bytes | str] = [""] * len(files)
    order = by_container(len(files), lambda number: files[number].place)
    budget = DecodingBudget()
    pool = ThreadPoolExecutor(workers or usable_cores())
    try:
        with quiet_pillow():
            drawn = pool.map(lambda number: _thumbnail(files[number], size, budget), order)
            for done, (number, picture) in enumerate(zip(order, drawn, strict=True), start=1):
                pictures[number] = picture
                if on_progress:
                    on_progress(done, len(files))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for no picture
    return pictures


def _thumbnail(file: ListedFile, size: int, budget: DecodingBudget) -> bytes | str:
    try:
        with decoded(read_listed_image(file), budget, least=(2 * size, 2 * size), limits=_LIMITS) as picture:
            picture.thumbnail((size, size), Image.Resampling.BICUBIC)
            return _encode(picture, _MOST_BYTES * max(1, size // SIZE) ** 2)
    except ImageError as exc:
        return str(exc)
    except MemoryError:
        return "there was not enough memory to decode it"


def _encode(picture: Image.Image, most_bytes: int) -> bytes:
    content = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        picture.save(file, "WEBP", quality=quality, method=_EFFORT)
        content = file.getvalue()
        if len(content) <= most_bytes:
            break
    return content
