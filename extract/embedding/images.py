"""The images of a run: where each is to be read, the digest that its bytes must have, and features made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, Digests
from stackbone.cache.disk.digest_sets import of_rows
from stackbone.cache.disk.reading import place_in
from stackbone.cache.maps.reader import MapReader
from stackbone.cache.records.shards.content import Sizes
from stackbone.extract.containers.reading import read_image
from stackbone.extract.datasets.dataset import Dataset
from stackbone.extract.embedding.digests import unwritten_index
from stackbone.extract.images.arrays import Arrays


@dataclass(frozen=True, slots=True)
class Image:
    """An image to embed.

    Attributes
    ----------
    path
        Where to read it.
    digest
        SHA-256 that its bytes must have (32 bytes).
    arrays, row
        Where it is in memory, if it is no file.
    """

    path: str
    digest: bytes
    arrays: Arrays | None = None
    row: int = 0

    def read(self) -> bytes:
        """Return its bytes, if they are those that were listed; raises `ImageError`."""
        return self.arrays.read(self.row, self.digest) if self.arrays else read_image(self.path, self.digest)


@dataclass(frozen=True, eq=False)
class Images(Sequence[Image]):
    """Some images of a dataset, each made when it is asked for: a million of them would take 300 MB.

    Attributes
    ----------
    root
        Folder that the paths are relative to.
    paths
        Of all files of the dataset.
    file_digests
        (n_files, 32) uint8: SHA-256 of all files.
    rows
        (n,) int, ascending: which of the files these images are.
    arrays
        The images of all rows, where they are in memory.
    """

    root: Path
    paths: Sequence[str]
    file_digests: Digests
    rows: NDArray[np.intp]
    arrays: Arrays | None = None

    @property
    def digests(self) -> Digests:
        """(n, 32) uint8: SHA-256 of the images."""
        return of_rows(self.file_digests, self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, which: int) -> Image: ...
    @overload
    def __getitem__(self, which: slice) -> list[Image]: ...
    def __getitem__(self, which: int | slice) -> Image | list[Image]:
        if isinstance(which, slice):
            return [self[i] for i in range(*which.indices(len(self)))]
        row = int(self.rows[which])
        digest = self.file_digests[row].tobytes()
        return Image(place_in(self.root, self.paths[row]), digest, self.arrays, row)


@dataclass(frozen=True, eq=False)
class EmbeddedImages:
    """Images with the features that a model asks for.

    Attributes
    ----------
    paths
        The n images, relative to the working directory where they lie below it.
    digests
        (n, 32) uint8; all zero where a file could not be read.
    reasons
        ``""``, or why an image cannot have features.
    features
        Feature set id to the (n_ok, dim) float32 rows of the images that were asked for and did not fail, in their
        order, or to what was to be kept of them; empty where they were left in the cache.
    n_embedded
        Rows of features computed now, over all feature sets; the others were in the cache.
    remarks
        (path, what is to be known of how it was read) of images that were read now, or are cut short.
    asked
        (n,) which of them were to be embedded.
    maps
        Feature set id to what reads maps of the images that were asked for and did not fail, of those that are maps of
        several strides; it knows the sizes of the upright images too. None where no image has any.
    """

    paths: list[str]
    digests: Digests
    reasons: list[str]
    features: dict[str, NDArray[np.float32]]
    n_embedded: int
    remarks: list[tuple[str, str]]
    asked: NDArray[np.bool_]
    maps: Mapping[str, MapReader] = field(default_factory=dict)

    @property
    def sound_sizes(self) -> Sizes:
        """(n_ok, 2) int64: width and height in pixels of the upright images; (0, 2) where they have no `maps`."""
        reader = next(iter(self.maps.values()), None)
        return np.zeros((0, 2), np.int64) if reader is None else reader.sizes(self.sound_digests)

    @property
    def sound_paths(self) -> list[str]:
        """The n_ok images that have features."""
        return self.sound(self.paths)

    def sound(self, column: Sequence[str]) -> list[str]:
        """Return what a column of the n images has for the n_ok that have features."""
        return [each for each, is_sound in zip(column, self._is_sound, strict=True) if is_sound]

    @property
    def sound_digests(self) -> Digests:
        """``(n_ok, 32)`` SHA-256 of the images that have features."""
        digests: Digests = self.digests[self._is_sound]
        return digests

    def index(self, dataset: Dataset) -> DatasetIndex:
        """Return an index of them, with what the same dataset says of each; nothing is written."""
        return unwritten_index(dataset, self.digests, self.reasons)

    @property
    def failures(self) -> list[tuple[str, str]]:
        """(path, reason) of every image that was asked for and has none."""
        rows = zip(self.paths, self.reasons, self.asked, strict=True)
        return [(path, reason) for path, reason, asked in rows if reason and asked]

    @property
    def _is_sound(self) -> NDArray[np.bool_]:
        return self.asked & np.array([not reason for reason in self.reasons], np.bool_)


@dataclass(frozen=True, eq=False)
class EmbeddedFiles:
    """Features of some files.

    Attributes
    ----------
    reasons
        ``""``, or why a file cannot have features, in the order of the files.
    features
        Feature set id to the (n_ok, dim) float32 rows of the others, in their order; empty where there is none.
    """

    reasons: list[str]
    features: dict[str, NDArray[np.float32]]
