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

from stackbone.cache import Digests, FeatureStore, UsageError
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.places.place import bytes_free
from stackbone.cache.progress import Progress, silent
from stackbone.cache.text import counted
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.digests import remembered_rows
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
        Images whose digest the cache does not know, as they are new or changed: their files are read, to learn it.
    n_changed
        Those of them that the index lists: their files are others now, as far as can be told without reading them.
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
    n_changed: int
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
        if self.n_changed:
            lines.append(
                f"{self.n_changed:,} of these changed since they were listed, or are other files of the same names; "
                "those whose bytes are the same after all are not embedded again"
            )
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

    What the cache has is told by its index: files that are not in it, or that changed since it was written, count as
    new, without a look at their bytes.

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
        message = (
            f"found arrays in memory as the {counted(len(dataset.paths), 'image')} of {dataset.name!r}; expected image "
            "files, since a forecast measures how they are read: call `extract` at once, or write the images to files"
        )
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
    known, is_failed, n_changed = _known(dataset, store)
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
        n_changed=n_changed,
        n_to_embed=len(rows),
        n_rows=n_rows,
        cache_bytes=round(n_rows * row_bytes),
        free_bytes=bytes_free(store.root),
        measured=measured,
        shares=[_share(measured, len(rows), n_unread, n) for n in n_workers] if measured else [],
    )


def _known(dataset: Dataset, store: FeatureStore) -> tuple[Digests, NDArray[np.bool_], int]:
    """Return the digests of a dataset's images and which failed, as the cache's index tells of files as they are now.

    Of files that it does not list, or that changed since, the digest is zero; how many changed is returned, too.
    """
    digests = np.zeros((len(dataset.paths), DIGEST_BYTES), np.uint8)
    is_failed = np.zeros(len(dataset.paths), np.bool_)
    n_changed = 0
    if dataset.name in store.dataset_names():
        index = store.dataset(dataset.name)
        places = remembered_rows(dataset, index)
        there = places >= 0
        digests[there] = index.image_sha256[places[there]]
        is_failed[there] = ~index.ok[places[there]] & digests[there].any(axis=1)
        listed = set(index.path)
        n_changed = sum(dataset.paths[i] in listed for i in np.flatnonzero(~there).tolist())
    return digests, is_failed, n_changed


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
