"""Fill a cache with the features of a dataset by some backbones, computing only what is missing: the main job."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import (
    FAILED,
    OK,
    CacheError,
    DatasetIndex,
    Digests,
    FeatureStore,
    FileStamps,
    Listing,
    UsageError,
    as_keys,
    empty_index,
    write_seen,
)
from stackbone.cache.progress import Progress, silent
from stackbone.extract.backbones.weights import check_weights_names, named_weights
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.digests import list_dataset
from stackbone.extract.embedding.embedder import Failure
from stackbone.extract.embedding.pipeline import Profile, embed_images, find_unreadable
from stackbone.extract.embedding.plan import EngineOptions, distinct_images, find_weights_of, make_embedder
from stackbone.extract.embedding.report import REMARK_MARK, BackboneReport, ExtractReport
from stackbone.extract.engines.engine import check_engine, check_precision
from stackbone.extract.images.limits import USUAL, limits_of
from stackbone.extract.steering_files.steered import choose_backbones, read_steered, with_hub

_SAME_DATASET = 0.5  # share of its images by which a dataset found elsewhere counts as moved or copied
_log = logging.getLogger(__name__)


def extract(
    dataset: Dataset,
    backbones: str | Sequence[str] | None = None,
    store: FeatureStore | None = None,
    *,
    steering: Sequence[Path] = (),
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
    on_progress: Progress | None = None,
) -> ExtractReport:
    """Embed a dataset's images with some backbones, as far as the cache lacks them.

    Parameters
    ----------
    dataset
        From `open_dataset`.
    backbones
        Names and groups, comma-separated or as a list; by default ``published`` and what `steering` makes.
    store
        The cache; by default `default_cache`.
    steering
        Steering files, or folders of them. Several that make backbones of one name give a feature set each.
    weights
        Files by backbone name; else packages, else the hub.
    random_seed
        Random weights instead of pretrained ones, for tests and timings only.
    precision
        ``fp32``, ``bf16`` or ``fp16``; each gives feature sets of its own.
    engine, device
        See `make_engine`.
    batch_size
        Images that a network takes at once; by default what suits the engine's hardware.
    workers
        Decoding threads; by default one per core.
    retry_failed
        Try images again that failed in an earlier run; so do the next two.
    allow_truncated
        Embed images whose files are cut short, with what is missing grey or black.
    max_pixels
        Pixels that an image may declare, by default 178,956,970, where Pillow stops: a small file can declare many.
    on_progress
        Called with (what is going on, done, in all).

    Returns
    -------
    ExtractReport

    Raises
    ------
    StackboneError
        Of the kinds in `cache.errors`. An image that cannot be read raises nothing: see `ExtractReport.failures`.
    """
    started = time.monotonic()
    report = on_progress or silent
    store = store or FeatureStore()
    check_engine(engine)
    check_precision(precision)
    limits = limits_of(allow_truncated=allow_truncated, max_pixels=max_pixels)
    steered = read_steered(steering)
    chosen = choose_backbones(backbones, steered)
    check_weights_names(weights or {}, chosen)
    find = partial(find_weights_of, files=weights or {}, random_seed=random_seed, report=report)
    # A steered backbone names its weights: the file is looked for only once there is something to embed with it.
    found = find([b for b in chosen if not b.steering]) | {b.key: named_weights(b) for b in chosen if b.steering}
    n_abandoned = store.remove_abandoned()
    index, n_hashed = _list(dataset, store, retry_failed=retry_failed or limits != USUAL, report=report)
    store.write_dataset(index)

    images = distinct_images(dataset.root, index.path, index.image_sha256, index.ok, dataset.arrays)
    specs = {backbone.key: backbone.spec(found[backbone.key].identity, precision) for backbone in chosen}
    sets = {backbone.key: store.feature_set(backbone.name, specs[backbone.key]) for backbone in chosen}
    sound = index.image_sha256[index.ok]
    found |= find([with_hub(b) for b in chosen if b.steering and sets[b.key].missing(sound).any()])
    for each in steered:
        write_seen(sets[each.backbone.key].folder, each.record)
    embedders, on = [], EngineOptions(engine, device, batch_size)
    for backbone in chosen:
        spec, its = specs[backbone.key], found[backbone.key]
        embedders.append(make_embedder(store, backbone, spec, its, images, on, report, limits))
    profile = Profile()
    on_image = partial(report, "embedding")
    remarks: dict[bytes, list[str]] = {}
    failed = embed_images(
        images, embedders, limits=limits, workers=workers, profile=profile, remarks=remarks, on_progress=on_image
    )
    if failed or remarks:
        index = _with_found(index, failed, remarks)
        store.write_dataset(index)
    reports = [
        BackboneReport(
            backbone=e.backbone.name,
            feature_set=e.feature_set.id,
            n_embedded=e.n_embedded,
            n_found=len(images) - int(e.lacking.sum()),
            start_seconds=e.start_seconds,
            embed_seconds=e.embed_seconds,
        )
        for e in embedders
    ]
    n_sound = len(np.unique(as_keys(index.image_sha256[index.ok])))
    seconds = time.monotonic() - started
    return ExtractReport(index, str(store.root), n_hashed, n_sound, n_abandoned, reports, profile, seconds)


def index_dataset(
    dataset: Dataset,
    store: FeatureStore,
    *,
    allow_truncated: bool = False,
    max_pixels: int | None = None,
    on_progress: Progress | None = None,
) -> DatasetIndex:
    """Bring a dataset's index up to date and return it: what `extract` leaves behind, but for the features.

    Images that no feature set has are decoded once, for the index to say which are unreadable: folds are made of the
    others, and have to be the same before and after `extract`.

    Raises
    ------
    UsageError
        If the cache has another dataset of this name.
    CacheError
        If the cache cannot be written.
    """
    report = on_progress or silent
    limits = limits_of(allow_truncated=allow_truncated, max_pixels=max_pixels)
    index, _ = _list(dataset, store, retry_failed=limits != USUAL, report=report)
    images = distinct_images(dataset.root, index.path, index.image_sha256, index.ok, dataset.arrays)
    unproven = np.ones(len(images), np.bool_)
    for each in store.feature_sets():
        with suppress(CacheError):  # of damaged features the images are decoded once more
            unproven &= each.missing(images.digests)
    on_image, remarks = partial(report, "checking"), dict[bytes, list[str]]()
    failed = find_unreadable(images, np.flatnonzero(unproven), limits=limits, remarks=remarks, on_progress=on_image)
    index = _with_found(index, failed, remarks)
    store.write_dataset(index)
    rows = np.flatnonzero(~index.ok)
    if len(rows):
        message = "left out, since they cannot be read: %s of %s images; the first is %r: %s"
        _log.warning(message, f"{len(rows):,}", f"{len(index):,}", index.path[rows[0]], index.reason[rows[0]])
    return index


def _list(dataset: Dataset, store: FeatureStore, *, retry_failed: bool, report: Progress) -> tuple[DatasetIndex, int]:
    """Return the dataset's index, with digests and what is known of failures, and how many files were read."""
    old = store.dataset(dataset.name) if dataset.name in store.dataset_names() else empty_index(dataset.name, "")
    listing = list_dataset(dataset, old, partial(report, "reading"))
    _refuse_other_dataset(dataset, old, listing.digests)
    reasons, status = _known(listing, old, retry_failed=retry_failed)
    index = DatasetIndex(
        name=dataset.name,
        root="" if dataset.arrays else str(dataset.root),
        path=dataset.paths,
        label=dataset.labels,
        split=dataset.splits,
        group=dataset.groups,
        image_sha256=listing.digests,
        status=status,
        reason=reasons,
        stamps=listing.stamps,
    )
    return index, listing.n_hashed


def _known(listing: Listing, old: DatasetIndex, *, retry_failed: bool) -> tuple[list[str], NDArray[np.uint8]]:
    """Return what is known of each file, now or from an earlier run on the same bytes, and whether it failed.

    Parameters
    ----------
    retry_failed
        Forget that files failed in an earlier run.
    """
    failed = np.array([FAILED if reason else OK for reason in listing.reasons], np.uint8)
    told = np.array([bool(reason) for reason in old.reason], np.bool_) & old.image_sha256.any(axis=1)
    rows = np.flatnonzero(told & old.ok if retry_failed else told)
    if not len(rows):
        return listing.reasons, failed
    known = {old.image_sha256[row].tobytes(): (old.reason[row], old.status[row]) for row in rows}
    reasons = list(listing.reasons)
    for row, digest in enumerate(listing.digests):
        if not reasons[row] and digest.tobytes() in known:
            reasons[row], failed[row] = known[digest.tobytes()]
    return reasons, failed


def _refuse_other_dataset(dataset: Dataset, old: DatasetIndex, digests: Digests) -> None:
    """Raise if another dataset has this name, still exists elsewhere, and shares few images with this one."""
    here = "" if dataset.arrays else str(dataset.root)
    if not len(old) or (old.root == here and not old.in_memory) or not (old.in_memory or Path(old.root).is_dir()):
        return
    before, now = as_keys(old.image_sha256[old.ok]), as_keys(digests)
    shared = np.isin(before, now)
    if len(shared) and shared.mean() >= _SAME_DATASET:
        return
    if dataset.arrays and old.in_memory and np.isin(now, before).mean() >= _SAME_DATASET:  # a part of what was there
        return
    place = "that was in memory" if old.in_memory else f"from {old.root}"
    this = f"name={f'{dataset.name}-2'!r}" if dataset.arrays else f"--dataset, such as --dataset {dataset.name}-2"
    message = (
        f"the cache already has a dataset {dataset.name!r} {place}; this one is "
        f"{'in memory, of other images' if dataset.arrays else f'in {dataset.root}'}. "
        f"Give it another name with {this}; features that both need are shared"
    )
    raise UsageError(message)


def _with_found(
    index: DatasetIndex, failed: Mapping[bytes, Failure], remarks: Mapping[bytes, Sequence[str]]
) -> DatasetIndex:
    """Return the index with what was found now; an unread file has no digest, so that the next run reads it again."""
    reasons, digests, stamps = list(index.reason), index.image_sha256.copy(), index.stamps.values.copy()
    status = index.status.copy()
    for row, digest in enumerate(index.image_sha256):
        key = digest.tobytes()
        if key in remarks:
            reasons[row] = REMARK_MARK.join(remarks[key])
        failure = failed.get(key)
        if failure:
            reasons[row], status[row] = failure.reason, FAILED
            if not failure.lasting:
                digests[row], stamps[row, 0] = 0, -1
    return replace(index, status=status, reason=reasons, image_sha256=digests, stamps=FileStamps(stamps))
