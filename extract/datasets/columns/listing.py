"""Tables of images as one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.text import counted, typed
from stackbone.extract.containers.rows import member_name, plain_column
from stackbone.extract.containers.schema import class_names
from stackbone.extract.datasets.columns.cells import most_further, read_cells
from stackbone.extract.datasets.columns.classes import Classes, agreed_classes, classes_of
from stackbone.extract.datasets.columns.configurations import refuse_configurations
from stackbone.extract.datasets.columns.image_column import choose_image_column
from stackbone.extract.datasets.columns.layout import Layout
from stackbone.extract.datasets.columns.meaning import NOTES
from stackbone.extract.datasets.columns.opening import opened
from stackbone.extract.datasets.kind import Listing, Request, TableColumns, as_words
from stackbone.extract.datasets.kinds.table import gathered
from stackbone.extract.datasets.tables.cells import Cells
from stackbone.extract.datasets.tables.limits import MOST_ROWS, too_large


@dataclass
class _Tables:
    """What several tables say, row by row."""

    names: dict[str, str] = field(default_factory=dict)
    parts: list[Cells] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)  # of each row, as its file says
    classes: list[Classes] = field(default_factory=list)  # of each table
    has_classes: bool = False

    @property
    def n_rows(self) -> int:
        """How many rows there are as yet."""
        return sum(len(part.numbers) for part in self.parts)


def list_tables(request: Request, layout: Layout) -> Listing:
    """List the images in some tables.

    Raises
    ------
    UsageError
        If a column is missing, or it cannot be told which is meant, or an option is for another kind of table.
    DatasetError
        If a table is damaged, unlike the others, or holds no images.
    """
    _refuse_options(request.columns)
    files = [(file, split) for file, split in zip(layout.files, layout.splits, strict=True)]
    kept = [each for each in files if not request.exclude.covers_path(each[0])]
    if not kept:
        msg = (
            f"No images: --exclude {typed(*request.exclude.patterns)} leaves out all {counted(len(files), 'table')}. "
            "Expected one or more. Change it."
        )
        raise DatasetError(msg)
    if layout.is_folder:
        refuse_configurations(layout, kept)
    tables = _Tables()
    for file, split in kept:
        _add(tables, layout.root, file, split, request)
    classes = agreed_classes(layout.root, [file for file, _ in kept], tables.classes, tables.names)
    cells = _joined(tables.parts)
    cells = replace(
        cells,
        notes=[*cells.notes, *classes.notes],
        further={name: texts for name, texts in cells.further.items() if name not in classes.unclear},
    )
    if not cells.numbers:
        msg = (
            f"No images: {str(layout.root / kept[0][0])!r}{' and those beside have' if len(kept) > 1 else ' has'} no "
            "rows. Expected one row per image. Check the file."
        )
        raise DatasetError(msg)
    wanted = replace(request.columns, keep_na=request.columns.keep_na or tables.has_classes)
    place = layout.root / kept[0][0] if len(kept) == 1 else layout.root
    table = gathered(place, layout.root, wanted, cells)
    entries = table.entries
    if any(tables.splits):
        rows = zip(cells.columns["path"], tables.splits, strict=True)
        said = {path: split for path, split in rows if split and not entries[path][1]}
        entries = entries | {path: (entries[path][0], split, entries[path][2]) for path, split in said.items()}
    notes = [*layout.notes, *_beside(layout), *request.known.get(NOTES, ()), *table.notes]
    return Listing(layout.title, layout.root, entries, notes=notes, further=table.further, label_form=table.label_form)


def _add(tables: _Tables, root: Path, file: str, split: str, request: Request) -> None:
    place = root / file
    with opened(root, file) as rows:
        if (n := tables.n_rows + rows.n_rows) > MOST_ROWS:  # before anything is kept of each
            raise too_large(place, f"{n:,} rows{', with those before it' if tables.parts else ''}")
        column = choose_image_column(place, rows, request.columns.image or tables.names.get("path", ""))
        prefix = "" if plain_column(rows.schema) == column else column
        if ".." in prefix.split("/") or prefix.startswith("/") or "//" in prefix or "\0" in prefix:
            msg = f"The column {column!r} of {str(place)!r} has a name that is no part of a path. Rename it."
            raise DatasetError(msg)
        paths = [f"{file}/{member_name(row, prefix)}" for row in range(rows.n_rows)]
        cells = read_cells(place, rows, request.columns, paths, column, tables.n_rows)
        tables.has_classes |= cells.names.get("label", "") in class_names(rows.schema)
        tables.classes.append(classes_of(rows.schema, [*cells.names.values(), *cells.further]))
    if tables.parts and cells.names.keys() != tables.names.keys():
        odd = min(cells.names.keys() ^ tables.names.keys())
        here, others = ("a", "none") if odd in cells.names else ("no", "one")
        msg = (
            f"The tables in {str(root)!r} are unlike one another: {file!r} has {here} column for the {odd}, and those "
            f"before it have {others}. Expected the same columns in all. Name those that belong together, or leave "
            f"this one out: --exclude {typed('./' + file)}"
        )
        raise DatasetError(msg)
    tables.names = cells.names
    tables.parts.append(cells)
    tables.splits += [split] * len(paths)


def _joined(parts: Sequence[Cells]) -> Cells:
    """Return what several tables say as if they were one; a column that a table lacks is empty there."""
    n_rows = sum(len(part.numbers) for part in parts)
    further = list(dict.fromkeys(chain.from_iterable(part.further for part in parts)))[: most_further(n_rows)]
    numbers = range(n_rows) if len(parts) > 1 else parts[0].numbers
    return replace(
        parts[0],
        numbers=numbers,
        columns={key: list(chain.from_iterable(part.columns[key] for part in parts)) for key in parts[0].columns},
        notes=list(dict.fromkeys(chain.from_iterable(part.notes for part in parts))),
        further={
            name: list(chain.from_iterable(part.further.get(name) or [""] * len(part.numbers) for part in parts))
            for name in further
        },
        lists=frozenset(chain.from_iterable(part.lists for part in parts)),
    )


def _beside(layout: Layout) -> list[str]:
    are = "is" if layout.n_images == 1 else "are"
    return [f"{counted(layout.n_images, 'image file')} beside the tables {are} not taken."] if layout.n_images else []


def _refuse_options(columns: TableColumns) -> None:
    usual = TableColumns()
    for option, given, default, what in (
        ("--path-column", columns.path, usual.path, "names a column of paths"),
        ("--suffix", columns.suffix, usual.suffix, "completes paths"),
        ("--encoding", columns.encoding, usual.encoding, "describes a table of text"),
    ):
        if given != default:
            msg = (
                f"{typed(*as_words({option: given}))} {what}, and these tables hold the images themselves. Leave "
                f"{option} out."
            )
            raise UsageError(msg)
