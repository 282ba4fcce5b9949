"""What the other columns of a table of images say: labels, splits, groups, and whatever else is short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.hdf5.text_table import MOST_KEPT
from stackbone.cache.text import counted, typed
from stackbone.extract.containers.rows import Rows
from stackbone.extract.containers.schema import class_names, holds_bytes
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.cells import LIST_MARK, Cells, cell_text
from stackbone.extract.datasets.tables.columns import Chosen, choose_columns
from stackbone.extract.datasets.tables.limits import MOST_FURTHER
from stackbone.extract.datasets.tables.typed.columns import TypedColumns, is_plain_list, is_short

_NOBODY = "-1"  # the class of an image that nobody labelled, as Hugging Face's datasets write it


def read_cells(
    place: Path, rows: Rows, wanted: TableColumns, paths: Sequence[str], image_column: str, n_before: int = 0
) -> Cells:
    """Return what a table says of its images.

    Parameters
    ----------
    place
        For messages.
    rows
        The table.
    wanted
        The columns' names; a table without the usual column of labels has images without labels.
    paths
        Of the images, row by row.
    image_column
        Which column they are in.
    n_before
        How many rows other tables of the dataset have: what is kept of further columns is bounded for all together.

    Raises
    ------
    UsageError
        If a column that was asked for is missing, or several may be the labels'.
    DatasetError
        If a column cannot be read, or a number of a class has no name.
    """
    schema = rows.schema
    names = class_names(schema)
    header = [field.name for field in schema if not holds_bytes(field.type)]
    chosen = _choose(place, header, wanted, names)
    lists = frozenset(key for key, name in chosen.names.items() if is_plain_list(schema.field(name).type))
    _check_plain(place, schema, chosen.names, lists)
    columns = TypedColumns(place, chosen.names)
    for batch in rows.tables(list(dict.fromkeys(chosen.names.values()))) if chosen.names else ():
        columns.add(batch)
    texts = columns.texts
    notes = list(chosen.notes)
    for key, name in chosen.names.items():
        if name in names:
            texts[key], said = _named(place, name, texts[key], names[name])
            notes += said
    short = [name for name in chosen.further if is_short(schema.field(name).type)]
    further = _further(rows, short[: most_further(n_before + rows.n_rows)])
    for name in further.keys() & names.keys():
        further[name] = [_name_or_number(cell, names[name]) for cell in further[name]]
    return Cells(
        "row",
        range(1, rows.n_rows + 1),
        {"path": list(paths)} | texts,
        {"path": image_column} | chosen.names,
        notes,
        further,
        lists & {"label"},
    )


def most_further(n_rows: int) -> int:
    """Return how many further columns are kept of so many rows."""
    return MOST_FURTHER // max(1, n_rows)


def _choose(place: Path, header: list[str], wanted: TableColumns, names: dict[str, list[str]]) -> Chosen:
    wanted = replace(wanted, path=None, may_lack_label=True)
    if not header:
        return Chosen({}, {}, [])
    chosen = choose_columns(place, header, wanted, has_names=True)
    if wanted.label != TableColumns().label or "label" in chosen.names or wanted.labels:
        return chosen
    classes = [name for name in names if name in header]
    if len(classes) > 1:
        msg = (
            f"{len(classes)} columns of {str(place)!r} hold classes: {', '.join(map(repr, classes[:10]))}. Expected "
            f"one that is the label. Type --label-column {typed(classes[0])}, or name another of them."
        )
        raise UsageError(msg)
    if classes:
        chosen = choose_columns(place, header, replace(wanted, label=classes[0]), has_names=True)
        note = f"The column {classes[0]!r} of {place.name!r} was taken for the label: it holds classes."
        return replace(chosen, notes=[*chosen.notes, note])
    note = (
        f"{place.name!r} has no column of labels, so its images have none. If another column holds the labels, type "
        "--label-column NAME."
    )
    return replace(chosen, notes=[*chosen.notes, note])


def _check_plain(place: Path, schema: Any, names: dict[str, str], lists: frozenset[str]) -> None:  # noqa: ANN401
    from pyarrow import types

    for key, name in names.items():
        kind = schema.field(name).type
        if types.is_nested(kind) and not (key == "label" and key in lists):
            msg = (
                f"The column {name!r} of {str(place)!r} holds {str(kind)[:80]}. Expected text or numbers as the {key}. "
                f"Name another column with --{key}-column, or write a plain one."
            )
            raise DatasetError(msg)


def _named(place: Path, column: str, cells: list[str], names: list[str]) -> tuple[list[str], list[str]]:
    """Return the names of classes in the place of their numbers, and what to say of it."""
    numbers = {str(number): name for number, name in enumerate(names)} | {"": "", _NOBODY: ""}
    unlabelled = cells.count(_NOBODY)
    found = {}
    for cell in dict.fromkeys(cells):
        items = cell.split(LIST_MARK)
        wrong = next((item for item in items if item not in numbers), None)
        if wrong is not None:
            row = cells.index(cell) + 1
            msg = (
                f"Class {wrong[:40]} in the column {column!r} of {str(place)!r}, row {row}, has no name. Expected a "
                f"number from 0 to {len(names) - 1}, or -1 for none, as the table declares. Correct the row, or name "
                "another column with --label-column."
            )
            raise DatasetError(msg)
        found[cell] = LIST_MARK.join(numbers[item] for item in items)
    notes = (
        [f"{counted(unlabelled, 'image')} of class -1 in {place.name!r}, which means no label."] if unlabelled else []
    )
    return [found[cell] for cell in cells], notes


def _name_or_number(cell: str, names: list[str]) -> str:
    return names[int(cell)] if cell.isdecimal() and int(cell) < len(names) else "" if cell == _NOBODY else cell


def _further(rows: Rows, names: list[str]) -> dict[str, list[str]]:
    """Return other columns as text; long cells are cut behind the last character that may be kept."""
    from pyarrow import ArrowException

    texts: dict[str, list[str]] = {name: [] for name in names}
    unread: set[str] = set()
    for batch in rows.tables(names) if names else ():
        for name in texts.keys() - unread:
            try:
                texts[name] += [cell_text(value)[: MOST_KEPT + 1] for value in batch.column(name).to_pylist()]
            except (ArrowException, ValueError, OverflowError):
                unread.add(name)  # nobody asked for this column: a date that Python does not know, say
    return {name: cells for name, cells in texts.items() if name not in unread}
