"""The file of a dataset's index: where it lies, and how it is written and read (see FORMAT.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import DIGEST_BYTES, FileStamps
from stackbone.cache.errors import CacheError, Malformed, UsageError
from stackbone.cache.hdf5 import writing as hdf5
from stackbone.cache.hdf5.column import Column
from stackbone.cache.hdf5.opening import CacheFile, open_checked
from stackbone.cache.hdf5.text_table import check_text_table, read_text_table, write_text_table
from stackbone.cache.hdf5.texts import read_coded, read_texts, write_texts
from stackbone.cache.labels.forms import FORMS
from stackbone.cache.places.place import Place, remove, write_whole
from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.cache.records.indexes.listed import Listed

FORMAT = "stackbone-index"
_TEXT_COLUMNS = ("path", "label", "split", "group", "reason")
_STAMPS = ("size", "mtime_ns", "ctime_ns", "inode")
_SIZES = ("width", "height")
_LISTED = "listed"
_LABEL_FORM = "label_form"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def is_dataset_name(name: str) -> bool:
    """Return whether the name is a plain file name everywhere."""
    return _NAME.fullmatch(name) is not None


def index_path(cache_root: Place, name: str) -> Place:
    """Return where the index of dataset `name` lies.

    Raises
    ------
    UsageError
        If the name would not be a plain file name everywhere.
    """
    if not is_dataset_name(name):
        message = (
            f"{name!r} cannot name a dataset: use letters, digits, '.', '_' and '-', at most 128, "
            "and no leading '.' or '-'. Give another name with --dataset NAME"
        )
        raise UsageError(message)
    return cache_root / "datasets" / f"{name}.h5"


def write_index(path: Place, index: DatasetIndex) -> None:
    """Write an index atomically, replacing the one that was there.

    Raises
    ------
    CacheError
        If its columns have different lengths, a text cannot be a file name or UTF-8, its further columns are more or
        longer than a reader takes, or the file cannot be written.
    """
    columns = [*(getattr(index, name) for name in _TEXT_COLUMNS), index.status, index.stamps.values]
    columns += [*([] if index.sizes is None else [index.sizes]), *index.columns.values()]
    if any(len(column) != len(index.image_sha256) for column in columns):
        message = (
            f"the columns of the dataset {index.name!r} have {sorted({len(column) for column in columns})} rows for "
            f"{len(index.image_sha256)} digests; give each the same number. Nothing was written to {path}"
        )
        raise CacheError(message)
    check_text_table(index.name, index.columns)
    with hdf5.build_in_memory(FORMAT) as (file, memory):
        hdf5.write_text(file, "name", index.name)
        hdf5.write_text(file, "root", index.root)
        hdf5.write_text(file, _LISTED, index.listed.to_json())
        write_text_table(file, index.name, index.columns)
        if index.label_form:
            hdf5.write_text(file, _LABEL_FORM, index.label_form)
        for name in _TEXT_COLUMNS:
            write_texts(file, name, index.name, getattr(index, name))
        hdf5.write_column(file, "image_sha256", index.image_sha256)
        hdf5.write_compressed(file, "status", index.status)
        for i, name in enumerate(_STAMPS):
            hdf5.write_compressed(file, name, np.ascontiguousarray(index.stamps.values[:, i]))
        if index.sizes is not None:
            for i, name in enumerate(_SIZES):
                hdf5.write_compressed(file, name, np.ascontiguousarray(index.sizes[:, i]))
    write_whole(path, hdf5.sealed_image(FORMAT, memory))


def remove_index(path: Place) -> None:
    """Remove an index, durably.

    Raises
    ------
    CacheError
        If the folder cannot be written.
    """
    with suppress(FileNotFoundError):
        remove(path)


def read_index(path: Place) -> DatasetIndex:
    """Read an index.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CorruptFileError
        If it is damaged, of another version, or its columns disagree.
    """
    return read_with_version(path)[0]


def read_with_version(path: Place) -> tuple[DatasetIndex, int, int]:
    """Return an index, the version of its file's format, and the file's size in bytes; errors as `read_index`."""
    with open_checked(path, FORMAT) as file:
        name = file.text("name")
        if name != path.stem:
            message = f"it is the index of the dataset {name!r}, not of {path.stem!r}"
            raise Malformed(message)
        digests = file.column("image_sha256", types="u1", columns=DIGEST_BYTES)
        columns = {column: _column(file, column, "S", len(digests)) for column in _TEXT_COLUMNS}
        numbers = [_column(file, column, "i8", len(digests)) for column in _STAMPS]
        status = _column(file, "status", "u1", len(digests)).read()
        sizes = [_column(file, column, "i8", len(digests)) for column in _SIZES if file.has(column)]
        index = DatasetIndex(
            name=name,
            root=file.text("root"),
            image_sha256=digests.read(),
            status=status,
            stamps=FileStamps(_stacked(numbers)),
            sizes=_sizes(sizes),
            listed=Listed.from_json(file.json(_LISTED)) if file.has(_LISTED) else Listed(),
            columns=read_text_table(file, len(digests)),
            label_form=_label_form(file),
            corrected=None,
            path=read_texts(columns.pop("path")),
            **{name: read_coded(column) for name, column in columns.items()},
        )
        if file.seal is None:
            _check_digests(index)
        return index, file.version, file.size


def _label_form(file: CacheFile) -> str:
    form = file.text(_LABEL_FORM) if file.has(_LABEL_FORM) else ""
    if form and form not in FORMS:
        message = f"its labels are of the form {form!r}, which this version of Stackbone does not know"
        raise Malformed(message)
    return form


def _check_digests(index: DatasetIndex) -> None:
    # Zeros have the Fletcher-32 checksum 0, and are what a lost page of a disk holds; no image has that digest.
    zero = np.flatnonzero(index.ok & ~index.image_sha256.any(axis=1))
    if len(zero):
        message = f"its digest of {index.path[zero[0]]!r} is zero, though that file was read"
        raise Malformed(message)


def _column(file: CacheFile, name: str, types: str, n: int) -> Column:
    column = file.column(name, types=types, may_inflate=True)
    if len(column) != n:
        message = f"the column {name!r} has {len(column)} rows, image_sha256 has {n}"
        raise Malformed(message)
    return column


def _sizes(columns: Sequence[Column]) -> NDArray[np.int64] | None:
    if len(columns) != len(_SIZES):
        return None
    sizes = _stacked(columns)
    if (sizes < 0).any():
        message = "an image has less than no pixels"
        raise Malformed(message)
    return sizes


def _stacked(columns: Sequence[Column]) -> NDArray[np.int64]:
    return np.stack([column.read() for column in columns], axis=1).astype(np.int64, copy=False)
