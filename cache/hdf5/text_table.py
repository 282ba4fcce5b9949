"""Further columns of text, whatever their number: their names, and the cells of all of them as one column."""

from __future__ import annotations

import json
from collections.abc import Mapping

import h5py

from stackbone.cache.errors import CacheError, Malformed
from stackbone.cache.hdf5.coded_texts import Texts, join_texts, longest
from stackbone.cache.hdf5.opening import CacheFile
from stackbone.cache.hdf5.texts import read_coded, write_texts
from stackbone.cache.hdf5.writing import write_text

MOST_COLUMNS, MOST_NAME, MOST_KEPT = 100, 100, 256
"""Columns that a file keeps, characters of their names, and of their cells."""

_COLUMNS, _CELLS = "columns", "cells"


def check_text_table(dataset: str, columns: Mapping[str, Texts]) -> None:
    """Refuse columns of a dataset that no reader takes.

    Raises
    ------
    CacheError
        If there are too many, or a name or a cell is too long.
    """
    if len(columns) > MOST_COLUMNS:
        message = (
            f"the dataset {dataset!r} has {len(columns):,} further columns, and an index keeps up to {MOST_COLUMNS}. "
            "Leave some out"
        )
        raise CacheError(message)
    for name, cells in columns.items():
        n_characters = longest(cells)
        if not _is_name(name) or n_characters > MOST_KEPT:
            message = (
                f"the further column {str(name)[:MOST_NAME]!r} of the dataset {dataset!r} has cells of up to "
                f"{n_characters:,} characters. Expected a name of 1 to {MOST_NAME} printable characters, and cells of "
                f"up to {MOST_KEPT}. Leave the column out, or shorten it"
            )
            raise CacheError(message)


def write_text_table(file: h5py.File, dataset: str, columns: Mapping[str, Texts]) -> None:
    """Write columns of a dataset, all of one length; nothing where there are none."""
    if columns:
        write_text(file, _COLUMNS, json.dumps(list(columns), ensure_ascii=False))
        write_texts(file, _CELLS, dataset, join_texts([*columns.values()]))


def read_text_table(file: CacheFile, n: int) -> dict[str, Texts]:
    """Return the columns of `n` cells that a file has, by name; errors as of `CacheFile`."""
    if not file.has(_COLUMNS):
        return {}
    names = file.json(_COLUMNS)
    plain = isinstance(names, list) and all(map(_is_name, names))
    if not plain or not 0 < len(set(names)) == len(names) <= MOST_COLUMNS:
        message = f"the names of its further columns are no list of 1 to {MOST_COLUMNS} short texts, all different"
        raise Malformed(message)
    cells = file.column(_CELLS, types="S", may_inflate=True)
    if len(cells) != n * len(names) or cells.dtype.itemsize > 4 * MOST_KEPT:  # bytes of a character in UTF-8
        message = f"its further columns have {len(cells)} cells of {cells.dtype.itemsize} bytes, for {n} x {len(names)}"
        raise Malformed(message)
    texts = read_coded(cells)
    return {name: texts[i * n : (i + 1) * n] for i, name in enumerate(names)}


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MOST_NAME and name.isprintable()
