"""The digests of a dataset's images, whether they are files or arrays in memory, and an index of no more."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import (
    FAILED,
    OK,
    DatasetIndex,
    Digests,
    FileDigests,
    FileStamps,
    ImageError,
    list_digests,
    usable_cores,
)
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.progress import Steps
from stackbone.cache.records.indexes.listed import Listed
from stackbone.extract.containers.hashing import InsideContainers
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.images.arrays import Arrays
from stackbone.extract.images.decode import quiet_pillow
from stackbone.extract.images.limits import ANY, USUAL

_AHEAD = 64  # images whose bytes may wait for their hash


def list_dataset(
    dataset: Dataset,
    old: DatasetIndex,
    on_progress: Steps,
    on_image: Callable[[bytes, bytes], None] | None = None,
) -> FileDigests:
    """Return the digests of a dataset's images.

    Files that `old` remembers and that are unchanged are not read, nor what lies in them; arrays are hashed every time.

    Parameters
    ----------
    dataset, old, on_progress
        The dataset, its index of an earlier run, and what is called with (images hashed, images to hash).
    on_image
        Called with the digest and the bytes of images inside containers and behind URLs, which are at hand now and
        nowhere near later.

    Raises
    ------
    UsageError
        If an array has pixels of another type or shape than images have.
    """
    if dataset.arrays:
        return _list_arrays(dataset.arrays, on_progress)
    remembered = {path: i for i, path in enumerate(old.path)}
    inside = InsideContainers(os.fspath(dataset.root), on_image)
    with quiet_pillow(ANY if dataset.boxes is not None else USUAL):
        return list_digests(
            dataset.paths,
            remembered,
            old.image_sha256,
            old.stamps,
            root=os.fspath(dataset.root),
            inside=inside,
            on_progress=on_progress,
        )


def remembered_rows(dataset: Dataset, old: DatasetIndex) -> NDArray[np.intp]:
    """Return (n,) which row of an index tells of the bytes of each image as they are now; -1 where none does.

    No file is read: one that is new, or changed since it was listed, has none.

    Parameters
    ----------
    dataset
        With n images that are files.
    old
        Its index of an earlier run.

    Raises
    ------
    RemoteError
        If a server cannot be reached or refuses.
    """
    row_of = {path: row for row, path in enumerate(old.path)}
    rows = np.fromiter((row_of.get(path, -1) for path in dataset.paths), np.intp, len(dataset.paths))
    listed = np.flatnonzero(rows >= 0)
    inside = InsideContainers(os.fspath(dataset.root))
    now, _ = inside.stamps([inside.file_of(dataset.paths[i]) for i in listed.tolist()])
    rows[listed[~FileStamps(old.stamps.values[rows[listed]]).alike(now)]] = -1
    return rows


def _list_arrays(arrays: Arrays, on_progress: Steps) -> FileDigests:
    n = len(arrays)
    digests, reasons = np.zeros((n, DIGEST_BYTES), np.uint8), [""] * n

    def digest(row: int) -> bytes:
        try:
            return hashlib.sha256(arrays.read(row)).digest()
        except ImageError as exc:
            reasons[row] = str(exc)
            return bytes(DIGEST_BYTES)

    with ThreadPoolExecutor(usable_cores()) as pool:
        for start in range(0, n, _AHEAD):
            rows = range(start, min(n, start + _AHEAD))
            for row, found in zip(rows, pool.map(digest, rows), strict=True):
                digests[row] = np.frombuffer(found, np.uint8)
                on_progress(row + 1, n)
    nothing_known = np.full((n, 4), -1, np.int64)
    return FileDigests(digests, FileStamps(nothing_known), reasons, n)


def unwritten_index(dataset: Dataset, digests: Digests, reasons: Sequence[str]) -> DatasetIndex:
    """Return the index of a dataset for use at once: it remembers no file, and is not for a cache.

    Parameters
    ----------
    dataset
        With n images.
    digests
        (n, 32) uint8; all zero where a file could not be read.
    reasons
        "", or why an image cannot be used.
    """
    return DatasetIndex(
        name=dataset.name,
        root="" if dataset.arrays else str(dataset.root),
        path=list(dataset.paths),
        label=list(dataset.labels),
        split=list(dataset.splits),
        group=list(dataset.groups),
        image_sha256=digests,
        status=np.array([FAILED if reason else OK for reason in reasons], np.uint8),
        reason=list(reasons),
        stamps=FileStamps(np.full((len(reasons), 4), -1, np.int64)),
        listed=Listed(dataset.skipped, dataset.notes, dataset.asked),
        columns=dict(dataset.columns),
        label_form=dataset.label_form,
    )


def unread_index(dataset: Dataset) -> DatasetIndex:
    """Return what a dataset says of its images before any is read: every one counts as sound, and has no digest."""
    n = len(dataset.paths)
    return unwritten_index(dataset, np.zeros((n, DIGEST_BYTES), np.uint8), [""] * n)
