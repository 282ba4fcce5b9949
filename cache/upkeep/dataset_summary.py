"""A dataset in numbers and words: what is understood of it before anything is embedded, and what looks odd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.disk.digest import as_keys
from stackbone.cache.disk.digest_sets import of_rows, twin_rows
from stackbone.cache.hdf5.coded_texts import count_texts
from stackbone.cache.labels.numbers import NUMBERS, ranges
from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.cache.records.indexes.listed import Listed
from stackbone.cache.upkeep.dataset_words import facts_of
from stackbone.cache.upkeep.oddities.find import Oddity, find_oddities
from stackbone.cache.upkeep.oddities.looks import Copies

_SHOWN_CONFLICTS = 5

Size = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True)
class Conflict:
    """Files with the same bytes and different labels: a defect of the dataset."""

    paths: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Sizes:
    """How large images are, as far as some were measured.

    Attributes
    ----------
    n_measured
        Of how many this is known.
    smallest, largest
        By area.
    median
        Of widths and of heights, each by itself.
    """

    n_measured: int
    smallest: Size
    median: Size
    largest: Size


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset in numbers.

    Attributes
    ----------
    name, root
        Its name, and the folder that its paths are relative to.
    n_listed, n_images, n_failed
        Files listed, distinct sound images, files that failed.
    n_labelled
        Sound files with a label.
    classes
        Class to its number of sound files; a file of several labels counts for each.
    splits
        Split name to its number of sound files, ``""`` where there is none.
    groups
        Group to its number of sound files.
    n_doubles
        Sound files byte-identical to an earlier one.
    conflicts
        Those among them whose labels disagree.
    sizes
        Of the images; None where none was measured.
    listed
        What was met beside the images and not taken, and what was believed.
    oddities
        What looks odd.
    label_form
        As of the index.
    numbers
        Where images have several numbers, the least and the greatest of each, by its name.
    boxes
        Class to its number of boxes; None where objects are not annotated.
    n_boxed
        Distinct images whose objects are annotated, those without any included.
    """

    name: str
    root: str
    n_listed: int
    n_images: int
    n_failed: int
    n_labelled: int
    classes: dict[str, int]
    splits: dict[str, int]
    groups: dict[str, int]
    n_doubles: int
    conflicts: list[Conflict]
    sizes: Sizes | None
    listed: Listed
    oddities: list[Oddity]
    label_form: str = ""
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    boxes: Mapping[str, int] | None = None
    n_boxed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        content = asdict(self)
        for name in ("groups", "listed", "label_form", "numbers", "boxes", "n_boxed"):
            del content[name]
        return {
            **content,
            **({"label_form": self.label_form} if self.label_form else {}),
            **({"numbers": {name: list(each) for name, each in self.numbers.items()}} if self.numbers else {}),
            **({} if self.boxes is None else {"boxes": dict(self.boxes), "n_boxed": self.n_boxed}),
            "n_groups": len(self.groups),
            "n_grouped": sum(self.groups.values()),
            "skipped": [asdict(each) for each in self.listed.skipped],
            "notes": list(self.listed.notes),
        }

    def lines(self) -> list[str]:
        """Return lines for people."""
        lines = [f"dataset {self.name}, of {self.root or 'images in memory'}", *(f"  {fact}" for fact in self.facts())]
        lines += [f"  skipped: {line}" for line in self.listed.skipped_in_words()]
        for conflict in self.conflicts[:_SHOWN_CONFLICTS]:
            pairs = zip(conflict.paths, conflict.labels, strict=True)
            shown = ", ".join(f"{path!r} ({label!r})" for path, label in pairs)
            lines.append(f"  same image, different labels: {shown}")
        if len(self.conflicts) > _SHOWN_CONFLICTS:
            lines.append(f"  and {len(self.conflicts) - _SHOWN_CONFLICTS:,} more such conflicts; --json lists all")
        lines += [f"  note: {note}" for note in self.listed.notes]
        return lines + [f"  odd: {oddity.says}" for oddity in self.oddities]

    def facts(self) -> list[str]:
        """Return its numbers in words."""
        return facts_of(self)


def summarise_dataset(
    index: DatasetIndex, inputs: Mapping[str, Size] | None = None, boxes: BoxTable | None = None
) -> DatasetSummary:
    """Return a dataset in numbers.

    Parameters
    ----------
    boxes
        Of its images' objects.
    inputs
        Width and height in pixels that networks take, by their names, where it is known which ones will see the images.
    """
    rows = np.flatnonzero(index.ok)
    labels = count_texts(index.label, rows)
    copies = _find_copies(index, rows)
    conflicts = [
        Conflict([index.path[row] for row in members], [index.label[row] for row in members])
        for members in copies.members
        if len({index.label[row] for row in members} - {""}) > 1
    ]
    return DatasetSummary(
        name=index.name,
        root=index.root,
        n_listed=len(index),
        n_images=len(rows) - copies.n_doubles,
        n_failed=len(index) - len(rows),
        n_labelled=labels.total() - labels[""],
        classes=_sorted(index.count_names(rows)),
        splits=_sorted(count_texts(index.split, rows)),
        groups=_sorted(each for each in count_texts(index.group, rows).items() if each[0]),
        n_doubles=copies.n_doubles,
        conflicts=conflicts,
        sizes=_measure(index),
        listed=index.listed if index.corrected is None else index.listed.noting(index.corrected.notes()),
        oddities=find_oddities(index, copies, inputs or {}),
        label_form=index.label_form,
        numbers=ranges(list(labels)) if index.label_form == NUMBERS else {},
        boxes=None if boxes is None else boxes.flat.n_of_classes,
        n_boxed=0 if boxes is None else len(boxes),
    )


def _measure(index: DatasetIndex) -> Sizes | None:
    if index.sizes is None or not index.sizes.all(axis=1).any():
        return None
    measured: NDArray[np.int64] = index.sizes[index.sizes.all(axis=1)]
    order = np.argsort(measured[:, 0].astype(float) * measured[:, 1])
    return Sizes(
        len(measured), _size(measured[order[0]]), _size(np.median(measured, axis=0)), _size(measured[order[-1]])
    )


def _size(values: Sequence[float] | NDArray[Any]) -> Size:
    return round(float(values[0])), round(float(values[1]))


def _find_copies(index: DatasetIndex, rows: NDArray[np.intp]) -> Copies:
    """Return which files have the same bytes."""
    digests = of_rows(index.image_sha256, rows)
    twins = twin_rows(digests)
    groups: dict[bytes, list[int]] = {}
    for i, key in zip(twins.tolist(), as_keys(digests[twins]).tolist(), strict=True):
        groups.setdefault(key, []).append(int(rows[i]))
    return Copies([members for members in groups.values() if len(members) > 1])


def _sorted(counts: Mapping[str, int] | Iterable[tuple[str, int]]) -> dict[str, int]:
    return dict(sorted(dict(counts).items()))
