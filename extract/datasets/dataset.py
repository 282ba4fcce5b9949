"""A dataset: which images there are, and what is known of each.

Folders of classes, tables, CUB-200-2011, plain images, and arrays all become the same four columns; nothing after
this module knows how they were listed.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.text import typed
from stackbone.extract.datasets.kind import KINDS, Listing, Request, Skipped, TableColumns
from stackbone.extract.datasets.kinds.images import neither_message
from stackbone.extract.datasets.kinds.table import TABLES
from stackbone.extract.datasets.missing import missing_message
from stackbone.extract.images.arrays import Arrays, are_images

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Dataset:
    """Columns of equal length, one entry per image, sorted by path in code point order.

    Attributes
    ----------
    name
        Name of the dataset's index, safe as a file name: ``[A-Za-z0-9._-]``, never empty.
    root
        Absolute folder that `paths` are relative to; means nothing where `arrays` are.
    paths
        Posix-style paths relative to `root`, absolute where an image lies outside it; ``array/000012`` of arrays.
    labels
        Class names; '' for an unlabelled image.
    splits
        'train', 'validation' and 'test' for split folders, a table's own names otherwise, '' for none.
    groups
        Names of what belongs together (a patient, a scene); '' for none.
    skipped
        Files and folders that were met and not taken.
    notes
        What was believed where it could be read in another way, a sentence each.
    arrays
        The images themselves, in the order of `paths`, where they are in memory and no files.
    """

    name: str
    root: Path
    paths: list[str]
    labels: list[str]
    splits: list[str]
    groups: list[str]
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()
    arrays: Arrays | None = None

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.paths)

    @property
    def classes(self) -> list[str]:
        """Distinct labels, sorted."""
        return sorted(set(self.labels) - {""})

    @property
    def has_labels(self) -> bool:
        """Whether any image has a label."""
        return any(self.labels)

    @property
    def has_splits(self) -> bool:
        """Whether any image belongs to a split."""
        return any(self.splits)


def open_dataset(
    data: Path | str | Sequence[Any] | NDArray[Any],
    *,
    name: str | None = None,
    labels: Path | str | Sequence[object] | NDArray[Any] | None = None,
    splits: Sequence[object] | NDArray[Any] | None = None,
    groups: Sequence[object] | NDArray[Any] | None = None,
    path_column: str = "path",
    label_column: str | None = "label",
    split_column: str = "split",
    group_column: str = "group",
    suffix: str = "",
) -> Dataset:
    """List the images of a dataset with their labels, splits and groups. No image is opened.

    Parameters
    ----------
    data
        One of these, or a sequence that holds one of these alone:

        - a folder. Its first level of folders are the classes, however deep the images lie below. When every
          top-level folder with images is named ``train``, ``val``, ``test`` or the like, these are the splits
          and the level below are the classes. Images that lie beside class folders instead of inside one are
          kept, unlabelled;
        - an unpacked ``CUB_200_2011`` folder, or the folder that holds it;
        - a CSV, TSV or Parquet file, one row per image, paths relative to the file's folder;
        - one image, or a list of images: unlabelled;
        - images in memory: an array (n, height, width, 3) uint8, (n, height, width) of grey, or (n, height, width, 4)
          with transparency; a memory map is read image by image. Or a list of such arrays without the first axis, of
          different sizes perhaps, and of PIL images, which are turned upright and converted as files are.
    name
        The dataset's name; by default that of the folder or the file without its extension, of the
        common folder followed by ``-list`` for a list of images, and ``arrays`` for images in memory.
    labels
        A table that lists the images of the folder `data`; its paths are relative to that folder. Images
        that it does not list are not in the dataset. Of images in memory, their labels, one each; None or NaN for an
        image without.
    splits, groups
        Of images in memory, their splits and groups, as `labels`.
    path_column, label_column, split_column, group_column
        Names of a table's columns; the last two may be absent unless named otherwise than by default. With
        ``label_column=None`` every image is unlabelled, whatever the kind of dataset.
    suffix
        File extension added to those of a table's paths that lack it, such as '.jpg'.

    Returns
    -------
    Dataset
        At least one image.

    Raises
    ------
    UsageError
        The options do not fit the data, or a table lacks a column.
    DatasetError
        The dataset is missing, empty, unreadable or contradicts itself.
    StackboneError
        A Parquet file, and pyarrow is not installed.
    """
    columns = TableColumns(path_column, label_column, split_column, group_column, suffix)
    given: dict[str, Any] = {"labels": labels, "splits": splits, "groups": groups}
    marks = {name: each for name, each in given.items() if each is not None}
    if are_images(data):
        _check_marks(marks, columns)
        listing = _list(Request((), None, columns, data, marks))
    else:
        _refuse_marks(marks)
        paths = cast("Sequence[Path | str]", [data] if isinstance(data, str | os.PathLike) else data)
        table = marks.get("labels")
        listing = _list(Request(_absolute_paths(paths), None if table is None else _absolute(table), columns))
    return _build(listing, name, labelled=label_column is not None)


def _build(listing: Listing, name: str | None, *, labelled: bool) -> Dataset:
    if name is not None and not _SAFE_NAME.fullmatch(name):
        msg = (
            f"The dataset name {name!r} cannot be used for a file. Expected up to 100 letters, digits, '.', "
            f"'_' and '-', the first neither '.' nor '-'. Type --dataset {typed(_safe_name(name))}."
        )
        raise UsageError(msg)
    paths = sorted(listing.entries)
    marks = [listing.entries[path] for path in paths]
    return Dataset(
        name=name or _safe_name(listing.title),
        root=listing.root,
        paths=paths,
        labels=list(map(itemgetter(0), marks)) if labelled else [""] * len(paths),
        splits=list(map(itemgetter(1), marks)),
        groups=list(map(itemgetter(2), marks)),
        skipped=listing.skipped,
        notes=listing.notes,
        arrays=listing.arrays,
    )


def _list(request: Request) -> Listing:
    """Return what the first kind lists that recognises what was named."""
    # os.path, not pathlib: pathlib's questions raise where a folder may not be searched.
    if request.path and not os.path.exists(request.path):
        raise DatasetError(missing_message(request.path))
    kind = next((kind for kind in KINDS.values() if kind.recognises(request)), None)
    if kind is None or not kind.takes_columns:
        _refuse_table_options(request.labels, request.columns)
    if kind is None:
        known = "; ".join(kind.what for kind in KINDS.values())
        msg = f"{neither_message(Path(request.paths[0]))} A dataset can be: {known}."
        raise DatasetError(msg)
    return kind.read(request)


def _refuse_table_options(labels: Path | None, columns: TableColumns) -> None:
    """Options that would have no effect were meant to have one."""
    if labels is not None:
        msg = f"--labels {typed(labels)} goes with one folder of images. Found a list. Name the folder alone."
        raise UsageError(msg)
    defaults = TableColumns()
    for key in ("path", "label", "split", "group", "suffix"):
        value = getattr(columns, key)
        if value is not None and value != getattr(defaults, key):
            option = "--suffix" if key == "suffix" else f"--{key}-column"
            msg = (
                f"{option} {typed(value)} describes a table, and the dataset is not one. Expected a file ending in "
                f"{' '.join(TABLES)}. Name that file, add it with --labels FILE, or leave {option} out."
            )
            raise UsageError(msg)


def _check_marks(marks: dict[str, Any], columns: TableColumns) -> None:
    for name, given in marks.items():
        if isinstance(given, str | bytes | os.PathLike) or not hasattr(given, "__len__"):
            msg = (
                f"{name}= is {given!r}, and the images are in memory. Expected a sequence with a value for each image, "
                f"such as a list. Leave {name}= out if you have none."
            )
            raise UsageError(msg)
    _refuse_table_options(None, columns)


def _refuse_marks(marks: dict[str, Any]) -> None:
    """Raise where values for each image were given, and the images are no arrays."""
    for name, given in marks.items():
        if name != "labels" or not isinstance(given, str | os.PathLike):
            instead = "name a table, labels='labels.csv', or leave labels= out" if name == "labels" else "give a table"
            msg = (
                f"{name}= with a value for each image goes with images in memory: an array, or a list of arrays or PIL "
                f"images. Found files: {instead}."
            )
            raise UsageError(msg)


def _absolute_paths(paths: Sequence[Path | str]) -> list[str]:
    return [os.path.abspath(path) if ".." not in os.fspath(path) else str(_absolute(path)) for path in paths]


def _absolute(path: Path | str) -> Path:
    # Resolving every link would name the dataset after the link's target instead of what was typed.
    path = Path(path)
    return path.resolve() if ".." in path.parts else path.absolute()


def _safe_name(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-").lstrip(".-") or "dataset"
    if title.isascii() and len(safe) <= 100:
        return safe
    # Two folders with names in another script must not share one index.
    return f"{safe[:90]}-{hashlib.sha256(os.fsencode(title)).hexdigest()[:6]}"
