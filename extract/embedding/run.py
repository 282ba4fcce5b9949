"""Fill a cache with the features of a dataset by some backbones, computing only what is missing: the main job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

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
    list_digests,
    write_seen,
)
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.listed import Listed
from stackbone.cache.upkeep.dataset_summary import DatasetSummary, summarise_dataset
from stackbone.extract.backbones.weights import check_weights_names, named_weights
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.embedder import Failure
from stackbone.extract.embedding.pipeline import Profile, embed_images, find_unreadable
from stackbone.extract.embedding.plan import EngineOptions, distinct_images, find_weights_of, inputs_of, make_embedder
from stackbone.extract.embedding.report import BackboneReport, ExtractReport
from stackbone.extract.embedding.sizes import measure
from stackbone.extract.engines.engine import check_engine, check_precision
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
    on_listed: Callable[[DatasetSummary], None] | None = None,
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
        Try images again that failed in an earlier run.
    on_listed
        Called with what was understood of the dataset, before any image is decoded.
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
    steered = read_steered(steering)
    chosen = choose_backbones(backbones, steered)
    check_weights_names(weights or {}, chosen)
    find = partial(find_weights_of, files=weights or {}, random_seed=random_seed, report=report)
    # A steered backbone names its weights: the file is looked for only once there is something to embed with it.
    made = {b.key: named_weights(b) for b in chosen if b.steering}
    found = find([b for b in chosen if not b.steering], also=[b.name for b in chosen if b.steering]) | made
    n_abandoned = store.remove_abandoned()
    index, n_hashed = _list(dataset, store, retry_failed=retry_failed, report=report)
    inputs = inputs_of(chosen)
    summary = summarise_dataset(index, inputs)
    if on_listed:
        on_listed(summary)
    store.write_dataset(index)

    images = distinct_images(dataset.root, index.path, index.image_sha256, index.ok)
    specs = {backbone.key: backbone.spec(found[backbone.key].identity, precision) for backbone in chosen}
    sets = {backbone.key: store.feature_set(backbone.name, specs[backbone.key]) for backbone in chosen}
    sound = index.image_sha256[index.ok]
    found |= find([with_hub(b) for b in chosen if b.steering and sets[b.key].missing(sound).any()])
    for each in steered:
        write_seen(sets[each.backbone.key].folder, each.record)
    embedders, on = [], EngineOptions(engine, device, batch_size)
    for backbone in chosen:
        spec, its = specs[backbone.key], found[backbone.key]
        embedders.append(make_embedder(store, backbone, spec, its, images, on, report))
    profile = Profile()
    on_image = partial(report, "embedding")
    failed = embed_images(images, embedders, workers=workers, profile=profile, on_progress=on_image)
    if failed:
        index = _with_failures(index, failed)
        summary = summarise_dataset(index, inputs)
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
    lacking = [each.lacking for each in embedders if each.lacking.any()] or [np.zeros(len(images), np.bool_)]
    seconds = time.monotonic() - started
    return ExtractReport(
        index=index,
        cache=str(store.root),
        n_hashed=n_hashed,
        summary=summary,
        n_decoded=int(np.logical_or.reduce(lacking).sum()),
        n_failed_now=len(failed),
        n_decoded_for_all=int(np.logical_and.reduce(lacking).sum()),
        n_abandoned=n_abandoned,
        backbones=reports,
        profile=profile,
        seconds=seconds,
    )


def preview(
    dataset: Dataset,
    backbones: str | Sequence[str] | None = None,
    store: FeatureStore | None = None,
    *,
    steering: Sequence[Path] = (),
    on_progress: Progress | None = None,
) -> DatasetSummary:
    """Return what `extract` would understand of a dataset; nothing is written, and no network is looked for or loaded.

    Parameters
    ----------
    dataset, backbones, store, steering, on_progress
        As of `extract`.

    Raises
    ------
    StackboneError
        As of `extract`, as far as that does not look for weights or write.
    """
    chosen = choose_backbones(backbones, read_steered(steering))
    index, _ = _list(dataset, store or FeatureStore(), retry_failed=False, report=on_progress or silent)
    return summarise_dataset(index, inputs_of(chosen))


def index_dataset(dataset: Dataset, store: FeatureStore, *, on_progress: Progress | None = None) -> DatasetIndex:
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
    index, _ = _list(dataset, store, retry_failed=False, report=report)
    images = distinct_images(dataset.root, index.path, index.image_sha256, index.ok)
    unproven = np.ones(len(images), np.bool_)
    for each in store.feature_sets():
        with suppress(CacheError):  # of damaged features the images are decoded once more
            unproven &= each.missing(images.digests)
    failed = find_unreadable(images, np.flatnonzero(unproven), on_progress=partial(report, "checking"))
    index = _with_failures(index, failed)
    store.write_dataset(index)
    rows = np.flatnonzero(~index.ok)
    if len(rows):
        message = "left out, since they cannot be read: %s of %s images; the first is %r: %s"
        _log.warning(message, f"{len(rows):,}", f"{len(index):,}", index.path[rows[0]], index.reason[rows[0]])
    return index


def _list(dataset: Dataset, store: FeatureStore, *, retry_failed: bool, report: Progress) -> tuple[DatasetIndex, int]:
    """Return the dataset's index, with digests and what is known of failures, and how many files were read."""
    old = store.dataset(dataset.name) if dataset.name in store.dataset_names() else empty_index(dataset.name, "")
    listing = list_digests(
        dataset.paths,
        {path: i for i, path in enumerate(old.path)},
        old.image_sha256,
        old.stamps,
        root=str(dataset.root),
        on_progress=partial(report, "reading"),
    )
    _refuse_other_dataset(dataset, old, listing.digests)
    reasons = listing.reasons if retry_failed else _known_reasons(listing, old)
    index = DatasetIndex(
        name=dataset.name,
        root=str(dataset.root),
        path=dataset.paths,
        label=dataset.labels,
        split=dataset.splits,
        group=dataset.groups,
        image_sha256=listing.digests,
        status=np.array([FAILED if reason else OK for reason in reasons], np.uint8),
        reason=reasons,
        stamps=listing.stamps,
        sizes=measure(dataset, listing.digests, old),
        listed=Listed(dataset.skipped, dataset.notes),
    )
    return index, listing.n_hashed


def _known_reasons(listing: Listing, old: DatasetIndex) -> list[str]:
    """Return why each file failed, now or, with the same bytes, in an earlier run."""
    rows = np.flatnonzero((old.status == FAILED) & old.image_sha256.any(axis=1))
    known = {old.image_sha256[i].tobytes(): old.reason[i] for i in rows}
    if not known:
        return listing.reasons
    pairs = zip(listing.reasons, listing.digests, strict=True)
    return [reason or known.get(digest.tobytes(), "") for reason, digest in pairs]


def _refuse_other_dataset(dataset: Dataset, old: DatasetIndex, digests: Digests) -> None:
    """Raise if another dataset has this name, still exists elsewhere, and shares few images with this one."""
    if not old.root or old.root == str(dataset.root) or not Path(old.root).is_dir():
        return
    shared = np.isin(as_keys(old.image_sha256[old.ok]), as_keys(digests))
    if not len(shared) or shared.mean() < _SAME_DATASET:
        message = (
            f"the cache already has a dataset {dataset.name!r} from {old.root}; this one is in {dataset.root}. "
            f"Give it another name with --dataset, such as --dataset {dataset.name}-2; features that both "
            "need are shared"
        )
        raise UsageError(message)


def _with_failures(index: DatasetIndex, failed: Mapping[bytes, Failure]) -> DatasetIndex:
    """Return the index with what failed now; an unread file has no digest, so that the next run reads it again."""
    reasons, digests, stamps = list(index.reason), index.image_sha256.copy(), index.stamps.values.copy()
    for row, digest in enumerate(index.image_sha256):
        failure = failed.get(digest.tobytes())
        if failure:
            reasons[row] = failure.reason
            if not failure.lasting:
                digests[row], stamps[row, 0] = 0, -1
    status = np.array([FAILED if reason else OK for reason in reasons], np.uint8)
    return replace(index, status=status, reason=reasons, image_sha256=digests, stamps=FileStamps(stamps))
