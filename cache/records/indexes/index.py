"""The index of a dataset: which image of which label is which digest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.corrections.corrected import Corrected
from stackbone.cache.disk.digest import DIGEST_BYTES, Digests, FileStamps
from stackbone.cache.hdf5.coded_texts import Texts, count_texts
from stackbone.cache.labels.numbers import NUMBERS
from stackbone.cache.labels.sets import SETS, split_names
from stackbone.cache.lazy import later
from stackbone.cache.records.indexes.listed import Listed
from stackbone.cache.text import counted

OK, FAILED = 0, 1


@dataclass(frozen=True, repr=False)
class DatasetIndex:
    """One row per listed image, in the dataset's order.

    Attributes
    ----------
    name
        Of the dataset; its file is ``datasets/NAME.h5``.
    root
        Folder that the paths are relative to, as it was when listed; ``""`` of images that were arrays in memory.
    path, label, split, group
        Sequences of n strings; ``""`` where there is none. Those of an index that was read are lists, or `CodedTexts`
        where many are equal.
    image_sha256
        (n, 32) uint8; zero where the file could not be read.
    status
        (n,) uint8: 0 listed, 1 failed.
    reason
        n strings: why a row failed, or what is to be known of how a sound one was read, else ``""``.
    stamps
        `FileStamps` of the files, so that an unchanged one is not read again.
    sizes
        (n, 2) int64, width and height in pixels as the file declares them; 0 of a file that was not measured. None
        where none was.
    listed
        What was met beside the images, and what was believed.
    columns
        Further columns of the dataset's table, by name: sequences of n strings, ``""`` where there is nothing.
    label_form
        What a label is: ``""`` for the name of one class, else one of `cache.labels.forms.FORMS`: names of any number
        of labels, or several numbers.
    corrected
        What corrections made of the labels, where there are any: `label` has them already. Not part of the file.
    """

    name: str
    root: str
    path: list[str]
    label: Texts
    split: Texts
    group: Texts
    image_sha256: Digests
    status: NDArray[np.uint8]
    reason: Texts
    stamps: FileStamps = field(repr=False)
    sizes: NDArray[np.int64] | None = field(default=None, repr=False)
    listed: Listed = field(default_factory=Listed)
    columns: Mapping[str, Texts] = field(default_factory=dict, repr=False)
    label_form: str = ""
    corrected: Corrected | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.path)

    def __repr__(self) -> str:
        n_classes, n_failed = len({*self.label} - {""}), int((~self.ok).sum())
        failed = f", {n_failed:,} failed" if n_failed else ""
        classes = "several numbers each" if self.label_form == NUMBERS else counted(n_classes, "class", "classes")
        return f"<DatasetIndex {self.name}: {counted(len(self), 'image')}, {classes}{failed}>"

    def _repr_html_(self) -> str:
        """Return what is understood of the dataset, for Jupyter."""
        return str(later("stackbone.cache.upkeep.display.index_html")(self))

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return a pandas DataFrame of a row for each listed image, in order.

        Its columns are ``path``, ``label``, ``split``, ``group``, ``ok``, ``reason``, ``image_sha256`` in hex,
        ``width`` and ``height`` where images were measured, and the further columns of the dataset's table.
        """
        return later("stackbone.cache.upkeep.display.index_frame")(self)

    @property
    def in_memory(self) -> bool:
        """Whether its images were arrays in memory: no file can be read again."""
        return not self.root

    def names_of(self, row: int) -> list[str]:
        """Return the classes or labels of a row: one, any number where images can have several; none of numbers."""
        return self._names(self.label[row])

    def _names(self, label: str) -> list[str]:
        if self.label_form == SETS:
            return split_names(label)
        return [label] if label and self.label_form != NUMBERS else []

    def count_names(self, rows: NDArray[np.intp]) -> Counter[str]:
        """Return how many of these rows each class or label has, in the order in which it is met there first."""
        found: Counter[str] = Counter()
        for label, n in count_texts(self.label, rows).items():
            for name in self._names(label):
                found[name] += n
        return found

    @property
    def ok(self) -> NDArray[np.bool_]:
        """(n,) bool: rows that did not fail."""
        return np.equal(self.status, OK)


def empty_index(name: str, root: str) -> DatasetIndex:
    """Return an index of no images."""
    no_digests = np.zeros((0, DIGEST_BYTES), np.uint8)
    no_stamps = FileStamps(np.zeros((0, 4), np.int64))
    return DatasetIndex(name, root, [], [], [], [], no_digests, np.zeros(0, np.uint8), [], no_stamps)


def uncorrected(index: DatasetIndex) -> DatasetIndex:
    """Return an index with the labels of the dataset's own listing."""
    if index.corrected is None:
        return index
    own = index.corrected.own
    return replace(index, label=[own.get(row, label) for row, label in enumerate(index.label)], corrected=None)
