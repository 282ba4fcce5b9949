"""A dataset in numbers and words: what is understood of it before anything is embedded, and what looks odd."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.disk.digest import as_keys
from stackbone.cache.labels.numbers import NUMBERS, ranges
from stackbone.cache.labels.sets import SETS
from stackbone.cache.records.index import DatasetIndex
from stackbone.cache.records.listed import Listed
from stackbone.cache.text import counted
from stackbone.cache.upkeep.oddities.find import QUANTITIES, Oddity, find_oddities
from stackbone.cache.upkeep.oddities.looks import Copies

_SHOWN_CLASSES = 12
_SHOWN_LARGEST, _SHOWN_SMALLEST = 6, 3
_SHOWN_CONFLICTS = 5
_LONGEST = 60  # characters of a name in a line for people

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
        parts = (self._images(), self._classes(), self._boxes(), self._splits(), self._groups(), self._sizes())
        return [part for part in parts if part]

    def _images(self) -> str:
        facts = [counted(self.n_listed, "image")]
        facts += [f"{counted(self.n_doubles, 'file')} byte-identical to another"] if self.n_doubles else []
        facts += [f"{self.n_failed:,} failed"] if self.n_failed else []
        n_unlabelled = self.n_listed - self.n_failed - self.n_labelled
        if n_unlabelled:
            facts.append(f"{n_unlabelled:,} without a label" if self.n_labelled else "no labels: features only")
        return ", ".join(facts)

    def _classes(self) -> str:
        if self.numbers:
            shown = list(self.numbers.items())[:_SHOWN_CLASSES]
            spans = [f"{_apart(name)} {low:g} to {high:g}" for name, (low, high) in shown]
            spans += [f"and {len(self.numbers) - len(shown):,} more"] if len(self.numbers) > len(shown) else []
            return f"{counted(len(self.numbers), 'number')} of each labelled image: {', '.join(spans)}"
        if not self.classes:
            return ""
        ranked = _ranked(self.classes)
        title = counted(len(ranked), "class", "classes")
        if self.label_form == SETS:
            mean = sum(self.classes.values()) / self.n_labelled
            title = f"{counted(len(ranked), 'label')}, {mean:.2g} per labelled image on average"
        if len(ranked) <= _SHOWN_CLASSES:
            return f"{title}: {_named(ranked)}"
        if any(oddity.kind == QUANTITIES for oddity in self.oddities):
            numbers = sorted(self.classes, key=float)
            return f"{len(ranked):,} different numbers as labels, from {numbers[0]} to {numbers[-1]}"
        most, least = ranked[0][1], ranked[-1][1]
        if most == least:
            return f"{title} of {counted(most, 'image')} each, such as {_named(ranked[:_SHOWN_SMALLEST])}"
        return (
            f"{title} of {least:,} to {most:,} images, {np.median([n for _, n in ranked]):g} in the median; largest: "
            f"{_named(ranked[:_SHOWN_LARGEST])}; smallest: {_named(ranked[-_SHOWN_SMALLEST:])}"
        )

    def _boxes(self) -> str:
        if self.boxes is None:
            return ""
        ranked = _ranked(self.boxes)
        more = f", and {len(ranked) - _SHOWN_CLASSES:,} more" if len(ranked) > _SHOWN_CLASSES else ""
        classes = f": {_named(ranked[:_SHOWN_CLASSES])}{more}" if ranked else ""
        return f"{counted(sum(self.boxes.values()), 'box', 'boxes')} in {counted(self.n_boxed, 'image')}{classes}"

    def _splits(self) -> str:
        named = _ranked({name: n for name, n in self.splits.items() if name})
        if not named:
            return ""
        rest = f", none {self.splits['']:,}" if self.splits.get("") else ""
        more = f", and {len(named) - _SHOWN_CLASSES:,} more" if len(named) > _SHOWN_CLASSES else ""
        return f"{counted(len(named), 'split')}: {_named(named[:_SHOWN_CLASSES])}{more}{rest}"

    def _groups(self) -> str:
        if not self.groups:
            return ""
        (name, largest), *_ = _ranked(self.groups)
        n_without = self.n_listed - self.n_failed - sum(self.groups.values())
        rest = f"; {counted(n_without, 'image')} without a group" if n_without else ""
        return f"{counted(len(self.groups), 'group')}, the largest {_short(name)} with {largest:,}{rest}"

    def _sizes(self) -> str:
        if self.sizes is None:
            return ""
        measured = f"; {self.sizes.n_measured:,} were measured" if self.sizes.n_measured < self.n_images else ""
        if self.sizes.smallest == self.sizes.largest:
            return f"sizes: {_by(self.sizes.median)} pixels{measured}"
        spread = f"from {_by(self.sizes.smallest)} to {_by(self.sizes.largest)}"
        return f"sizes: {_by(self.sizes.median)} pixels in the median, {spread}{measured}"


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
    labels = [index.label[row] for row in rows]
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
        n_labelled=sum(map(bool, labels)),
        classes=_count(name for row in rows.tolist() for name in index.names_of(row)),
        splits=_count(index.split[row] for row in rows),
        groups=_count(filter(None, (index.group[row] for row in rows))),
        n_doubles=copies.n_doubles,
        conflicts=conflicts,
        sizes=_measure(index),
        listed=index.listed if index.corrected is None else index.listed.noting(index.corrected.notes()),
        oddities=find_oddities(index, copies, inputs or {}),
        label_form=index.label_form,
        numbers=ranges(labels) if index.label_form == NUMBERS else {},
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
    """Return which files have the same bytes; sorting whole digests of a million files would take seconds."""
    digests = index.image_sha256[rows]
    heads = np.ascontiguousarray(digests[:, :8]).view(">u8").reshape(-1)
    order = np.argsort(heads, kind="stable")
    same = np.flatnonzero(heads[order[1:]] == heads[order[:-1]])
    twins = np.unique(np.concatenate([order[same], order[same + 1]])) if len(same) else order[:0]
    groups: dict[bytes, list[int]] = {}
    for i, key in zip(twins.tolist(), as_keys(digests[twins]).tolist(), strict=True):
        groups.setdefault(key, []).append(int(rows[i]))
    return Copies([members for members in groups.values() if len(members) > 1])


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _named(ranked: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{_apart(name)} {n:,}" for name, n in ranked)


def _apart(name: str) -> str:
    """Return a name that a number can follow."""
    short = _short(name)
    return short if any(map(str.isalpha, short)) else repr(short)


def _short(name: str) -> str:
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
    return short if short == short.strip() and ", " not in short else repr(short)  # or nobody sees where it ends


def _by(size: Size) -> str:
    return f"{size[0]:,} x {size[1]:,}"
