"""What a cache's index remembers of archives that did not change since: then none is opened to list it again."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from stackbone.cache import CacheError, DatasetIndex, FeatureStore, FileStamps
from stackbone.cache.records.index import uncorrected
from stackbone.extract.containers.stamps import stamps_of
from stackbone.extract.datasets.archives.found import Archives, find_archives
from stackbone.extract.datasets.dataset_name import safe_name
from stackbone.extract.datasets.folders.extensions import NO_DECODER, is_image_name
from stackbone.extract.datasets.kind import Request
from stackbone.extract.datasets.remote.listing import find_remote

_BEHIND_SLASH = chr(ord("/") + 1)


def remembered(request: Request, name: str | None, asked: Sequence[str], store: FeatureStore) -> DatasetIndex | None:
    """Return the index of the archives that a request names, if they hold what they held; None if that is not proven.

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
        index = uncorrected(store.dataset(name))
    except CacheError:  # whoever writes it anew says so
        return None
    is_same = index.root == str(archives.root) and list(index.listed.asked) == list(asked) and bool(len(index))
    return index if is_same and not _reads_more(index) and _are_unchanged(index, archives) else None


def _reads_more(index: DatasetIndex) -> bool:
    """Return whether a decoder is installed now that was missing when members were passed over for want of it."""
    return any(
        each.reason.startswith(NO_DECODER) and is_image_name(each.sort if each.sort[:1] == "." else each.example)
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
