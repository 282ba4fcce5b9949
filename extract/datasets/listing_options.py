"""Options that describe what is not there: they were meant to have an effect, and would have none."""

from __future__ import annotations

import os
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.extract.datasets.folders.reading import LEAF
from stackbone.extract.datasets.kind import Request, TableColumns
from stackbone.extract.datasets.kinds.table import TABLES


def refuse_table_options(labels: Path | None, columns: TableColumns) -> None:
    """Raise `UsageError` if a column is named otherwise than by default, or a table of labels is given."""
    if labels is not None:
        msg = f"--labels {typed(labels)} goes with one folder of images. Found a list. Name the folder alone."
        raise UsageError(msg)
    for field in fields(TableColumns):
        value = getattr(columns, field.name)
        if value is not None and value != field.default:
            option = _option_of(field)
            given = typed(*_given(option, value))
            msg = (
                f"{given} describes a table, and the dataset is not one. Expected a file ending in "
                f"{' '.join(TABLES)}. Name that file, add it with --labels FILE, or leave {option} out."
            )
            raise UsageError(msg)


def _option_of(field: Field[Any]) -> str:
    """Return the option that sets a field of `TableColumns`."""
    return f"--{field.name.replace('_', '-')}" if field.default in ("", False) else f"--{field.name}-column"


def _given(option: str, value: object) -> list[str]:
    return [option] if value is True else [option, str(value)]


def asked_words(request: Request, *, labelled: bool) -> list[str]:
    """Return what to type after ``stackbone extract`` to list the same again; nothing of images in memory."""
    if request.images is not None:
        return []
    words = [*request.paths]
    words += [] if request.labels is None else ["--labels", str(request.labels)]
    for field in fields(TableColumns):
        value = getattr(request.columns, field.name)
        if value is not None and value != field.default:
            words += _given(_option_of(field), value)
    for pattern in request.exclude:
        words += ["--exclude", pattern]
    for option, value, default in (
        ("--split-folders", request.split_folders, "auto"),
        ("--class-level", request.class_level, None),
        ("--only-listed", request.only_listed, False),
        ("--no-labels", not labelled, False),
    ):
        if value != default:
            words += _given(option, value)
    return words


def refuse_level_options(request: Request) -> None:
    """Raise `UsageError` if levels of folders are named."""
    for option, given, default in (
        ("--split-folders", request.split_folders, "auto"),
        ("--class-level", request.class_level, None),
    ):
        if given != default:
            msg = (
                f"{option} {given} says how the names of folders are read, and this dataset is not a folder of class "
                f"folders. Leave {option} out."
            )
            raise UsageError(msg)


def read_class_level(given: int | str | None) -> int | str | None:
    """Return the level as it was meant: a number from 1, `LEAF`, or None."""
    if given is None or given == LEAF:
        return given
    if (isinstance(given, int) or given.isdecimal()) and int(given) >= 1:
        return int(given)
    msg = f"--class-level takes a number from 1, or {LEAF} for the innermost folders, not {given!r}"
    raise UsageError(msg)


def check_marks(marks: dict[str, Any]) -> None:
    """Raise `UsageError` unless labels, splits and groups of images in memory are sequences."""
    for name, given in marks.items():
        if isinstance(given, str | bytes | os.PathLike) or not hasattr(given, "__len__"):
            msg = (
                f"{name}= is {given!r}, and the images are in memory. Expected a sequence with a value for each image, "
                f"such as a list. Leave {name}= out if you have none."
            )
            raise UsageError(msg)


def refuse_marks(marks: dict[str, Any]) -> None:
    """Raise `UsageError` where values for each image were given, and the images are no arrays."""
    for name, given in marks.items():
        if name != "labels" or not isinstance(given, str | os.PathLike):
            instead = "name a table, labels='labels.csv', or leave labels= out" if name == "labels" else "give a table"
            msg = (
                f"{name}= with a value for each image goes with images in memory: an array, or a list of arrays or PIL "
                f"images. Found files: {instead}."
            )
            raise UsageError(msg)
