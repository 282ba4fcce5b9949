"""The index of a dataset: what is listed, what is known of each image, and what was found out about it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
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
    FileDigests,
    UsageError,
    as_keys,
    empty_index,
)
from stackbone.cache.findings.applied import with_findings
from stackbone.cache.findings.found import findings_files, read_findings
from stackbone.cache.hdf5.coded_texts import are_told, code_texts
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.given import is_given
from stackbone.cache.records.indexes.listed import Listed
from stackbone.cache.remote.url import is_url
from stackbone.cache.upkeep.dataset_summary import DatasetSummary, summarise_dataset
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.datasets.boxes.fitting import fit_boxes
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.digests import list_dataset
from stackbone.extract.embedding.pipeline import find_unreadable
from stackbone.extract.embedding.plan import distinct_images, inputs_of
from stackbone.extract.embedding.sizes import MeasuredSizes, MeasuredUpright, measure
from stackbone.extract.embedding.spread.findings import as_findings
from stackbone.extract.embedding.spread.image_part import ImagePart
from stackbone.extract.embedding.spread.made_index import MadeIndex
from stackbone.extract.images.limits import USUAL, limits_of
from stackbone.extract.steering_files.choice import choose_backbones
from stackbone.extract.steering_files.steered import read_steered

_SAME_DATASET = 0.5  # share of its images by which a dataset found elsewhere counts as moved or copied
_log = logging.getLogger(__name__)


def preview(
    dataset: Dataset,
    backbones: str | Sequence[str] | None = None,
    store: FeatureStore | None = None,
    *,
    outputs: str | Sequence[str] | None = None,
    views: str | Sequence[str] | None = None,
    map_size: int | None = None,
    steering: Sequence[Path] = (),
    modules: Sequence[Backbone] = (),
    write: bool = False,
    on_progress: Progress | None = None,
) -> DatasetSummary:
    """Return what `extract` would understand of a dataset; no image is decoded, and no network is looked for or loaded.

    Parameters
    ----------
    dataset, backbones, store, outputs, views, map_size, steering, modules, on_progress
        As of `extract`.
    write
        Commit the index, so that parts of a run need not read every file for its digest; by default nothing is written.

    Raises
    ------
    StackboneError
        As of `extract`, as far as that does not look for weights or write.
    """
    choices = choose_backbones(backbones, read_steered(steering), outputs, views, modules, map_size)
    store = store or FeatureStore()
    made = make_index(dataset, store, retry_failed=False, report=on_progress or silent)
    inputs = inputs_of([each.backbone for each in choices])
    if write:
        remarks = made.known_remarks(store, made.index.image_sha256, np.zeros(len(made.index), np.bool_))
        made.write(store, with_findings(made.index, as_findings({}, remarks)))
    return summarise_dataset(store.corrected(made.index), inputs, made.boxes)


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
    made = make_index(dataset, store, retry_failed=limits != USUAL, report=report)
    index = made.index
    images = distinct_images(dataset.root, index.path, index.image_sha256, index.ok, dataset.arrays)
    unproven, is_cut = np.ones(len(images), np.bool_), np.zeros(len(images), np.bool_)
    for each in store.feature_sets():
        with suppress(CacheError):  # of damaged features the images are decoded once more
            if each.shards() and is_given(each.header().spec):
                continue  # nobody decoded these images
            missing, was_cut = each.look_up(images.digests)
            unproven &= missing
            is_cut |= was_cut
    on_image = partial(report, "checking")
    remarks = made.known_remarks(store, images.digests[~unproven], is_cut[~unproven])
    failed = find_unreadable(images, np.flatnonzero(unproven), limits=limits, remarks=remarks, on_progress=on_image)
    index = with_findings(index, as_findings(failed, remarks))
    made.write(store, index)
    rows = np.flatnonzero(~index.ok)
    if len(rows):
        message = "left out, since they cannot be read: %s of %s images; the first is %r: %s"
        _log.warning(message, f"{len(rows):,}", f"{len(index):,}", index.path[rows[0]], index.reason[rows[0]])
    return store.corrected(index)


def make_index(
    dataset: Dataset, store: FeatureStore, *, retry_failed: bool, report: Progress, part: ImagePart | None = None
) -> MadeIndex:
    """Return a dataset's index as it is to be now, for a run that is about all its images, or a part of them.

    Raises
    ------
    UsageError
        If the cache has another dataset of this name.
    """
    files = findings_files(store.root, dataset.name)
    old = store.dataset(dataset.name) if dataset.name in store.dataset_names() else empty_index(dataset.name, "")
    old_boxes = store.boxes(dataset.name)
    measured, upright = MeasuredSizes(), MeasuredUpright()

    def measure_now(digest: bytes, content: bytes) -> None:
        measured.add(digest, content)
        if dataset.boxes is not None:
            upright.add(digest, content)

    listing = list_dataset(dataset, old, partial(report, "reading"), measure_now)
    _refuse_other_dataset(dataset, old, listing.digests)
    reasons, status = _known(listing, old, _forgotten(old, part) if retry_failed else np.zeros(len(old), np.bool_))
    fitted = fit_boxes(dataset.boxes, dataset.root, dataset.paths, listing.digests, old_boxes, upright.sizes)
    index = DatasetIndex(
        name=dataset.name,
        root="" if dataset.arrays else str(dataset.root),
        path=dataset.paths,
        label=code_texts(dataset.labels),
        split=code_texts(dataset.splits),
        group=code_texts(dataset.groups),
        image_sha256=listing.digests,
        status=status,
        reason=code_texts(reasons),
        stamps=listing.stamps,
        sizes=measure(dataset, listing.digests, old, measured.sizes),
        listed=Listed(dataset.skipped, [*dict.fromkeys([*dataset.notes, *fitted.notes])], dataset.asked),
        columns={name: code_texts(cells) for name, cells in dataset.columns.items()},
        label_form=dataset.label_form,
    )
    earlier = read_findings(store.root, dataset.name) if files else {}
    return MadeIndex(index, listing.n_hashed, old, fitted.table, old_boxes, earlier, files, part)


def _forgotten(old: DatasetIndex, part: ImagePart | None) -> NDArray[np.bool_]:
    """Return (n,) bool: which rows of an index failed and are to be tried again."""
    return ~old.ok & part.holds(old.image_sha256) if part else ~old.ok


def _known(
    listing: FileDigests, old: DatasetIndex, forgotten: NDArray[np.bool_]
) -> tuple[list[str], NDArray[np.uint8]]:
    """Return what is known of each file, now or from an earlier run on the same bytes, and whether it failed."""
    failed = np.where(are_told(listing.reasons), FAILED, OK).astype(np.uint8)
    told = are_told(old.reason) & old.image_sha256.any(axis=1)
    rows = np.flatnonzero(told & ~forgotten)
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
    if (
        not len(old)
        or (old.root == here and not old.in_memory)
        or not (old.in_memory or is_url(old.root) or Path(old.root).is_dir())
    ):
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
