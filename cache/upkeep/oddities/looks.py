"""What is looked at when a dataset is checked for what looks odd."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.hdf5.coded_texts import code_texts, count_texts
from stackbone.cache.labels.sets import SETS
from stackbone.cache.records.indexes.index import DatasetIndex

FEW_IMAGES = 20
"""Labelled images below which shares of them say little."""

SHOWN = 5
"""Names in a sentence."""

_LONGEST = 60  # characters of a name
_FEWEST_WHOLE_NUMBERS, _FEWEST_NUMBERS = 30, 10  # distinct values from which numbers look like quantities


@dataclass(frozen=True)
class Copies:
    """Files with the same bytes: a list of rows of the index for each image that is there several times."""

    members: list[list[int]]

    @property
    def n_doubles(self) -> int:
        """Files beyond the first of each image."""
        return sum(len(each) - 1 for each in self.members)


@dataclass(frozen=True)
class Looks:
    """A dataset, and what several checks derive from it, derived once.

    Attributes
    ----------
    index
        The dataset.
    copies
        Its sound files of the same bytes.
    inputs
        (width, height) in pixels that networks take, by their names.
    """

    index: DatasetIndex
    copies: Copies
    inputs: Mapping[str, tuple[int, int]]

    @cached_property
    def rows(self) -> NDArray[np.intp]:
        """Rows that did not fail."""
        return np.flatnonzero(self.index.ok)

    @cached_property
    def classes(self) -> Counter[str]:
        """Names of classes, or labels, of these rows, counted."""
        return self.index.count_names(self.rows)

    @cached_property
    def n_labelled(self) -> int:
        """How many of these rows are labelled."""
        return len(self.rows) - count_texts(self.index.label, self.rows)[""]

    @property
    def are_sets(self) -> bool:
        """Whether images can have several labels."""
        return self.index.label_form == SETS

    @cached_property
    def splits(self) -> dict[str, Counter[str]]:
        """Labels of each split, counted; ``""`` among them where an image has none."""
        split, label = code_texts(self.index.split), code_texts(self.index.label)
        pairs = split.codes[self.rows].astype(np.int64) * len(label.names) + label.codes[self.rows]
        found: dict[str, Counter[str]] = {}
        for row, n in zip(*(each.tolist() for each in _counted(pairs)), strict=True):
            at = int(self.rows[row])
            if name := split[at]:
                of_split = found.setdefault(name, Counter())
                for each in self.index.names_of(at) if label[at] else [""]:
                    of_split[each] += n
        return found

    @cached_property
    def are_quantities(self) -> bool:
        """Whether labels look like numbers to be predicted, not like names of classes."""
        numbers = [number for label in self.classes if (number := _number(label)) is not None]
        if not numbers or len(numbers) < len(self.classes) or self.are_sets:
            return False
        are_whole = all(number.is_integer() for number in numbers)
        return len(numbers) >= (_FEWEST_WHOLE_NUMBERS if are_whole else _FEWEST_NUMBERS)

    @cached_property
    def are_own_classes(self) -> bool:
        """Whether most images have a label that no other has, as names of files and numbers of rows are."""
        own = sum(n == 1 for n in self.classes.values())
        is_so = self.n_labelled >= FEW_IMAGES and own >= self.n_labelled / 2
        return is_so and not (self.are_quantities or self.are_sets)


def cited(name: str) -> str:
    """Return a name from a file as a sentence may hold it."""
    return repr(name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}...")


def listed(names: Sequence[str], quote: Callable[[str], str] = cited) -> str:
    """Return the first of some names, and how many more there are."""
    return ", ".join(map(quote, names[:SHOWN])) + more(len(names))


def more(n: int) -> str:
    """Return how many of `n` things are not among the first that a sentence shows."""
    return f" and {n - SHOWN:,} more" if n > SHOWN else ""


def _counted(numbers: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where each different number is met first, in that order, and how often it is there."""
    _, first, counts = np.unique(numbers, return_index=True, return_counts=True)
    order = np.argsort(first)
    return first[order], counts[order]


def _number(text: str) -> float | None:
    """Return what a label means as a number; None of words, and of codes such as 007."""
    if re.match(r"[+-]?0\d", text.strip()):
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
