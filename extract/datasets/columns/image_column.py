"""Which column of a table holds the images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from stackbone.cache.choices import nearest
from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.text import typed
from stackbone.extract.containers.rows import Rows
from stackbone.extract.containers.schema import declared_features, holds_bytes, image_columns
from stackbone.extract.datasets.folders.first_bytes import LENGTH, extension_of

_LOOKED_AT = 64  # cells of a column, to tell whether it holds images


def choose_image_column(place: Path, rows: Rows, asked: str) -> str:
    """Return the column of images.

    Parameters
    ----------
    place, rows
        The table; the first is for messages.
    asked
        As the user calls it; '' to take the one that there is.

    Raises
    ------
    UsageError
        If there is none of that name, or several and none was asked for.
    DatasetError
        If it cannot hold images, or names their files alone.
    """
    schema = rows.schema
    if asked:
        _check_asked(place, schema, asked)
        found = [asked]
    else:
        found = likely_columns(rows)
    if not found:
        msg = (
            f"No column of {str(place)!r} holds images; its columns: {_listed(schema)}. Expected one of encoded "
            "images, as bytes or as {bytes, path}. Name it with --image-column, or name another file."
        )
        raise DatasetError(msg)
    if len(found) > 1:
        msg = (
            f"{len(found)} columns of {str(place)!r} hold images: {', '.join(map(repr, found[:10]))}. Expected one. "
            f"Type --image-column {typed(found[0])}, or name another of them."
        )
        raise UsageError(msg)
    _check_filled(place, rows, found[0])
    return found[0]


def likely_columns(rows: Rows) -> list[str]:
    """Return the columns that hold images, by the schema or, of columns of bytes that it says nothing of, by a look."""
    schema = rows.schema
    found = image_columns(schema)
    told = declared_features(schema)
    return [
        name
        for name in found
        if told.get(name, {}).get("_type") == "Image" or _is_structure(schema, name) or _looks_like_images(rows, name)
    ]


def _is_structure(schema: Any, name: str) -> bool:  # noqa: ANN401 - pyarrow has no types
    from pyarrow import types

    return bool(types.is_struct(schema.field(name).type))


def _looks_like_images(rows: Rows, name: str) -> bool:
    values = [value for value in first_cells(rows, name) if value is not None]
    return any(extension_of(value[:LENGTH]) or value.startswith(b"stackbone-array\0") for value in values)


def first_cells(rows: Rows, name: str) -> list[Any]:
    """Return the first cells of a column as Python has them."""
    cells: list[Any] = []
    for _, some in rows.images(name, 0):
        cells += [cell.as_py() for cell in islice(some, _LOOKED_AT - len(cells))]
        if len(cells) >= _LOOKED_AT:
            break
    return cells


def _check_asked(place: Path, schema: Any, asked: str) -> None:  # noqa: ANN401 - pyarrow has no types
    count = schema.names.count(asked)
    if count != 1:
        near = nearest(asked, schema.names) if not count else None
        found = f"{count} columns of that name" if count else "no such column"
        msg = (
            f"--image-column names {asked!r}, and {str(place)!r} has {found}; its columns: {_listed(schema)}."
            f"{f' The nearest is {near!r}.' if near else ''} Expected one that holds images. Name one of them."
        )
        raise UsageError(msg)
    kind = schema.field(asked).type
    if not holds_bytes(kind):
        likely = [name for name in image_columns(schema) if name != asked]
        advice = f"Type --image-column {typed(likely[0])}" if likely else "Name another file"
        msg = (
            f"The column {asked!r} of {str(place)!r} holds {str(kind)[:80]}. Expected encoded images, as bytes or as "
            f"{{bytes, path}}. {advice}."
        )
        raise DatasetError(msg)


def _check_filled(place: Path, rows: Rows, name: str) -> None:
    cells = [cell for cell in first_cells(rows, name) if isinstance(cell, dict)]
    paths = [str(cell["path"]) for cell in cells if cell["bytes"] is None and cell.get("path")]
    if paths and all(cell["bytes"] is None for cell in cells):
        msg = (
            f"The column {name!r} of {str(place)!r} names the files of its images, such as {paths[0][:200]!r}, and "
            "does not hold them. Expected their bytes. Save the dataset with them (save_to_disk does), or write these "
            "paths into a column of text of a table, and name that with --path-column."
        )
        raise DatasetError(msg)


def _listed(schema: Any) -> str:  # noqa: ANN401 - pyarrow has no types
    names: Sequence[str] = schema.names
    return ", ".join(repr(name[:40]) for name in names[:20]) + (", ..." if len(names) > 20 else "") or "none"
