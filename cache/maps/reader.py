"""Maps of images by digest: each read is one piece of one file, so that training can stream them from the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests, as_keys
from stackbone.cache.errors import CacheError, CorruptFileError, UsageError
from stackbone.cache.hdf5.opening import corrupt_message
from stackbone.cache.maps.rows import ShardRows
from stackbone.cache.places.opened import Stamp
from stackbone.cache.places.place import Place
from stackbone.cache.records.feature_name import PYRAMID
from stackbone.cache.records.shard import read_layout
from stackbone.cache.records.shards.content import ShardHeader, ShardLayout, Sizes
from stackbone.cache.records.shards.pyramid import strides_of

_TRIES = 100  # to read rows of shards that `compact` may replace meanwhile


class MapLevel(NamedTuple):
    """One map of an image, of those that a network gives.

    Attributes
    ----------
    stride
        Pixels of the frame from one cell to the next: the cell in row i and column j is that of the square from
        (j * stride, i * stride) to ((j + 1) * stride, (i + 1) * stride).
    height, width
        Cells.
    depth
        Features of a cell.
    """

    stride: int
    height: int
    width: int
    depth: int


class ReadEach(Protocol):
    """`FeatureSet.read_each`, of layouts."""

    def __call__(self, read: Callable[[Place, str], ShardLayout]) -> Iterator[tuple[Place, ShardLayout]]:
        """Yield (path, what `read` returns) of every shard."""
        ...


class MapReader:
    """Reads the maps of some images of a feature set. Threads may share it.

    Memory: about 100 bytes for each image of the feature set, and what `read` returns twice.

    Attributes
    ----------
    levels
        Its maps, the finest first.
    side
        Of the square frame that an image was put into (`Letterbox`), in pixels.
    """

    levels: tuple[MapLevel, ...]
    side: int

    def __init__(self, identity: str, header: ShardHeader, read_each: ReadEach) -> None:
        self._id, self._header, self._read_each = identity, header, read_each
        self.levels = _levels_of(identity, header)
        self.side = header.spec.input_size[0]
        self._proven: dict[Place, Stamp | None] = {}
        self._index = self._list()

    def has(self, digests: Digests) -> NDArray[np.bool_]:
        """Return (n,) bool: where an image of (n, 32) digests has maps."""
        return self._index.find(digests) >= 0

    def sizes(self, digests: Digests) -> Sizes:
        """Return (b, 2) int64: width and height in pixels of upright images, as they were before they were resized.

        Raises
        ------
        CacheError
            If an image has no maps here.
        """
        index = self._index  # another thread may take a new one
        return index.sizes[self._found(index, digests)]

    def read(self, digests: Digests) -> list[NDArray[np.float16]]:
        """Return the maps of some images.

        Parameters
        ----------
        digests
            (b, 32) uint8; doubles are allowed.

        Returns
        -------
        list of numpy.ndarray
            For each of `levels` (b, height, width, depth) float16.

        Raises
        ------
        CacheError
            If an image has no maps here, or shards vanish again and again.
        CorruptFileError
            If a shard is damaged.
        """
        rows: NDArray[np.float16] = np.empty((len(digests), self._header.dim), np.float16)
        for _ in range(_TRIES):
            index = self._index
            try:
                self._read_into(rows, index, self._found(index, digests))
            except FileNotFoundError:  # merged away: what took its place has the rows
                self._index = self._list()
                continue
            return self._split(rows)
        message = (
            f"shards of {self._id} vanished {_TRIES} times while they were read: another process keeps merging or "
            "removing them. Run again when it is done"
        )
        raise CacheError(message)

    def _read_into(self, rows: NDArray[np.float16], index: _Index, entries: NDArray[np.int64]) -> None:
        numbers = index.shard[entries]
        for number in np.unique(numbers):
            places = np.flatnonzero(numbers == number)
            places = places[np.argsort(index.row[entries[places]], kind="stable")]
            shard = index.shards[number]
            target = np.empty((len(places), rows.shape[1]), np.float16)
            stamp = shard.read(index.row[entries[places]], target, self._proven.get(shard.path))
            self._proven[shard.path] = stamp
            rows[places] = target

    def _split(self, rows: NDArray[np.float16]) -> list[NDArray[np.float16]]:
        ends = np.cumsum([level.height * level.width * level.depth for level in self.levels])
        pieces = np.split(rows, ends[:-1], axis=1)
        return [piece.reshape(len(rows), *level[1:]) for piece, level in zip(pieces, self.levels, strict=True)]

    def _found(self, index: _Index, digests: Digests) -> NDArray[np.int64]:
        found = index.find(digests)
        if (found < 0).any():
            message = (
                f"the feature set {self._id} lacks {int((found < 0).sum()):,} of {len(digests):,} images. "
                "Run `stackbone extract` on the dataset to embed them"
            )
            raise CacheError(message)
        return found

    def _list(self) -> _Index:
        shards, digests, sizes = [], [], []
        for path, layout in self._read_each(read_layout):
            if (layout.header.dim, layout.header.form, layout.header.dtype) != (
                self._header.dim,
                self._header.form,
                self._header.dtype,
            ):
                found = f"its maps are not those of other shards of {self._id}"
                raise CorruptFileError(corrupt_message(path, found))
            if layout.sizes is None:
                raise CorruptFileError(corrupt_message(path, "it does not tell how large its images are"))
            shards.append(ShardRows(path, layout.header, layout.seal))
            digests.append(layout.digests)
            sizes.append(layout.sizes)
        return _Index(shards, digests, sizes)


class _Index:
    """Where each image's row is: the first of the first shard that holds it."""

    def __init__(self, shards: list[ShardRows], digests: list[Digests], sizes: list[Sizes]) -> None:
        counts = [len(each) for each in digests]
        every = np.concatenate(digests) if digests else np.zeros((0, DIGEST_BYTES), np.uint8)
        self.keys, first = np.unique(as_keys(every), return_index=True)
        self.shards = shards
        self.shard = np.repeat(np.arange(len(counts)), counts)[first]
        rows = np.arange(len(every)) - np.repeat(np.cumsum([0, *counts])[:-1], counts)
        self.row: NDArray[np.int64] = rows[first].astype(np.int64)
        self.sizes: Sizes = np.concatenate(sizes)[first] if sizes else np.zeros((0, 2), np.int64)

    def find(self, digests: Digests) -> NDArray[np.int64]:
        """Return (n,) which entry is that of each image, -1 of one that is not here."""
        wanted = as_keys(digests)
        if not len(self.keys):
            return np.full(len(wanted), -1, np.int64)
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[places] == wanted, places, -1).astype(np.int64)


def _levels_of(identity: str, header: ShardHeader) -> tuple[MapLevel, ...]:
    form = header.form
    strides = strides_of(form)
    if not strides or header.dtype != "float16":
        message = (
            f"{identity} holds the output {header.spec.output!r}, and maps to detect on are read of {PYRAMID!r} alone. "
            f"Run `stackbone extract` with --outputs {PYRAMID}"
        )
        raise UsageError(message)
    return tuple(MapLevel(stride, *shape) for stride, shape in zip(strides, form.map_shapes, strict=True))
