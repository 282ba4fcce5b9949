"""A dataset: which images there are, and what is known of each.

Folders of classes, tables, CUB-200-2011, and plain images all become the same four columns; nothing after
this module knows how they were listed.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.text import typed
from stackbone.extract.datasets.kinds.cub import is_cub, read_cub
from stackbone.extract.datasets.kinds.folder import (
    IMAGE_EXTENSIONS,
    Anchor,
    Entries,
    is_image_name,
    label_by_folder,
    list_images,
)
from stackbone.extract.datasets.kinds.table import PARQUET_TABLES, TEXT_TABLES, TableColumns, read_table

_TABLES = TEXT_TABLES + PARQUET_TABLES
_CUB_FOLDER = "CUB_200_2011"
_NO_MARKS = ("", "", "")
_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Dataset:
    """Columns of equal length, one entry per image, sorted by path in code point order.

    Attributes
    ----------
    name
        Name of the dataset's index, safe as a file name: ``[A-Za-z0-9._-]``, never empty.
    root
        Absolute folder that `paths` are relative to.
    paths
        Posix-style paths relative to `root`, absolute where an image lies outside it.
    labels
        Class names; '' for an unlabelled image.
    splits
        'train', 'validation' and 'test' for split folders, a table's own names otherwise, '' for none.
    groups
        Names of what belongs together (a patient, a scene); '' for none.
    """

    name: str
    root: Path
    paths: list[str]
    labels: list[str]
    splits: list[str]
    groups: list[str]

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


@dataclass(frozen=True)
class _Source:
    title: str
    root: Path
    entries: Entries


def open_dataset(
    data: Path | str | Sequence[Path | str],
    *,
    name: str | None = None,
    labels: Path | str | None = None,
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
        - one image, or a list of images: unlabelled.
    name
        The dataset's name; by default that of the folder or the file without its extension, and of the
        common folder followed by ``-list`` for a list of images.
    labels
        A table that lists the images of the folder `data`; its paths are relative to that folder. Images
        that it does not list are not in the dataset.
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
    if isinstance(data, str | os.PathLike):
        data = [data]
    if len(data) == 1:
        source = _open_one(_absolute(data[0]), labels, columns)
    else:
        _refuse_table_options(labels, columns)
        source = _open_list(data)
    return _build(source, name, labelled=label_column is not None)


def _build(source: _Source, name: str | None, *, labelled: bool) -> Dataset:
    if name is not None and not _SAFE_NAME.fullmatch(name):
        msg = (
            f"The dataset name {name!r} cannot be used for a file. Expected up to 100 letters, digits, '.', "
            f"'_' and '-', the first neither '.' nor '-'. Type --dataset {typed(_safe_name(name))}."
        )
        raise UsageError(msg)
    paths = sorted(source.entries)
    marks = [source.entries[path] for path in paths]
    return Dataset(
        name=name or _safe_name(source.title),
        root=source.root,
        paths=paths,
        labels=list(map(itemgetter(0), marks)) if labelled else [""] * len(paths),
        splits=list(map(itemgetter(1), marks)),
        groups=list(map(itemgetter(2), marks)),
    )


def _open_one(path: Path, labels: Path | str | None, columns: TableColumns) -> _Source:
    # os.path, not pathlib: pathlib's questions raise where a folder may not be searched.
    if not os.path.exists(path):
        raise DatasetError(_missing_message(path))
    if labels is not None:
        return _open_labelled_folder(path, _absolute(labels), columns)
    if os.path.isfile(path) and path.suffix.lower() in _TABLES:
        return _Source(path.stem, path.parent, read_table(path, path.parent, columns))
    _refuse_table_options(labels, columns)
    if path.is_dir():
        return _open_folder(path)
    if is_image_name(path.name):
        return _Source(path.stem, path.parent, {path.name: _NO_MARKS})
    raise DatasetError(_neither_message(path))


def _open_folder(folder: Path) -> _Source:
    # The archive of CUB unpacks this folder next to a stray text file: either may be pointed to.
    for cub in (folder, folder / _CUB_FOLDER):
        if is_cub(cub):
            return _Source(cub.name, cub, read_cub(cub))
    return _Source(folder.name, folder, label_by_folder(folder, list_images(folder)))


def _open_labelled_folder(folder: Path, table: Path, columns: TableColumns) -> _Source:
    if not folder.is_dir():
        msg = (
            f"--labels goes with a folder of images, and {str(folder)!r} is a file. Expected the folder that "
            f"the table's paths are relative to. Type: stackbone extract {typed(folder.parent, '--labels', table)}"
        )
        raise UsageError(msg)
    if not os.path.exists(table):
        raise DatasetError(_missing_message(table))
    if not table.is_file() or table.suffix.lower() not in _TABLES:
        msg = f"--labels {typed(table)} is no table. Expected a file ending in {' '.join(_TABLES)}. Name one."
        raise UsageError(msg)
    return _Source(folder.name, folder, read_table(table, folder, columns))


def _open_list(files: Sequence[Path | str]) -> _Source:
    if not files:
        msg = "No images: the list of files is empty. Expected at least one. Name a folder or some images."
        raise UsageError(msg)
    paths = [os.path.abspath(file) if ".." not in os.fspath(file) else str(_absolute(file)) for file in files]
    for path in paths:
        # A listed image that is missing is found out when it is read, like a row of a table.
        if not is_image_name(path):
            _refuse_listed(Path(path))
    root = Path(os.path.commonpath([os.path.dirname(path) for path in paths]))
    anchor = Anchor(root)
    return _Source(f"{root.name}-list", root, {anchor.relative(path): _NO_MARKS for path in paths})


def _refuse_listed(path: Path) -> None:
    if not os.path.exists(path):
        raise DatasetError(_missing_message(path))
    if path.is_dir() or path.suffix.lower() in _TABLES:
        kind = "folder" if path.is_dir() else "table"
        msg = (
            f"A list of images holds the {kind} {str(path)!r}. Expected images only, or one {kind} by "
            f"itself. Give the {kind} alone, so that its labels are read, or name its images."
        )
        raise UsageError(msg)
    raise DatasetError(_neither_message(path))


def _refuse_table_options(labels: Path | str | None, columns: TableColumns) -> None:
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
                f"{option} {typed(value)} describes a table, and the dataset is none. Expected a file ending in "
                f"{' '.join(_TABLES)}. Name that file, add it with --labels FILE, or leave {option} out."
            )
            raise UsageError(msg)


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


def _missing_message(path: Path) -> str:
    if os.path.islink(path):
        target = os.readlink(path)
        return f"The link {str(path)!r} leads to {target!r}, which is missing. Expected data. Mend the link."
    there = path.parent
    while not os.path.lexists(there):
        there = there.parent
    if not os.path.isdir(there):
        return f"{str(there)!r} is no folder; expected {str(path)!r}. Name the file itself, or a folder."
    wrong = path.relative_to(there).parts[0]
    found = f"There is no {wrong!r} in {str(there)!r}; expected {str(path)!r}."
    try:
        with os.scandir(there) as entries:
            siblings = [entry.name for entry in islice(entries, 10_000)]
    except OSError as exc:
        return f"{found} That folder cannot be listed: {exc.strerror}. Give yourself read permission on it."
    near = difflib.get_close_matches(wrong, siblings, n=1)
    return f"{found} {f'Did you mean {str(there / near[0])!r}?' if near else 'Check the spelling.'}"


def _neither_message(path: Path) -> str:
    return (
        f"The extension of {str(path)!r} is neither an image's nor a table's. Expected a folder, an image "
        f"({' '.join(IMAGE_EXTENSIONS)}) or a table ({' '.join(_TABLES)}). Name one, or rename the file."
    )
