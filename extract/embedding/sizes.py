"""How large the images are, from the headers of some: what is known before any is decoded.

The images with the smallest digests are measured. That is a fair sample, and nearly the same one after images were
added, so that a run measures what is new alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from heapq import heappush, heapreplace
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, Digests, usable_cores
from stackbone.cache.disk.reading import place_in
from stackbone.cache.errors import lost_server
from stackbone.extract.containers.opening import open_source
from stackbone.extract.containers.place import split_place
from stackbone.extract.datasets.boxes.sizes import Size, size_of
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.images.decode import quiet_pillow
from stackbone.extract.images.formats import declared_size

MOST_MEASURED = 1000
_MOST_PIXELS = 1 << 31  # of a side; no format of images declares more


def measure(
    dataset: Dataset, digests: Digests, old: DatasetIndex, inside: Mapping[bytes, tuple[int, int]] | None = None
) -> NDArray[np.int64]:
    """Return (n, 2) int64, width and height in pixels that the files of a sample declare; 0 of all other rows.

    An image that cannot be read counts as not measured: why, its embedding will say.

    Parameters
    ----------
    digests
        (n, 32) uint8 of the dataset's files; zero where one could not be read.
    old
        The dataset's index of an earlier run, whose sizes are not read again.
    inside
        What images inside containers declared when they were hashed, by digest; of others of these nothing is said.
    """
    sizes = np.zeros((len(digests), 2), np.int64)
    rows = _sample(digests)
    known = _known(old) | dict(inside or {})
    for row in rows:
        sizes[row] = known.get(digests[row].tobytes(), (0, 0))
    unknown = rows[~sizes[rows].all(axis=1)]
    if not len(unknown):
        return sizes
    if dataset.arrays:
        sizes[unknown] = [dataset.arrays.size(row) for row in unknown]
        return sizes
    files = [row for row in unknown.tolist() if split_place(os.fspath(dataset.root), dataset.paths[row]) is None]
    paths = [place_in(dataset.root, dataset.paths[row]) for row in files]
    with quiet_pillow(), ThreadPoolExecutor(max_workers=min(8, usable_cores() + 2)) as pool:
        for row, size in zip(files, pool.map(_declared_size, paths), strict=True):
            sizes[row] = size
    return sizes


class MeasuredSizes:
    """Sizes in pixels that images declare, of as many images with the smallest digests as a dataset is measured by.

    Attributes
    ----------
    sizes
        Digest to (width, height) in pixels; (0, 0) of what tells no size.
    """

    def __init__(self) -> None:
        self.sizes: dict[bytes, tuple[int, int]] = {}
        self._largest: list[int] = []  # the digests, negated: a heap has its smallest first

    def add(self, digest: bytes, content: bytes) -> None:
        """Measure an image if its digest is among the smallest so far."""
        number = -int.from_bytes(digest, "big")
        if digest in self.sizes or (len(self.sizes) >= MOST_MEASURED and number < self._largest[0]):
            return
        self.sizes[digest] = checked_size(io.BytesIO(content))
        if len(self.sizes) > MOST_MEASURED:
            gone = heapreplace(self._largest, number)
            del self.sizes[(-gone).to_bytes(len(digest), "big")]
        else:
            heappush(self._largest, number)


class MeasuredUpright:
    """Sizes in pixels of the images of a dataset with boxes, upright and as stored, while their bytes are at hand.

    Attributes
    ----------
    sizes
        By digest, as of `extract.datasets.boxes.sizes.size_of`.
    """

    def __init__(self) -> None:
        self.sizes: dict[bytes, tuple[Size, Size]] = {}

    def add(self, digest: bytes, content: bytes) -> None:
        """Measure an image."""
        self.sizes[digest] = size_of(io.BytesIO(content))


def _sample(digests: Digests) -> NDArray[np.intp]:
    """Return the rows of the smallest digests, one of each image."""
    rows = np.flatnonzero(digests.any(axis=1))
    keys = np.ascontiguousarray(digests[rows, :8]).view(">u8").reshape(-1)
    if len(keys) > MOST_MEASURED:
        least = np.argpartition(keys, MOST_MEASURED)[:MOST_MEASURED]
        rows, keys = rows[least], keys[least]
    return np.sort(rows[np.unique(keys, return_index=True)[1]])


def _known(old: DatasetIndex) -> dict[bytes, tuple[int, int]]:
    if old.sizes is None:
        return {}
    rows = np.flatnonzero(old.sizes.all(axis=1))
    return {old.image_sha256[row].tobytes(): (int(old.sizes[row, 0]), int(old.sizes[row, 1])) for row in rows}


def _declared_size(path: str) -> tuple[int, int]:
    try:
        with open_source(path) as stream:
            return checked_size(stream)
    except OSError as exc:
        if lost_server(exc):
            raise
        return 0, 0


def checked_size(stream: BinaryIO) -> tuple[int, int]:
    """Return width and height in pixels that an image declares, which is open at its start; (0, 0) if it tells none.

    Raises
    ------
    RemoteError
        If the server that it is read from cannot be asked, whatever a decoder makes of that.
    """
    try:
        width, height = declared_size(stream)
    except Exception as exc:  # decoders of hostile files raise anything
        if lost := lost_server(exc):
            raise lost from exc
        return 0, 0
    return (width, height) if 0 < width < _MOST_PIXELS and 0 < height < _MOST_PIXELS else (0, 0)
