"""A measurement of some seconds: how fast images are read and embedded here, and what memory and room that takes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetError, Digests, FeatureStore, FileDigests, ImageError, empty_index
from stackbone.cache.disk.reading import place_in
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.digests import list_dataset
from stackbone.extract.embedding.embedder import Embedder
from stackbone.extract.embedding.images import Images
from stackbone.extract.embedding.pipeline import embed_images
from stackbone.extract.embedding.plan import distinct_images
from stackbone.extract.embedding.spread.job import Job

_BLOCK = 32  # images beside each other: members of one archive are read together
_MOST_SAMPLED = 4096
_MOST_WEIGHED = 64  # images whose files' sizes are looked at
_HASHING_SHARE = 0.2  # of the time


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Attributes
    ----------
    seconds
        That it took.
    n_tried, n_embedded, n_failed
        Images that were decoded, that went through every network, and that cannot be embedded.
    start_seconds
        To load or convert the networks.
    images_per_s
        Images read, decoded and embedded with every network in a second.
    hash_seconds_an_image, hashed_bytes_per_s, bytes_an_image
        Of reading files for their digests.
    row_bytes
        On disk, of a row of each feature set together.
    memory_bytes
        The most that this process held.
    """

    seconds: float
    n_tried: int
    n_embedded: int
    n_failed: int
    start_seconds: float
    images_per_s: float
    hash_seconds_an_image: float
    hashed_bytes_per_s: float
    bytes_an_image: float
    row_bytes: float
    memory_bytes: int


class _EnoughError(Exception):
    """The time is over."""


def measure_job(
    job: Job, dataset: Dataset, rows: NDArray[np.intp], seconds: float, workers: int | None, report: Progress
) -> Measured:
    """Embed some of a dataset's images into a cache that is thrown away.

    Parameters
    ----------
    rows
        (n,) which of the images may be taken.
    seconds
        About how long, beside the time to start; at least one batch of every network is run.

    Raises
    ------
    DatasetError
        If none of the images that are tried can be read.
    """
    began = time.perf_counter()
    paths, digests, reasons, hash_seconds = _hash_some(dataset, rows, seconds * _HASHING_SHARE, report)
    sound = np.array([not reason for reason in reasons], np.bool_)
    if not sound.any():
        message = (
            f"found none that can be read of the {counted(len(paths), 'image')} of {dataset.name!r} that were tried, "
            f"where at least one is needed to measure; the first is {place_in(os.fspath(dataset.root), paths[0])!r}: "
            f"{reasons[0]}. Put the files back, or let them be read, and run again"
        )
        raise DatasetError(message)
    images = distinct_images(dataset.root, paths, digests, sound)
    mean_bytes = _mean_bytes(images)
    with tempfile.TemporaryDirectory(prefix="stackbone-plan-") as folder:
        store = FeatureStore(folder)
        fillings = job.fillings(store, images)
        embedders = [*job.embedders(fillings).values()]
        n_tried, n_failed, elapsed = _embed_some(images, embedders, job, seconds, workers, report)
        n_rows = sum(each.n_embedded for own in fillings.values() for each in own)
        on_disk = sum(file.stat().st_size for file in Path(folder).rglob("*.h5"))
    start = sum(each.start_seconds for each in embedders)
    n_embedded = min(each.n_run // len(each.lacking_of) for each in embedders)
    n_sets = sum(map(len, fillings.values()))
    return Measured(
        seconds=time.perf_counter() - began,
        n_tried=n_tried,
        n_embedded=n_embedded,
        n_failed=n_failed,
        start_seconds=start,
        images_per_s=max(1, n_embedded) / max(elapsed - start, 1e-6),
        hash_seconds_an_image=hash_seconds / len(paths),
        hashed_bytes_per_s=mean_bytes * len(paths) / max(hash_seconds, 1e-6),
        bytes_an_image=mean_bytes,
        row_bytes=n_sets * on_disk / max(1, n_rows),
        memory_bytes=peak_memory(),
    )


def _hash_some(
    dataset: Dataset, rows: NDArray[np.intp], seconds: float, report: Progress
) -> tuple[list[str], Digests, list[str], float]:
    """Return the paths of the images that were tried in the time, digests, "" or why there is none, and the seconds."""
    began = time.perf_counter()
    paths: list[str] = []
    found: list[FileDigests] = []
    for block in _blocks(rows):
        part = replace(dataset, paths=[dataset.paths[row] for row in block])
        found.append(list_dataset(part, empty_index(dataset.name, ""), partial(silent, "reading")))
        paths += part.paths
        report("reading", len(paths), min(len(rows), _MOST_SAMPLED))
        if len(paths) >= _MOST_SAMPLED or time.perf_counter() - began > seconds:
            break
    reasons = [reason for each in found for reason in each.reasons]
    return paths, np.concatenate([each.digests for each in found]), reasons, time.perf_counter() - began


def _mean_bytes(images: Images) -> float:
    """Return the mean size in bytes of some images' files."""
    sizes = []
    for image in images[:_MOST_WEIGHED]:
        with suppress(ImageError):  # changed just now
            sizes.append(len(image.read()))
    return sum(sizes) / max(1, len(sizes))


def _blocks(rows: NDArray[np.intp]) -> Iterator[list[int]]:
    """Yield rows in blocks that lie beside each other, the blocks in an order of chance that is always the same."""
    starts = np.arange(0, len(rows), _BLOCK)
    for start in np.random.default_rng(0).permutation(starts).tolist():
        yield rows[start : start + _BLOCK].tolist()


def _embed_some(
    images: Images, embedders: list[Embedder], job: Job, seconds: float, workers: int | None, report: Progress
) -> tuple[int, int, float]:
    """Return how many images were decoded, how many of them failed, and the seconds that it took."""
    began = time.perf_counter()
    n_done = 0

    def on_image(done: int, total: int) -> None:
        nonlocal n_done
        n_done = done
        started = [each.start_seconds for each in embedders]
        report("measuring", min(done, total), total)
        if all(each.n_run for each in embedders) and time.perf_counter() - began - sum(started) > seconds:
            raise _EnoughError

    failed = {}
    with suppress(_EnoughError):
        failed = embed_images(images, embedders, limits=job.limits, workers=workers, on_progress=on_image)
    return n_done, len(failed), time.perf_counter() - began


def peak_memory() -> int:
    """Return the most bytes that this process held; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
