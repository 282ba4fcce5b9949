"""A kind of dataset: how it knows what it can list, and how it lists it.

Each kind is one file of `kinds`; other packages add theirs through entry points of the group ``stackbone.datasets``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from stackbone.cache.plugins import Plugins
from stackbone.cache.records.indexes.listed import Skipped as Skipped  # also for those who write a kind
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.files.files import Files
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.datasets.further import Further
from stackbone.extract.images.arrays import Arrays

_Found = TypeVar("_Found")

Entries: TypeAlias = dict[str, tuple[str, str, str]]
"""Path of an image to its label, split and group; '' where it has none.

A path is posix-style and relative to the dataset's root, or absolute where it lies outside.
"""


@dataclass(frozen=True)
class TableColumns:
    """Names of a table's columns, and how its cells are read; `label` is None for a table without labels.

    `path` is None for a table that holds the images themselves, in the column `image`, or '' for the one that there is.
    `suffix` is the file extension that the table's paths lack, or ''; `encoding` is that of its text, or '' to find it
    out; with `keep_na`, texts such as ``NA`` and ``None`` are names like any other, not missing values. With
    `may_lack_label`, a table that has no column of labels is read all the same if it has one of splits or groups.
    `labels` are columns that say of one label each whether it is there. `former` is the column of former labels that a
    table of corrections may have, which is nothing without its labels; '' for every other table.
    """

    path: str | None = "path"
    label: str | None = "label"
    split: str = "split"
    group: str = "group"
    suffix: str = ""
    encoding: str = ""
    keep_na: bool = False
    may_lack_label: bool = False
    labels: tuple[str, ...] = ()
    image: str = ""
    former: str = ""

    @property
    def given(self) -> dict[str, object]:
        """What is not as by default, by the option that says so: ``{"--path-column": "photo"}``."""
        options = {
            "--path-column": (self.path, "path"),
            "--label-column": (self.label, "label"),
            "--label-columns": (",".join(self.labels), ""),
            "--split-column": (self.split, "split"),
            "--group-column": (self.group, "group"),
            "--suffix": (self.suffix, ""),
            "--encoding": (self.encoding, ""),
            "--keep-na": (self.keep_na, False),
            "--image-column": (self.image, ""),
        }
        return {option: value for option, (value, usual) in options.items() if value not in (usual, None)}


def as_words(options: Mapping[str, object]) -> list[str]:
    """Return options as they are typed, a word each; one that is True has no value, and a list repeats its option."""
    words = []
    for option, value in options.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [option] if each is True else [option, str(each)]
    return words


@dataclass(frozen=True)
class Request:
    """What a user named as a dataset.

    Attributes
    ----------
    paths
        Absolute paths of one folder, one table, one image, or many images; one by itself exists. None where `images`
        are.
    labels
        Absolute path of a table of labels for a folder, or None.
    columns
        Of that table, of the one that `paths` names, or of those beside a folder's images.
    exclude
        Files and folders to leave out.
    split_folders
        ``auto`` for folders named like splits to be splits, ``none`` for none to be one.
    class_level
        Which folder is the class, counted from 1, or ``leaf``; None where nobody asked.
    only_listed
        Whether images that the table of labels does not list are left out.
    images
        An array of images, or a list of arrays or PIL images, if that was given in the place of paths.
    marks
        Of these images: ``labels``, ``splits`` and ``groups``, as far as they were given.
    label_separator
        What stands between the labels of an image; ``""`` where each has one.
    every
        How far apart the frames of a video are that are taken, as it was typed; ``""`` where nobody said.
    patterns
        As `paths` was typed, where it was with braces.
    known
        What `once` found, by name.
    """

    paths: Sequence[str]
    labels: Path | None
    columns: TableColumns
    exclude: Exclusion = field(default_factory=Exclusion)
    split_folders: str = "auto"
    class_level: int | str | None = None
    only_listed: bool = False
    images: Any = None
    marks: Mapping[str, Sequence[object]] = field(default_factory=dict)
    label_separator: str = ""
    every: str = ""
    patterns: Sequence[str] = ()
    known: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, name: str, find: Callable[[Request], _Found]) -> _Found:
        """Return what `find` finds of this request, found once: a kind's `read` need not look again for it.

        Parameters
        ----------
        name
            What is looked for, such as the kind's name.
        """
        if name not in self.known:
            self.known[name] = find(self)
        found: _Found = self.known[name]
        return found

    @property
    def passed_over(self) -> list[str]:
        """What is to be said of annotations that were found and not taken."""
        return [each.note for each in self.known.values() if isinstance(each, PassedOver)]

    @property
    def path(self) -> Path | None:
        """The path, if there is just one."""
        return Path(self.paths[0]) if len(self.paths) == 1 else None


@dataclass(frozen=True)
class Listing:
    """A dataset as it was listed.

    Attributes
    ----------
    title
        What it is called unless the user gives it a name.
    root
        Absolute folder that the paths of `entries` are relative to.
    entries
        Its images; at least one.
    skipped
        What was met and not taken.
    notes
        What was believed where it could be read in another way, a sentence each: ``'dev' is the split 'validation'.``
    arrays
        The images themselves, in the order of `entries`, where they are in memory and no files.
    further
        What further columns of a table say of images; by path, also of such as are not among `entries`.
    label_form
        Of its labels: see `cache.records.indexes.index.DatasetIndex`.
    boxes
        Those of the annotated images' objects, by path; None where there are none, or no labels are asked for.
    """

    title: str
    root: Path
    entries: Entries
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()
    arrays: Arrays | None = None
    further: Further = field(default_factory=Further)
    label_form: str = ""
    boxes: ListedBoxes | None = None


Reading: TypeAlias = Callable[[bool], Listing]
"""Lists a dataset that was recognised, with its labels or without."""


@dataclass(frozen=True)
class PassedOver:
    """Annotations that a kind of dataset finds and does not take.

    Attributes
    ----------
    note
        What they are, why, and what to do for them to be taken.
    """

    note: str


Look: TypeAlias = Reading | PassedOver | None
"""How to list what was recognised, or why it was not, if that is to be said."""


@dataclass(frozen=True)
class DatasetKind:
    """A kind of dataset.

    Attributes
    ----------
    name
        Such as ``folder``.
    what
        What a user names, in words: ``a folder of class folders``.
    recognises
        Whether this kind can list what was named. It looks at names and at whether files exist; where those say too
        little, into small files, or the ends of large ones, that would say how the images are annotated. No image is
        opened. What it finds `Request.once` keeps for `read`.
    read
        Lists it; raises `DatasetError` or `UsageError` if it cannot. No image is opened.
    place
        The kinds are asked in this order, the smallest first; those of Stackbone begin at 10.
    takes_columns
        Whether it reads a table, so that the options about columns mean something.
    takes_levels
        Whether it reads folders' names, so that the options about splits and class levels mean something.
    own_options
        Options that mean something to this kind, and to no other: of ``--image-column`` and ``--every``.
    find
        Of a kind whose annotations lie beside the images: returns how to list files in archives or behind a URL, of
        which one may have been named (else ``""``); None, or `PassedOver`, if they are of another kind.
    """

    name: str
    what: str
    recognises: Callable[[Request], bool]
    read: Callable[[Request], Listing]
    place: int = 0
    takes_columns: bool = False
    takes_levels: bool = False
    own_options: frozenset[str] = frozenset()
    find: Callable[[Files, str], Look] | None = None


KINDS = Plugins(
    DatasetKind,
    "stackbone.datasets",
    "stackbone.extract.datasets.kinds",
    "KIND",
    order=lambda kind: kind.place,
)
"""Every kind of dataset, in the order in which they are asked."""
