"""Labelled images as batches for training: decoded ahead by threads, cropped and mirrored at random."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stackbone.cache import DatasetError, Digests, ImageError, usable_cores
from stackbone.cache.errors import NotLetInError
from stackbone.cache.progress import Steps
from stackbone.extract.backbones.backbone import Transform
from stackbone.extract.containers.order import by_container
from stackbone.extract.containers.reading import read_image
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.decode import apply_transform, decoded
from stackbone.extract.images.limits import USUAL, Limits
from stackbone.extract.views.views import make_views

MEMORY_BUDGET = 1 << 30  # bytes of decoded images that are kept; the others are decoded again in every epoch
_BATCHES_AHEAD = 2  # for each thread
_RATIO = (3 / 4, 4 / 3)  # of its width to its height
_ATTEMPTS = 10
_CROPPED = 224 / 256
_INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Pixels = NDArray[np.uint8]
_T = TypeVar("_T")
_R = TypeVar("_R")


class PixelStore:
    """The pixels of a list of images, as often as they are asked for; use it within `quiet_pillow`.

    Parameters
    ----------
    paths, digests
        The n files, and the (n, 32) uint8 SHA-256 that their bytes must have.
    transform
        Of the backbone they are for.
    workers
        Threads that decode and resize; by default one per core.
    budget
        Bytes of decoded images that are kept in memory.
    limits
        Which images are let in.
    """

    def __init__(
        self,
        paths: Sequence[str],
        digests: Digests,
        transform: Transform,
        *,
        workers: int | None = None,
        budget: int = MEMORY_BUDGET,
        limits: Limits = USUAL,
    ) -> None:
        self._paths = paths
        self._digests = digests
        self._transform = transform
        self._workers = workers or usable_cores()
        self._kept: dict[int, Pixels] = {}
        self._room = budget
        self._limits = limits
        self._decoding = DecodingBudget()

    def load(self, on_progress: Steps | None = None) -> dict[int, str]:
        """Decode every image once, keep what fits into the budget, and return why each unreadable one is so, by row.

        What fits is decided in the order of the rows, those inside a container as it stores them, and has no influence
        on the pixels.
        """
        failed: dict[int, str] = {}
        rows = by_container(len(self._paths), self._paths.__getitem__)
        for done, (row, found) in enumerate(zip(rows, self._in_threads(rows, self._try_decode), strict=True), start=1):
            if isinstance(found, str):
                failed[row] = found
            elif found.nbytes <= self._room:
                self._kept[row] = found
                self._room -= found.nbytes
            if on_progress:
                on_progress(done, len(self._paths))
        return failed

    def plain_batches(self, rows: Sequence[int], size: int) -> Iterator[tuple[NDArray[np.int64], Pixels]]:
        """Yield (rows (B,), pixels (B, H, W, 3) uint8) in order, the pixels those that features are computed from."""
        return self._batches(rows, size, lambda row: apply_transform(self._picture(row), self._transform))

    def view_batches(self, rows: Sequence[int], size: int, view: str) -> Iterator[tuple[NDArray[np.int64], Pixels]]:
        """Yield as `plain_batches`, the pixels those that features of a view are computed from."""

        def make(row: int) -> Pixels:
            return make_views(self._picture(row), self._transform, [view], self._digests[row].tobytes())[view]

        return self._batches(rows, size, make)

    def random_batches(
        self, rows: Sequence[int], size: int, *, area: float | None, seed: int, epoch: int
    ) -> Iterator[tuple[NDArray[np.int64], Pixels]]:
        """Yield as `plain_batches`, each image cropped to `area` of it or more, and mirrored, at random.

        Without an `area` it is cropped as TOAST's authors do, see `crop_as_released`.

        The draw depends on the seed, the epoch and the image's digest alone: neither on the batch nor on the threads,
        nor on whether the run was cut short before.
        """

        def draw(row: int) -> Pixels:
            words = self._digests[row].view("<u4").tolist()
            rng = np.random.default_rng([seed, epoch, *words])
            if area is None:
                return crop_as_released(self._picture(row), self._transform, rng)
            return crop_at_random(self._picture(row), self._transform, area, rng)

        return self._batches(rows, size, draw)

    def _batches(
        self, rows: Sequence[int], size: int, pixels_of: Callable[[int], Pixels]
    ) -> Iterator[tuple[NDArray[np.int64], Pixels]]:
        parts = [np.array(rows[first : first + size], np.int64) for first in range(0, len(rows), size)]
        with closing(self._in_threads(parts, lambda part: np.stack([pixels_of(int(row)) for row in part]))) as batches:
            yield from zip(parts, batches, strict=True)

    def _in_threads(self, tasks: Sequence[_T], work: Callable[[_T], _R]) -> Generator[_R]:
        """Yield the results in order, so many of them ahead that no thread waits and memory stays bounded."""
        pool = ThreadPoolExecutor(self._workers)
        waiting: deque[Future[_R]] = deque()
        rest = iter(tasks)
        try:
            while True:
                while len(waiting) < _BATCHES_AHEAD * self._workers and (task := next(rest, None)) is not None:
                    waiting.append(pool.submit(work, task))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _try_decode(self, row: int) -> Pixels | str:
        try:
            return np.asarray(self._decode(row))
        except NotLetInError as exc:
            return f"{exc}; {exc.way_out}"
        except ImageError as exc:
            return str(exc)

    def _picture(self, row: int) -> Image.Image:
        kept = self._kept.get(row)
        if kept is not None:
            return Image.fromarray(kept)
        try:
            return self._decode(row)
        except ImageError as exc:
            message = (
                f"{self._paths[row]} could be read when the training began, and now {exc}. "
                "What was trained is kept: check the file, and run the same command again"
            )
            raise DatasetError(message) from exc

    def _decode(self, row: int) -> Image.Image:
        content = read_image(self._paths[row], self._digests[row].tobytes())
        try:
            with decoded(content, self._decoding, limits=self._limits) as picture:
                return picture
        except MemoryError as exc:
            message = str(exc) or "there was not enough memory to decode it"
            raise ImageError(message) from exc


def crop_at_random(picture: Image.Image, transform: Transform, area: float, rng: np.random.Generator) -> Pixels:
    """Return a random part of an image at the network's input size, mirrored half the time; (H, W, 3) uint8.

    Area and ratio of the part are drawn as Szegedy et al. did ("Going Deeper with Convolutions", CVPR 2015, section
    6): the area uniform, from the share `area` of the image's up to all of it, the logarithm of the ratio uniform; a
    part that would stick out is drawn again, and after ten in vain it is the whole image.
    """
    width, height = picture.size
    box = (0.0, 0.0, float(width), float(height))
    for _ in range(_ATTEMPTS):
        drawn = width * height * rng.uniform(area, 1.0)
        ratio = math.exp(rng.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        w, h = math.sqrt(drawn * ratio), math.sqrt(drawn / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            box = (left, top, left + w, top + h)
            break
    return _resized(picture, transform, box, is_mirrored=rng.random() < 0.5)


def crop_as_released(picture: Image.Image, transform: Transform, rng: np.random.Generator) -> Pixels:
    """Return a square of an image at a random place, mirrored half the time; (H, W, 3) uint8.

    As TOAST's authors do: the image is resized to 256 pixels and 224 of them are cropped, or as much of another input
    size. The shorter side is resized, as in evaluation.
    """
    width, height = picture.size
    high, wide = transform.input_size
    share = _CROPPED * min(width / wide, height / high)
    w, h = wide * share, high * share
    left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
    return _resized(picture, transform, (left, top, left + w, top + h), is_mirrored=rng.random() < 0.5)


def _resized(
    picture: Image.Image, transform: Transform, box: tuple[float, float, float, float], *, is_mirrored: bool
) -> Pixels:
    high, wide = transform.input_size
    pixels = np.asarray(picture.resize((wide, high), _INTERPOLATION[transform.interpolation], box))
    return np.ascontiguousarray(pixels[:, ::-1]) if is_mirrored else np.array(pixels)


def split_for_validation(
    labels: Mapping[int, str], share: float, seed: int, groups: Sequence[int] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows (n_train,) to train on and the rows (n_validation,) to validate on, both sorted.

    Every class gives about its `share`, the fraction left over being drawn, so that the whole comes near it too.
    Rows of one group (`groups` has one for each row) stay on one side; a group is taken if a class of it still lacks
    rows and the whole comes nearer to its share. Where every group is too large for that, nothing is validated on. At
    least one image of each class stays in training.
    """
    rng = np.random.default_rng([seed, len(labels)])
    left = Counter(labels.values())
    wanted = {label: math.floor(n * share + rng.random()) if share else 0 for label, n in sorted(left.items())}
    rows_of: dict[int, list[int]] = {}
    for row in sorted(labels):
        rows_of.setdefault(groups[row] if groups else row, []).append(row)
    members = list(rows_of.values())
    validation: list[int] = []
    target = sum(wanted.values())
    for number in rng.permutation(len(members)):
        counts = Counter(labels[row] for row in members[number])
        is_nearer = len(members[number]) < 2 * (target - len(validation))
        if is_nearer and any(wanted[each] > 0 for each in counts) and all(left[each] > n for each, n in counts.items()):
            validation += members[number]
            left -= counts
            for label, n in counts.items():
                wanted[label] -= n
    training = sorted(set(labels) - set(validation))
    return np.array(training, np.int64), np.array(sorted(validation), np.int64)
