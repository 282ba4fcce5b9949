"""The images of a run: where each is to be read, and the digest that its bytes must have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests
from stackbone.cache.disk.reading import read_listed
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
        return self.arrays.read(self.row, self.digest) if self.arrays else read_listed(self.path, self.digest)


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
        (n,) int: which of the files these images are.
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
        return self.file_digests[self.rows]

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
        return Image(os.path.join(self.root, self.paths[row]), digest, self.arrays, row)
