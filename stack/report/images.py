"""The images that a report shows, each known by its row in the dataset's index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex
from stackbone.cache.disk.reading import ListedFile


@dataclass(frozen=True)
class ReportImage:
    """An image that a report shows.

    Attributes
    ----------
    label : str
        As the dataset has it; empty where there is none.
    file : ListedFile
        Where it lies, and which bytes were scored.
    """

    label: str
    file: ListedFile

    @property
    def path(self) -> str:
        """As the dataset lists it."""
        return self.file.path


class ImageList:
    """The images that a report shows, in the order in which its sections ask for them: the first are pictured.

    Parameters
    ----------
    index : DatasetIndex
        Of the dataset.
    """

    def __init__(self, index: DatasetIndex) -> None:
        self._index = index
        self._rows: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def add(self, rows: Iterable[int] | NDArray[np.int64]) -> list[int]:
        """Add the images in these rows of the index, as far as they are not in the list yet; return the rows."""
        found = [int(row) for row in rows]
        self._rows |= dict.fromkeys(found)
        return found

    def records(self) -> dict[int, ReportImage]:
        """Return the images by row, in order."""
        index = self._index
        return {
            row: ReportImage(
                index.label[row], ListedFile(index.root, index.path[row], index.image_sha256[row].tobytes())
            )
            for row in self._rows
        }
