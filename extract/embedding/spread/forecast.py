"""What a run will take: images, time, room and memory, here and on several machines like this one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetError, Digests, FeatureStore, UsageError
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.places.place import bytes_free
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.plan import EngineOptions, distinct_images
from stackbone.extract.embedding.spread.job import find_job
from stackbone.extract.embedding.spread.measured import Measured, measure_job
from stackbone.extract.images.limits import USUAL, limits_of


@dataclass(frozen=True)
class Share:
    """What one of several machines, or processes with as many cores as this one, will take.

    Attributes
    ----------
    n_workers
        How many there are.
    n_images
        Images that each embeds.
    seconds
        Until all are done: reading files for their digests (once, on one machine), starting, embedding.
    memory_bytes
        Of each, with what this process holds of the dataset.
    """

    n_workers: int
    n_images: int
    seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What embedding a dataset will take.

    Attributes
    ----------
    dataset, cache
        Name of the dataset, and the cache.
    feature_sets
        Those asked for.
    n_images
        Listed images.
    n_bytes
        Of their files together, from the mean of those that were read.
    n_unread
        Images whose digest the cache does not know: their files are read once more, to learn it.
    n_to_embed, n_rows
        Images that a feature set lacks, as far as known, and rows of all feature sets together.
    cache_bytes, free_bytes
        What those rows take on disk, and the room that is there; None where nobody can say.
    measured
        What was measured; None where nothing is to be embedded.
    shares
        For one machine, and for several.
    """

    dataset: str
    cache: str
    feature_sets: list[str]
    n_images: int
    n_bytes: int
    n_unread: int
    n_to_embed: int
    n_rows: int
    cache_bytes: int
    free_bytes: int | None
    measured: Measured | None
    shares: list[Share]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return what people read above the table of `shares`."""
        names = ", ".join(self.feature_sets)
        images = counted(self.n_images, "image")
        if self.measured is None:
            return [f"{self.dataset}: {images}; nothing to embed: every feature of {names} is in {self.cache}"]
        m = self.measured
        found = self.n_images - self.n_to_embed
        lines = [
            f"{self.dataset}: {images}, about {_size(self.n_bytes)}",
            f"to embed: {self.n_to_embed:,} images with {names}"
            + (f"; {found:,} are there or failed" if found else ""),
            f"measured for {m.seconds:.0f} s on {counted(m.n_embedded, 'image')}: {m.images_per_s:,.1f} a second, "
            f"after {m.start_seconds:.1f} s to start; {_size(round(m.hashed_bytes_per_s))} a second for digests",
        ]
        if m.n_failed:
            lines.append(f"{m.n_failed:,} of these {counted(m.n_tried, 'image')} failed; `stackbone extract` says why")
        room = f" of {_size(self.free_bytes)} free" if self.free_bytes is not None else ""
        lines.append(f"the cache {self.cache} grows by about {_size(self.cache_bytes)}{room}")
        if self.free_bytes is not None and self.cache_bytes > self.free_bytes:
            lines.append("that is more than there is: free space, or name a cache on another disk with --cache")
        return lines

    def rows(self) -> list[list[str]]:
        """Return (workers, images each, expected time, memory each) for people."""
        return [
            [
                "this machine" if each.n_workers == 1 else f"{each.n_workers:,} like it",
                f"{each.n_images:,}",
                str(timedelta(seconds=math.ceil(each.seconds))),
                _size(each.memory_bytes),
            ]
            for each in self.shares
        ]


HEADER = ["where", "images each", "expected time", "memory each"]
"""Of the rows."""


def forecast(
    dataset: Dataset,
    backbones: str | Sequence[str] | None = None,
    store: FeatureStore | None = None,
    *,
    outputs: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    map_size: int | None = None,
    steering: Sequence[Path] = (),
    modules: Sequence[Backbone] = (),
    weights: Mapping[str, Path] | None = None,
    random_seed: int | None = None,
    precision: str = "fp32",
    engine: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    retry_failed: bool = False,
    allow_truncated: bool = False,
    max_pixels: int | None = None,
    seconds: float = 10.0,
    n_workers: Sequence[int] = (1, 4, 16),
    on_progress: Progress | None = None,
) -> Forecast:
    """Return what `extract` would take; images are embedded for some seconds, and nothing is written to the cache.

    What the cache has is told by its index: files that are not in it count as new, without a look at their bytes.

    Parameters
    ----------
    dataset, backbones, store, outputs, views, map_size, steering, modules, weights, random_seed, precision, engine,
    device, batch_size, workers, retry_failed, allow_truncated, max_pixels, on_progress
        As of `extract`.
    seconds
        About how long to measure, beside the time to start the networks.
    n_workers
        For how many machines like this one to tell.

    Raises
    ------
    StackboneError
        As of `extract`.
    UsageError
        If the images are arrays in memory.
    DatasetError
        If none of the images that were tried can be read.
    """
    report = on_progress or silent
    store = store or FeatureStore()
    if dataset.arrays:
        message = f"the images of {dataset.name!r} are in memory: a forecast is for files. Call `extract` at once"
        raise UsageError(message)
    job = find_job(
        backbones,
        outputs=outputs,
        views=views,
        map_size=map_size,
        steering=steering,
        modules=modules,
        weights=weights,
        random_seed=random_seed,
        precision=precision,
        on=EngineOptions(engine, device, batch_size),
        limits=limits_of(allow_truncated=allow_truncated, max_pixels=max_pixels),
        report=report,
    )
    known, is_failed = _known(dataset, store)
    is_new = ~known.any(axis=1) & ~is_failed
    is_tried = ~is_failed | retry_failed | (job.limits != USUAL)
    images = distinct_images(dataset.root, dataset.paths, known, known.any(axis=1) & is_tried)
    fillings = [each for own in job.fillings(store, images).values() for each in own]
    lacking = np.logical_or.reduce([each.lacking for each in fillings])
    rows = np.sort(np.concatenate([images.rows[lacking], np.flatnonzero(is_new)]))
    measured = None
    if len(rows):
        job = job.ready(job.backbones, report)
        measured = measure_job(job, dataset, rows, seconds, workers, report)
        if measured is None:
            message = (
                f"none of the images of {dataset.name!r} that were tried can be read. `stackbone extract` says why, "
                "image by image"
            )
            raise DatasetError(message)
    n_unread = int(is_new.sum())
    n_rows = sum(int(each.lacking.sum()) for each in fillings) + n_unread * len(fillings)
    row_bytes = measured.row_bytes / len(fillings) if measured else 0.0
    return Forecast(
        dataset=dataset.name,
        cache=str(store.root),
        feature_sets=[each.feature_set.id for each in fillings],
        n_images=len(dataset.paths),
        n_bytes=round(measured.bytes_an_image * len(dataset.paths)) if measured else 0,
        n_unread=n_unread,
        n_to_embed=len(rows),
        n_rows=n_rows,
        cache_bytes=round(n_rows * row_bytes),
        free_bytes=bytes_free(store.root),
        measured=measured,
        shares=[_share(measured, len(rows), n_unread, n) for n in n_workers] if measured else [],
    )


def _known(dataset: Dataset, store: FeatureStore) -> tuple[Digests, NDArray[np.bool_]]:
    """Return the digests of a dataset's images as the cache's index has them, zero where it has none, and failures."""
    digests = np.zeros((len(dataset.paths), DIGEST_BYTES), np.uint8)
    is_failed = np.zeros(len(dataset.paths), np.bool_)
    if dataset.name in store.dataset_names():
        index = store.dataset(dataset.name)
        row_of = {path: row for row, path in enumerate(index.path)}
        places = np.array([row_of.get(path, -1) for path in dataset.paths], np.int64)
        there = places >= 0
        digests[there] = index.image_sha256[places[there]]
        is_failed[there] = ~index.ok[places[there]] & digests[there].any(axis=1)
    return digests, is_failed


def _share(measured: Measured, n_to_embed: int, n_unread: int, n_workers: int) -> Share:
    """Return what each of some workers will take: files are read for their digests once, and the rest is divided."""
    n_images = math.ceil(n_to_embed / n_workers)
    reading = n_unread * measured.hash_seconds_an_image
    seconds = reading + measured.start_seconds + n_images / measured.images_per_s
    return Share(n_workers, n_images, seconds, measured.memory_bytes)


def _size(n_bytes: int) -> str:
    """Return a number of bytes in words, such as ``1.2 GB``."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:,.1f} {unit}"
    return counted(n_bytes, "byte")
