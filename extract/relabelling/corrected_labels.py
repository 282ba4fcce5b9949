"""What corrected labels say: whether it is what the dataset's labels say, and which of them are new or gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stackbone.cache import DatasetIndex
from stackbone.cache.choices import nearest
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.numbers import NUMBERS, as_number, split_numbers
from stackbone.cache.labels.sets import SETS, split_names
from stackbone.cache.text import counted
from stackbone.cache.upkeep.oddities.looks import Copies, Looks
from stackbone.extract.datasets.label_sets import read_sets

_SHOWN = 5


def in_form(index: DatasetIndex, labels: Sequence[str], file: Path) -> list[str]:
    """Return labels as the index holds them; those of one class each, and numbers, as they are."""
    return read_sets(labels, "|", repr(file.name)) if index.label_form == SETS else list(labels)


def check_labels(index: DatasetIndex, labels: Sequence[str], file: Path) -> None:
    """Refuse labels that say something else than all others of the dataset do."""
    if index.label_form == NUMBERS:
        names = [*split_numbers(next(filter(None, index.label), ""))]
        for label in filter(None, labels):
            numbers = split_numbers(label)
            if [*numbers] != names or None in map(as_number, numbers.values()):
                shown = "|".join(f"{name}=1.5" for name in names)
                msg = (
                    f"{str(file)!r} has the label {label[:80]!r}, and images of the dataset {index.name!r} have "
                    f"several numbers. Expected all of them, as in {shown!r}. Correct the label."
                )
                raise DatasetError(msg)
    elif any(label and as_number(label) is None for label in labels) and _are_quantities(index):
        word = next(label for label in labels if label and as_number(label) is None)
        msg = (
            f"{str(file)!r} has the label {word[:80]!r}, and all labels of the dataset {index.name!r} are numbers. "
            "Expected a finite number with a decimal point and without a unit. Correct the label."
        )
        raise DatasetError(msg)


def _are_quantities(index: DatasetIndex) -> bool:
    return Looks(index, Copies([]), {}).are_quantities


def label_notes(index: DatasetIndex, corrected: Sequence[tuple[int, str]]) -> list[str]:
    """Return what to say of labels that no image had before, and of those that none has any more."""
    if index.label_form == NUMBERS or _are_quantities(index):
        return []
    is_set = index.label_form == SETS
    now = dict(corrected)
    names = [split_names(label) if is_set else [label] for label in now.values() if label]
    new = Counter(name for each in names for name in each)
    before = Counter(name for row in range(len(index)) for name in index.names_of(row))
    notes = []
    for name in sorted(set(new) - set(before))[:_SHOWN]:
        near = nearest(name, before)
        meant = f"; did you mean {near!r}? Then correct it, and run again" if near else ""
        images = f"{counted(new[name], 'file')} {'gets' if new[name] == 1 else 'get'}"
        notes.append(f"{images} the label {name!r}, which no image had before{meant}.")
    after = Counter(name for row in range(len(index)) for name in _names(now.get(row, index.label[row]), is_set=is_set))
    lost = [name for name in sorted(before) if not after[name]]
    if lost:
        shown = ", ".join(map(repr, lost[:_SHOWN])) + (", ..." if len(lost) > _SHOWN else "")
        notes.append(f"No image has the label {shown} any more.")
    return notes


def _names(label: str, *, is_set: bool) -> list[str]:
    return split_names(label) if is_set else [label] if label else []
