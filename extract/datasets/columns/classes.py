"""Whether several tables mean the same by what they say of classes: names in some, and bare numbers in others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbone.cache.errors import DatasetError
from stackbone.cache.text import typed
from stackbone.extract.containers.schema import class_names
from stackbone.extract.datasets.folders.tree import quoted


@dataclass(frozen=True)
class Classes:
    """What one table says of classes.

    Attributes
    ----------
    named
        Names of the classes that a column's numbers stand for, by column.
    bare
        Columns of numbers whose names the table does not tell.
    """

    named: Mapping[str, Sequence[str]]
    bare: frozenset[str]


@dataclass(frozen=True)
class Agreed:
    """What several tables say of classes together.

    Attributes
    ----------
    unclear
        Further columns that are names in some tables and numbers in others, and are not kept.
    notes
        What to say of it.
    """

    unclear: frozenset[str]
    notes: Sequence[str]


def classes_of(schema: Any, columns: Iterable[str]) -> Classes:  # noqa: ANN401 - pyarrow has no types
    """Return what a table says of classes in some of its columns, by its `pyarrow.Schema`."""
    wanted = list(columns)
    named = {name: names for name, names in class_names(schema).items() if name in wanted}
    bare = frozenset(name for name in wanted if name not in named and _is_number(schema.field(name).type))
    return Classes(named, bare)


def _is_number(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    from pyarrow import types

    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_integer(kind) or types.is_floating(kind))


def agreed_classes(root: Path, files: Sequence[str], each: Sequence[Classes], names: Mapping[str, str]) -> Agreed:
    """Return what several tables say of classes together.

    Lists of names may differ: each table's numbers are named by its own.

    Parameters
    ----------
    root, files
        Where they lie.
    each
        What each says.
    names
        Of the columns that labels, splits and groups are in, by key.

    Raises
    ------
    DatasetError
        If one of these columns has names of classes in some tables, and bare numbers in others.
    """
    named = {name for table in each for name in table.named}
    mixed = named & {name for table in each for name in table.bare}
    for key, name in names.items():
        if name in mixed:
            known = next(file for file, table in zip(files, each, strict=True) if name in table.named)
            bare = next(file for file, table in zip(files, each, strict=True) if name in table.bare)
            msg = (
                f"The tables in {str(root)!r} are unlike one another: {known!r} says which classes the numbers in its "
                f"column {name!r} are, and {bare!r} has numbers there without names. Expected names of classes in all, "
                f"or in none, as the {key}. Write the schema of one into the other, or leave this one out: "
                f"--exclude {typed('./' + bare)}"
            )
            raise DatasetError(msg)
    notes = [
        f"The tables list different classes for the column {name!r}; the numbers of each are named by its own list."
        for name in sorted(named - mixed)
        if len({tuple(table.named[name]) for table in each if name in table.named}) > 1
    ]
    if mixed:
        notes.append(f"Not kept: {quoted(mixed)}, names of classes in some tables and numbers without names in others.")
    return Agreed(frozenset(mixed), notes)
