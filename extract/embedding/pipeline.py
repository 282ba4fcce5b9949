"""From files to committed features: read and decode each image once, run every backbone that lacks it."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, ImageError, usable_cores
from stackbone.cache.errors import NotLetInError
from stackbone.cache.progress import Steps
from stackbone.extract.backbones.backbone import Transform
from stackbone.extract.containers.order import in_stored_order
from stackbone.extract.embedding.embedder import Embedder, Failure
from stackbone.extract.embedding.images import Image, Images
from stackbone.extract.images.budget import DecodingBudget
from stackbone.extract.images.decode import decoded, quiet_pillow
from stackbone.extract.images.limits import USUAL, Limits
from stackbone.extract.images.opening import TRUNCATED
from stackbone.extract.views.views import make_views

COMMIT_IMAGES = 2048
COMMIT_SECONDS = 60.0
IMAGES_AHEAD = 64  # decoded and waiting for the networks; with the batches, this bounds the memory
_LEAST_AHEAD = 2  # of several views fewer, which take as much memory together
_BYTES_AHEAD = 96 << 20  # of pixels, for frames of thousands of them a side

Inputs = Mapping[Transform, Sequence[str]]
"""Transform to the views that are made of each image for it."""


@dataclass(frozen=True)
class _Prepared:
    """An image's pixels for every transform and view, its width and height, how they were read, and in what time."""

    pixels: dict[Transform, dict[str, NDArray[np.uint8]]]
    size: tuple[int, int]
    remarks: list[str]
    read_seconds: float
    decode_seconds: float
    resize_seconds: float


@dataclass
class Profile:
    """Where the time went, in seconds.

    Attributes
    ----------
    read, decode, resize
        Of the decoding threads, added up.
    wait
        While the networks waited for pixels.
    commit
        Writing shards.
    """

    read: float = 0.0
    decode: float = 0.0
    resize: float = 0.0
    wait: float = 0.0
    commit: float = 0.0


def embed_images(
    images: Sequence[Image],
    embedders: Sequence[Embedder],
    *,
    limits: Limits = USUAL,
    workers: int | None = None,
    profile: Profile | None = None,
    remarks: dict[bytes, list[str]] | None = None,
    on_progress: Steps | None = None,
) -> dict[bytes, Failure]:
    """Embed images with every backbone that lacks them, and commit the features.

    Reading and decoding run in threads, a bounded number of images ahead of the networks, so that memory does
    not grow with their number. An image that fails is left out of its batch. Before an interrupt or the failure of
    an engine goes on to the caller, what was computed is committed.

    Parameters
    ----------
    images
        Distinct images; those that no backbone lacks are passed over.
    embedders
        Each says which of the images its feature set lacks.
    limits
        Which images are let in.
    workers
        Decoding threads; by default one per core.
    profile
        Added to.
    remarks
        Added to: what is to be known of how an image was read, by digest.
    on_progress
        Called with (images done, images that a backbone lacks).

    Returns
    -------
    dict
        Digest of each failed image, with its `Failure`.
    """
    failed: dict[bytes, Failure] = {}
    profile = profile or Profile()
    lacked = np.flatnonzero(np.any([embedder.lacking for embedder in embedders], axis=0))
    if not len(lacked):
        return failed
    committed_at = time.monotonic()
    inputs = _inputs_of(embedders)
    try:
        with quiet_pillow(limits), closing(_prepare(images, lacked, inputs, workers, profile, limits)) as prepared:
            for done, (number, image, found) in enumerate(prepared, start=1):
                if isinstance(found, Failure):
                    failed[image.digest] = found
                else:
                    _feed(number, image.digest, found, embedders, failed)
                    if remarks is not None and found.remarks:
                        remarks[image.digest] = found.remarks
                in_time = time.monotonic() - committed_at < COMMIT_SECONDS
                for embedder in embedders:
                    if not in_time or embedder.n_uncommitted >= COMMIT_IMAGES:
                        embedder.commit()
                if not in_time:
                    committed_at = time.monotonic()
                if on_progress:
                    on_progress(done, len(lacked))
            for embedder in embedders:
                failed.update(embedder.finish())
    except CacheError:
        raise
    except BaseException:
        for embedder in embedders:
            embedder.rescue()
        raise
    for embedder in embedders:
        embedder.commit()
    profile.commit += sum(embedder.commit_seconds for embedder in embedders)
    return failed


def find_unreadable(
    images: Images,
    numbers: NDArray[np.intp],
    *,
    limits: Limits = USUAL,
    remarks: dict[bytes, list[str]] | None = None,
    on_progress: Steps | None = None,
) -> dict[bytes, Failure]:
    """Return what `embed_images` would say of images that cannot be read or decoded, by digest, embedding nothing.

    Parameters
    ----------
    numbers
        (n,) int: which of the images to look at.
    limits, remarks
        As of `embed_images`.
    on_progress
        Called with (images done, n).
    """
    failed: dict[bytes, Failure] = {}
    with quiet_pillow(limits), closing(_prepare(images, numbers, {}, None, Profile(), limits)) as prepared:
        for done, (_, image, found) in enumerate(prepared, start=1):
            if isinstance(found, Failure):
                failed[image.digest] = found
            elif remarks is not None and found.remarks:
                remarks[image.digest] = found.remarks
            if on_progress:
                on_progress(done, len(numbers))
    return failed


def _feed(
    number: int,
    digest: bytes,
    found: _Prepared,
    embedders: Sequence[Embedder],
    failed: dict[bytes, Failure],
) -> None:
    for embedder in embedders:
        for view, lacking in embedder.lacking_of.items():
            if lacking[number]:
                pixels = found.pixels[embedder.backbone.transform][view]
                is_cut = TRUNCATED in found.remarks
                failed.update(embedder.take(number, digest, pixels, view=view, size=found.size, is_cut=is_cut))


def _inputs_of(embedders: Sequence[Embedder]) -> Inputs:
    """Return the views that are wanted of every image, by transform."""
    views: dict[Transform, dict[str, None]] = {}
    for embedder in embedders:
        views.setdefault(embedder.backbone.transform, {}).update(dict.fromkeys(embedder.lacking_of))
    return {transform: list(wanted) for transform, wanted in views.items()}


def images_ahead(inputs: Inputs) -> int:
    """Return how many images may be decoded and wait: fewer of several views, or of large inputs."""
    n_views = max(map(len, inputs.values()), default=1)
    n_bytes = sum(3 * math.prod(each.input_size) * len(views) for each, views in inputs.items())
    return min(IMAGES_AHEAD, max(_LEAST_AHEAD, min(IMAGES_AHEAD // n_views, _BYTES_AHEAD // max(1, n_bytes))))


def _prepare(
    images: Sequence[Image],
    numbers: NDArray[np.intp],
    inputs: Inputs,
    workers: int | None,
    profile: Profile,
    limits: Limits,
) -> Generator[tuple[int, Image, _Prepared | Failure]]:
    """Yield those numbers with their images and their pixels, or with the reason why there are none.

    They come in order, but for images inside a container: these as they are stored.
    """
    pool = ThreadPoolExecutor(max_workers=workers or usable_cores())
    waiting: deque[tuple[int, Image, Future[_Prepared | Failure]]] = deque()
    rest = in_stored_order(map(int, numbers), lambda number: images[number].path)
    budget = DecodingBudget()
    n_ahead = images_ahead(inputs)
    try:
        while True:
            while len(waiting) < n_ahead and (upcoming := next(rest, None)) is not None:
                image = images[upcoming]
                waiting.append((upcoming, image, pool.submit(_read, image, inputs, budget, limits)))
            if not waiting:
                return
            number, image, future = waiting.popleft()
            started = time.perf_counter()
            found = future.result()
            profile.wait += time.perf_counter() - started
            if isinstance(found, _Prepared):
                profile.read += found.read_seconds
                profile.decode += found.decode_seconds
                profile.resize += found.resize_seconds
            yield number, image, found
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read(image: Image, inputs: Inputs, budget: DecodingBudget, limits: Limits) -> _Prepared | Failure:
    started = time.perf_counter()
    remarks: list[str] = []
    try:
        content = image.read()
    except ImageError as exc:
        return Failure(str(exc), lasting=False)
    read = time.perf_counter()
    try:
        with decoded(content, budget, limits=limits, remarks=remarks) as picture:
            ready = time.perf_counter()
            size = picture.size
            pixels = {each: make_views(picture, each, views, image.digest) for each, views in inputs.items()}
    except NotLetInError as exc:
        return Failure(f"{exc}; {exc.way_out}")
    except ImageError as exc:
        return Failure(str(exc))
    except MemoryError as exc:
        found = str(exc) or "there was not enough memory to decode it"
        return Failure(f"{found}; close other programs and run again", lasting=False)
    return _Prepared(pixels, size, remarks, read - started, ready - read, time.perf_counter() - ready)
