"""Columns of a Parquet file as text, read piece by piece and never more than a table may hold."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import DatasetError, StackboneError, UsageError
from stackbone.cache.hdf5.text_table import MOST_KEPT
from stackbone.cache.text import typed
from stackbone.extract.datasets.folders.first_bytes import LENGTH, extension_of
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.cells import Cells, cell_text
from stackbone.extract.datasets.tables.columns import choose_columns
from stackbone.extract.datasets.tables.limits import MOST_FURTHER, MOST_ROWS, MOST_TEXT_BYTES, too_large
from stackbone.extract.datasets.tables.typed.columns import TypedColumns, is_plain_list, is_short

_ROWS_AT_A_TIME = 1 << 14
_LONGEST_PATH = 4096  # bytes, on Linux; no other system allows more


def read_parquet(file: Path, wanted: TableColumns) -> Cells:
    """Return the chosen columns of a Parquet file: whole numbers lose their ``.0``; what is empty is ``""``.

    Raises
    ------
    UsageError
        If a column is missing, or an encoding was stated.
    DatasetError
        If it is not a complete Parquet file, a column holds neither text nor numbers, or it exceeds a limit of
        `limits`.
    StackboneError
        If pyarrow is not installed.
    OSError
        If the file cannot be read, or is not a regular one.
    """
    if wanted.encoding:
        msg = (
            f"--encoding {typed(wanted.encoding)} describes a table of text, and {str(file)!r} is a Parquet file, "
            "whose text is always UTF-8. Leave --encoding out."
        )
        raise UsageError(msg)
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as exc:
        msg = (
            f"Reading {str(file)!r} needs pyarrow, which is not installed here. "
            "Run: pip install pyarrow, or save the table as CSV."
        )
        raise StackboneError(msg) from exc
    try:
        with io.BufferedReader(open_regular(file)) as stream:  # type: ignore[type-var]  # a raw file
            schema = parquet.read_schema(stream)
            chosen = choose_columns(file, list(schema.names), wanted, has_names=True)
            names = chosen.names
            _check_plain(file, schema, names)
            lists = frozenset(key for key, name in names.items() if is_plain_list(schema.field(name).type))
            # A text that repeats is decoded once: a million of it take no more than one.
            plain = [name for key, name in names.items() if key not in lists]
            table = parquet.ParquetFile(stream, read_dictionary=plain)
            _check_no_images(file, schema, table, names)
            _check_declared(file, table, set(names.values()))
            columns = TypedColumns(file, names)
            for batch in table.iter_batches(_ROWS_AT_A_TIME, columns=list(dict.fromkeys(names.values()))):
                columns.add(batch)
            further = _further(parquet.ParquetFile(stream), list(chosen.further))
    except (pyarrow.ArrowException, UnicodeDecodeError) as exc:
        msg = (
            f"The file {str(file)!r} is not a complete Parquet file: {str(exc).rstrip('.')}. "
            "Expected a table written by Parquet. Write or download it again."
        )
        raise DatasetError(msg) from exc
    return Cells("row", range(1, columns.n_rows + 1), columns.texts, names, chosen.notes, further, lists)


def _further(table: Any, names: list[str]) -> dict[str, list[str]]:  # noqa: ANN401 - pyarrow has no types
    """Return other columns as text, of those that hold short texts, numbers or times; long cells are cut."""
    from pyarrow import ArrowException

    about = table.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    sizes: dict[str, int] = dict.fromkeys(names, 0)
    for part in (group.column(at) for group in groups for at in range(group.num_columns)):
        if part.path_in_schema in sizes:
            sizes[part.path_in_schema] += part.total_uncompressed_size
    texts: dict[str, list[str]] = {}
    for name in (each for each in names if is_short(table.schema_arrow.field(each).type)):
        n_cells = about.num_rows * (len(texts) + 1)
        if n_cells > MOST_FURTHER or sizes[name] > _LONGEST_PATH * max(1, about.num_rows):
            continue
        try:
            batches = table.iter_batches(_ROWS_AT_A_TIME, columns=[name])
            texts[name] = [cell_text(v)[: MOST_KEPT + 1] for batch in batches for v in batch.column(0).to_pylist()]
        except (ArrowException, ValueError, OverflowError):
            continue  # nobody asked for this column: a date that Python does not know, say
    return texts


def _check_plain(file: Path, schema: Any, names: dict[str, str]) -> None:  # noqa: ANN401 - pyarrow has no types
    """Refuse columns of structures, and of lists where it is not labels that they list."""
    import pyarrow

    for key, name in names.items():
        kind = schema.field(name).type
        if pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            raise _holds_images(file, name)
        if key == "label" and is_plain_list(kind):
            continue
        if pyarrow.types.is_nested(kind):
            msg = (
                f"The column {name!r} of {str(file)!r} holds {str(kind)[:80]}. Expected text or numbers "
                f"as the {key}. Name another column with --{key}-column, or write a plain one."
            )
            raise DatasetError(msg)


def _check_no_images(file: Path, schema: Any, table: Any, names: dict[str, str]) -> None:  # noqa: ANN401 - as above
    """Refuse a column of images themselves, by its size or by the first of them, before it is read."""
    import pyarrow

    for name in names.values():
        kind = schema.field(name).type
        if not (pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)):
            continue
        about = table.metadata
        groups = (about.row_group(number) for number in range(about.num_row_groups))
        parts = [group.column(at) for group in groups for at in range(group.num_columns)]
        size = sum(part.total_uncompressed_size for part in parts if part.path_in_schema == name)
        if size > _LONGEST_PATH * max(1, about.num_rows):
            raise _holds_images(file, name)
        for batch in table.iter_batches(1, columns=[name]):
            value = next((each for each in batch.column(0).to_pylist() if each is not None), None)
            if value is not None:
                if extension_of(value[:LENGTH]) or b"\0" in value:
                    raise _holds_images(file, name)
                break


def _holds_images(file: Path, name: str) -> DatasetError:
    return DatasetError(
        f"The column {name!r} of {str(file)!r} holds the images themselves, or what is none that is known. Expected "
        f"their paths. If they are images, type --image-column {typed(name)}; or write each to a file, put its path "
        "into a column of text, and name that with --path-column."
    )


def _check_declared(file: Path, table: Any, names: set[str]) -> None:  # noqa: ANN401 - pyarrow has no types
    """Refuse what the file itself says to be too large, before anything of it is unpacked."""
    about = table.metadata
    if about.num_rows > MOST_ROWS:
        raise too_large(file, f"{about.num_rows:,} rows")
    size = 0
    for number in range(about.num_row_groups):
        group = about.row_group(number)
        parts = [group.column(at) for at in range(group.num_columns)]
        own = (part for part in parts if names & {part.path_in_schema, part.path_in_schema.split(".", 1)[0]})
        size += sum(part.total_uncompressed_size for part in own)
        if size > MOST_TEXT_BYTES:
            raise too_large(file, f"more than {MOST_TEXT_BYTES >> 20:,} MiB of text")
