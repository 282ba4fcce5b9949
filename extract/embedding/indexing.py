"""The index of a dataset: what is listed, what is known of each image, and what was found out about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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
    FileStamps,
    StackboneError,
    UsageError,
    as_keys,
    empty_index,
)
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.progress import Progress, silent
from stackbone.cache.records.given import is_given
from stackbone.cache.records.listed import Listed
from stackbone.cache.upkeep.dataset_summary import DatasetSummary, summarise_dataset
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.datasets.boxes.fitting import fit_boxes
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.digests import list_dataset
from stackbone.extract.embedding.embedder import Failure
from stackbone.extract.embedding.pipeline import find_unreadable
from stackbone.extract.embedding.plan import distinct_images, inputs_of
from stackbone.extract.embedding.report import REMARK_MARK
from stackbone.extract.embedding.sizes import MeasuredSizes, measure
from stackbone.extract.images.limits import USUAL, limits_of
from stackbone.extract.images.opening import TRUNCATED
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
    on_progress: Progress | None = None,
) -> DatasetSummary:
    """Return what `extract` would understand of a dataset; nothing is written, and no network is looked for or loaded.

    Parameters
    ----------
    dataset, backbones, store, outputs, views, map_size, steering, modules, on_progress
        As of `extract`.

    Raises
    ------
    StackboneError
        As of `extract`, as far as that does not look for weights or write.
    """
    choices = choose_backbones(backbones, read_steered(steering), outputs, views, modules, map_size)
    store = store or FeatureStore()
    made = make_index(dataset, store, retry_failed=False, report=on_progress or silent)
    inputs = inputs_of([each.backbone for each in choices])
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
    index = with_found(index, failed, remarks)
    store.write_dataset(index)
    made.write_boxes(store)
    rows = np.flatnonzero(~index.ok)
    if len(rows):
        message = "left out, since they cannot be read: %s of %s images; the first is %r: %s"
        _log.warning(message, f"{len(rows):,}", f"{len(index):,}", index.path[rows[0]], index.reason[rows[0]])
    return store.corrected(index)


@dataclass(frozen=True, eq=False)
class MadeIndex:
    """A dataset's index, with digests and what is known of failures.

    Attributes
    ----------
    index
        The index.
    n_hashed
        How many files were read.
    old
        The index of the run before; of no images if there was none.
    boxes, old_boxes
        Those of the dataset's objects, now and of the run before; None where there are none.
    """

    index: DatasetIndex
    n_hashed: int
    old: DatasetIndex
    boxes: BoxTable | None = None
    old_boxes: BoxTable | None = None

    def write_boxes(self, store: FeatureStore) -> None:
        """Commit the boxes in the place of those of the run before, if they are others; `CacheError` if that fails."""
        now, before = self.boxes, self.old_boxes
        if now is not before and (now is None or before is None or not now.equals(before)):
            store.write_boxes(self.index.name, now)

    def known_remarks(self, store: FeatureStore, found: Digests, is_cut: NDArray[np.bool_]) -> dict[bytes, list[str]]:
        """Return how images were read that are not read now, as far as the cache tells and the index does not.

        Parameters
        ----------
        found
            (n, 32) uint8: images whose features are in the cache.
        is_cut
            (n,) bool: which of them are cut short, as the shards say. Whatever else was said of an image that the
            dataset has for the first time, the indexes of other datasets say.

        Returns
        -------
        dict
            Remarks by digest.
        """
        remarks: dict[bytes, list[str]] = {}
        new = _heads(found)[~np.isin(_heads(found), _heads(self.old.image_sha256))]
        for name in store.dataset_names() if len(new) else ():
            with suppress(StackboneError):  # what is damaged or gone, `verify` tells
                remarks |= _told(store.dataset(name), new)
        known = _told(self.index, _heads(found[is_cut])) if is_cut.any() else {}
        for digest in map(bytes, found[is_cut]):
            said = remarks.get(digest) or known.get(digest, [])
            if TRUNCATED not in said:
                remarks[digest] = [*said, TRUNCATED]
        return remarks


def _told(index: DatasetIndex, heads: NDArray[np.uint64]) -> dict[bytes, list[str]]:
    """Return what an index tells of how images were read, by digest."""
    told = np.array([bool(reason) for reason in index.reason], np.bool_) & index.ok
    rows = np.flatnonzero(told)
    rows = rows[np.isin(_heads(index.image_sha256[rows]), heads)]
    return {index.image_sha256[row].tobytes(): index.reason[row].split(REMARK_MARK) for row in rows}


def _heads(digests: Digests) -> NDArray[np.uint64]:
    """Return (n,) uint64, the first bytes of digests: enough to tell images apart, and quick to compare."""
    heads: NDArray[np.uint64] = np.ascontiguousarray(digests[:, :8]).view(np.uint64).reshape(-1)
    return heads


def make_index(dataset: Dataset, store: FeatureStore, *, retry_failed: bool, report: Progress) -> MadeIndex:
    """Return a dataset's index as it is to be now.

    Raises
    ------
    UsageError
        If the cache has another dataset of this name.
    """
    old = store.dataset(dataset.name) if dataset.name in store.dataset_names() else empty_index(dataset.name, "")
    old_boxes = store.boxes(dataset.name)
    measured = MeasuredSizes()
    listing = list_dataset(dataset, old, partial(report, "reading"), measured)
    _refuse_other_dataset(dataset, old, listing.digests)
    reasons, status = _known(listing, old, retry_failed=retry_failed)
    fitted = fit_boxes(dataset.boxes, dataset.root, dataset.paths, listing.digests, old_boxes)
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
        sizes=measure(dataset, listing.digests, old, measured.sizes),
        listed=Listed(dataset.skipped, [*dataset.notes, *fitted.notes], dataset.asked),
        columns=dict(dataset.columns),
        label_form=dataset.label_form,
    )
    return MadeIndex(index, listing.n_hashed, old, fitted.table, old_boxes)


def _known(listing: FileDigests, old: DatasetIndex, *, retry_failed: bool) -> tuple[list[str], NDArray[np.uint8]]:
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


def with_found(
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
