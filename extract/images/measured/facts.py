"""What a look at an image file tells beside what a network sees: how bright and how sharp it is, and whose camera."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from stackbone.cache import ImageError, usable_cores
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.progress import Steps
from stackbone.extract.containers.order import by_container
from stackbone.extract.containers.reading import read_listed_image
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.decode import decoded, quiet_pillow
from stackbone.extract.images.limits import Limits

SIDE = 256
"""Pixels of the longer side, at most, at which a picture is measured: a large one is sharp if it looks so there."""

_LIMITS = Limits(allow_truncated=True)  # what an index lists as sound was embedded
_SLICE = 4096  # files
_MOST_CHARACTERS = 80  # of a camera's name, which is text of a stranger


@dataclass(frozen=True)
class ImageFacts:
    """What is measured of an image file.

    Attributes
    ----------
    brightness
        Mean luminance (ITU-R 601), 0 (black) to 1 (white).
    highlight
        Luminance that 95% of the pixels do not exceed, 0 to 1.
    sharpness
        Standard deviation of the Laplacian (4 neighbours) of the luminance, at no more than `SIDE` pixels (Pech-Pacheco
        et al. 2000, "Diatom autofocusing in brightfield microscopy", ICPR, take its square), divided by `highlight`,
        lest a dark picture count as blurred.
    camera
        Make and model that the file names, or ``""``.
    """

    brightness: float
    highlight: float
    sharpness: float
    camera: str


def measure_images(
    files: Sequence[ListedFile], *, workers: int | None = None, on_progress: Steps | None = None
) -> list[ImageFacts | str]:
    """Measure image files, in their order.

    Parameters
    ----------
    files
        Image files, of which only those that are unchanged since they were listed are measured.
    workers
        Threads; by default one per core.
    on_progress
        Called with (files done, files in all).

    Returns
    -------
    list of ImageFacts or str
        In the place of a file that cannot be measured, why.
    """
    found: list[ImageFacts | str] = [""] * len(files)
    order = by_container(len(files), lambda number: files[number].place)
    budget = DecodingBudget()
    pool = ThreadPoolExecutor(workers or usable_cores())
    try:
        with quiet_pillow():
            for start in range(0, len(files), _SLICE):  # a million tasks at once would fill the memory
                numbers = order[start : start + _SLICE]
                facts = pool.map(lambda number: _measure(files[number], budget), numbers)
                for done, (number, each) in enumerate(zip(numbers, facts, strict=True), start=start + 1):
                    found[number] = each
                    if on_progress:
                        on_progress(done, len(files))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for no file
    return found


def _measure(file: ListedFile, budget: DecodingBudget) -> ImageFacts | str:
    try:
        content = read_listed_image(file)
        with decoded(content, budget, least=(SIDE, SIDE), limits=_LIMITS) as picture:
            grey = picture.convert("L")
        grey.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        return _facts(np.asarray(grey, np.float64) / 255, _camera(content))
    except ImageError as exc:
        return str(exc)
    except MemoryError:
        return "there was not enough memory to decode it"


def _facts(luminance: NDArray[np.float64], camera: str) -> ImageFacts:
    """Return the facts of ``(height, width)`` luminances of 0 to 1."""
    padded = np.pad(luminance, 1, mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    highlight = float(np.quantile(luminance, 0.95))
    return ImageFacts(
        brightness=float(luminance.mean()),
        highlight=highlight,
        sharpness=float((around - 4 * luminance).std()) / highlight if highlight else 0.0,
        camera=camera,
    )


def _camera(content: bytes) -> str:
    """Return make and model as the EXIF block has them; a broken block counts as none."""
    try:
        with Image.open(io.BytesIO(content)) as opened:
            tags = opened.getexif()
        named = [tags.get(tag) for tag in (ExifTags.Base.Make, ExifTags.Base.Model)]
    except Exception:  # hostile metadata can raise anything: struct.error, SyntaxError, OverflowError
        return ""
    words = [each.replace("\0", "").strip() for each in named if isinstance(each, str)]
    return " ".join(filter(None, words))[:_MOST_CHARACTERS]
