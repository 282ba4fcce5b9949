"""How a tree of folders was read: where classes and splits are, and what each folder says of its images."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stackbone.extract.datasets.folders.splits import SplitLevel
from stackbone.extract.datasets.folders.tree import Node

LEAF = "leaf"
"""A class level: the innermost folder."""


class Marks(NamedTuple):
    """What a folder says of the images that lie directly in it; '' for nothing."""

    label: str
    split: str


@dataclass(frozen=True)
class Top:
    """A folder from which levels of classes are counted.

    Attributes
    ----------
    node
        The folder.
    split
        Split of the images in it; '' for none.
    labelled
        Whether folders in it can be classes.
    names
        Names of folders above it that are counted, too: the class, where splits lie in each class's folder.
    """

    node: Node
    split: str = ""
    labelled: bool = True
    names: tuple[str, ...] = ()

    def names_of(self, node: Node) -> tuple[str, ...]:
        """Return the names of a folder in it and of those between, in NFC: one form, whichever system wrote them."""
        between = node.path.removeprefix(self.node.path).strip("/")
        return (*self.names, *(in_nfc(name) for name in between.split("/") if name))


@dataclass(frozen=True)
class Reading:
    """A tree of folders as it was read.

    Attributes
    ----------
    tree, base
        The dataset's folder, and the one in it that holds classes or splits: the same, unless that one wraps this.
    level
        Folders that are splits; None for none.
    tops
        Where levels are counted from.
    class_level
        As the user asked for it; None where nobody asked.
    marks
        Of each folder, by its path.
    spoken_for
        Folders, each with a slash at the end, of whose images tables say the labels.
    doubt
        Which folders may be splits or not, in a sentence, where it does not matter; '' for none.
    """

    tree: Node
    base: Node
    level: SplitLevel | None
    tops: Sequence[Top]
    class_level: int | str | None
    marks: Mapping[str, Marks]
    spoken_for: Sequence[str] = ()
    doubt: str = ""

    def says_class(self, node: Node) -> bool:
        """Return whether a folder's name may be a class: no table says what its images are."""
        path = f"{node.path}/" if node.path else ""
        return not any(path.startswith(folder) for folder in self.spoken_for)

    @property
    def above_classes(self) -> set[str]:
        """Paths of the folders whose folders are classes, or splits."""
        return {self.base.path, *(top.node.path for top in self.tops)}


def in_nfc(name: str) -> str:
    """Return a name in the Unicode form in which labels are kept."""
    return unicodedata.normalize("NFC", name)
