"""Further columns of a dataset's table, as its index keeps them: found by name, and read as times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, StackError, UsageError
from stackbone.cache.choices import nearest
from stackbone.cache.text import counted, typed

_SHOWN = 20
_SHOWN_CELLS = 3


def named_columns(index: DatasetIndex) -> Mapping[str, Sequence[str]]:
    """Return the columns that can divide images: further ones, and ``split`` and ``group`` where there are any."""
    own = {"split": index.split, "group": index.group}
    return {**{name: cells for name, cells in own.items() if any(cells)}, **index.columns}


def find_column(index: DatasetIndex, option: str, name: str) -> Sequence[str]:
    """Return the ``n_listed`` cells of a column.

    Parameters
    ----------
    index
        Of the dataset.
    option
        That names it, for the message.
    name
        Of the column.

    Raises
    ------
    UsageError
        If the dataset has none of this name; the message names the nearest one.
    """
    columns = named_columns(index)
    if name in columns:
        return columns[name]
    near = nearest(name, columns)
    shown = ", ".join(map(repr, list(columns)[:_SHOWN])) + (", ..." if len(columns) > _SHOWN else "")
    meant = f" The nearest is {near!r}: type {typed(option, near)}." if near else ""
    has = f"it has {shown}" if columns else "it has none"
    table = typed(*(index.listed.asked or ["TABLE"]))
    again = (
        f" If the table has this column, run `stackbone extract {table}` again with the options that it had "
        "(--backbones, --dataset, --cache): what is cached is not embedded anew"
        if not index.in_memory
        else ""
    )
    message = f"{typed(option, name)}: the dataset {index.name!r} has no column {name!r}; {has}.{meant}{again}"
    raise UsageError(message)


def read_times(cells: Sequence[str], paths: Sequence[str], column: str) -> NDArray[np.float64]:
    """Return when each image was made: numbers as they are, or ISO dates in seconds since 1970.

    Parameters
    ----------
    cells, paths
        ``n_images`` cells of a column, and paths for the message.
    column
        Its name, for the message.

    Raises
    ------
    StackError
        If a cell is empty, or they are neither all numbers nor all ISO dates.
    """
    import pandas as pd

    texts = pd.Series(list(cells), dtype=object)
    empty = np.flatnonzero(texts == "")
    if len(empty):
        message = (
            f"{counted(len(empty), 'image')} of {len(cells):,} {'has' if len(empty) == 1 else 'have'} no time in the "
            f"column {column!r}, such as {paths[empty[0]]!r}. Fill it in, or leave such images out, and extract again"
        )
        raise StackError(message)
    numbers = np.asarray(pd.to_numeric(texts, errors="coerce"), np.float64)
    if np.isfinite(numbers).all():
        return numbers
    times = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    unread = np.flatnonzero(times.isna())
    if len(unread):
        shown = ", ".join(f"{cells[row]!r} ({paths[row]})" for row in unread[:_SHOWN_CELLS])
        message = (
            f"{counted(len(unread), 'cell')} of {len(cells):,} in the column {column!r} cannot be read as a time: "
            f"{shown}{', ...' if len(unread) > _SHOWN_CELLS else ''}. Expected ISO dates such as 2024-05-31 or "
            "2024-05-31T14:30, or numbers in every cell. Correct the column, and extract again"
        )
        raise StackError(message)
    return np.asarray((times - pd.Timestamp(0, tz="UTC")).dt.total_seconds(), np.float64)
