"""What a cache's index remembers of archives that did not change since: then none is opened to list it again."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from stackbone.cache import CacheError, DatasetIndex, FeatureStore, FileStamps
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.records.indexes.index import uncorrected
from stackbone.extract.containers.stamps import stamps_of
from stackbone.extract.datasets.archives.found import Archives, find_archives
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.dataset_name import safe_name
from stackbone.extract.datasets.files.annotated import LABELS_ARE, may_be_annotated
from stackbone.extract.datasets.folders.extensions import NO_DECODER, NO_IMAGE, is_image_name
from stackbone.extract.datasets.kind import Request
from stackbone.extract.datasets.remote.listing import find_remote

_BEHIND_SLASH = chr(ord("/") + 1)


def remembered(
    request: Request, name: str | None, asked: Sequence[str], store: FeatureStore
) -> tuple[DatasetIndex, ListedBoxes | None] | None:
    """Return the index of the archives that a request names, and their boxes; None unless they hold what they held.

    Its labels are what listing them would say: corrections of labels are no part of it.

    Parameters
    ----------
    name
        As the user gave it, or None.
    asked
        What was typed: anything else may list them in another way.
    store
        The cache.
    """
    request.once("remote", find_remote)  # which finds archives, too
    archives = request.once("archives", find_archives)
    if archives is None:
        return None
    name = name or safe_name(archives.title)
    try:
        if name not in store.dataset_names():
            return None
        index, boxes = uncorrected(store.dataset(name)), store.boxes(name)
    except CacheError:  # whoever writes it anew says so
        return None
    is_same = index.root == str(archives.root) and list(index.listed.asked) == list(asked) and bool(len(index))
    lost = boxes is None and any(note.startswith(LABELS_ARE) for note in index.listed.notes)
    if not is_same or lost or _reads_more(index) or not _are_unchanged(index, archives):
        return None
    return index, None if boxes is None else _boxes_of(index, boxes)


def _boxes_of(index: DatasetIndex, table: BoxTable) -> ListedBoxes:
    """Return the boxes of images that an index remembers, as the cache keeps them: no annotation is read again."""
    found = zip(index.path, map(table.of, map(bytes, index.image_sha256)), strict=True)
    return ListedBoxes(table.source, {path: boxes for path, boxes in found if boxes is not None})


def _reads_more(index: DatasetIndex) -> bool:
    """Return whether members that were passed over are read now.

    A decoder may have been installed that was missing, and earlier versions took no annotations out of archives.
    """
    return any(
        (each.reason.startswith(NO_DECODER) and is_image_name(each.sort if each.sort[:1] == "." else each.example))
        or (each.reason == NO_IMAGE and may_be_annotated([each.sort]))
        for each in index.listed.skipped
    )


def _are_unchanged(index: DatasetIndex, archives: Archives) -> bool:
    """Return whether all images of an index, and no others, lie in these archives, as their stamps prove."""
    now, _ = stamps_of(os.fspath(archives.root), archives.paths)
    n = 0
    for path, stamp in zip(archives.paths, now.values, strict=True):
        first = bisect_left(index.path, f"{path}/")
        last = bisect_left(index.path, path + _BEHIND_SLASH)
        before = FileStamps(index.stamps.values[first:last])
        if first == last or not before.unchanged(FileStamps(np.broadcast_to(stamp, before.values.shape))).all():
            return False
        n += last - first
    return n == len(index)
