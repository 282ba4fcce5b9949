"""Options that describe a table, where there is none: they were meant to have an effect, and would have none."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.kinds.table import TABLES


def refuse_table_options(labels: Path | None, columns: TableColumns) -> None:
    """Raise `UsageError` if a column is named otherwise than by default, or a table of labels is given."""
    if labels is not None:
        msg = f"--labels {typed(labels)} goes with one folder of images. Found a list. Name the folder alone."
        raise UsageError(msg)
    for field in fields(TableColumns):
        value = getattr(columns, field.name)
        if value is not None and value != field.default:
            option = field.name.replace("_", "-") if field.default in ("", False) else f"{field.name}-column"
            given = f"--{option}" if value is True else f"--{option} {typed(value)}"
            msg = (
                f"{given} describes a table, and the dataset is not one. Expected a file ending in "
                f"{' '.join(TABLES)}. Name that file, add it with --labels FILE, or leave --{option} out."
            )
            raise UsageError(msg)
