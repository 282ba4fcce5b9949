"""Columns of a table beside those of paths, labels, splits and groups: kept for those who divide images by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stackbone.cache.hdf5.coded_texts import Texts
from stackbone.cache.hdf5.text_table import MOST_COLUMNS, MOST_KEPT
from stackbone.cache.remote.url import holds_secret
from stackbone.extract.datasets.tables.marks import read_marks

_SHOWN = 5


@dataclass(frozen=True)
class Further:
    """What further columns say of images.

    Attributes
    ----------
    names
        Of the columns.
    rows
        Path of an image to its cells, one for each name; ``""`` where there is nothing.
    """

    names: tuple[str, ...] = ()
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def moved(self, at: Mapping[str, str]) -> Further:
        """Return the same of images that lie elsewhere, by the paths that were written."""
        return replace(self, rows={at.get(path, path): cells for path, cells in self.rows.items()}) if at else self

    def joined(self, *others: Further) -> Further:
        """Return all; of an image that several speak of, the last of them decides the columns that it has."""
        speaking = [each for each in (self, *others) if each.names]
        if len(speaking) < 2:
            return speaking[0] if speaking else self
        names = tuple(dict.fromkeys(name for each in speaking for name in each.names))
        place = {name: at for at, name in enumerate(names)}
        rows: dict[str, list[str]] = {}
        for each in speaking:
            places = [place[name] for name in each.names]
            for path, cells in each.rows.items():
                row = rows.setdefault(path, [""] * len(names))
                for at, cell in zip(places, cells, strict=True):
                    row[at] = cell
        return Further(names, {path: tuple(row) for path, row in rows.items()})

    def without(self, names: Sequence[str]) -> Further:
        """Return the other columns."""
        left = [i for i, name in enumerate(self.names) if name not in names]
        rows = {path: tuple(cells[i] for i in left) for path, cells in self.rows.items()}
        return Further(tuple(self.names[i] for i in left), rows)

    def columns(self, paths: Sequence[str]) -> dict[str, list[str]]:
        """Return each column that says anything of these images, a cell for each path."""
        nothing = ("",) * len(self.names)
        rows = [self.rows.get(path, nothing) for path in paths]
        columns = {name: [row[i] for row in rows] for i, name in enumerate(self.names)}
        return {name: cells for name, cells in columns.items() if any(cells)}


def first_columns(columns: Mapping[str, Texts]) -> tuple[dict[str, Texts], list[str]]:
    """Return as many columns as an index keeps, and what to say of others: several tables may have more together."""
    if len(columns) <= MOST_COLUMNS:
        return dict(columns), []
    kept = dict(list(columns.items())[:MOST_COLUMNS])
    return kept, [f"Of the {len(columns):,} other columns of all tables, the first {MOST_COLUMNS} are kept."]


def gather(
    table: str, columns: Mapping[str, list[str]], paths: Sequence[str], *, keep_na: bool
) -> tuple[Further, list[str]]:
    """Return a table's further columns by path, and what to say of those that are not kept.

    A column is kept whose cells are short, and that says one thing of each image; none with a URL that holds a secret.

    Parameters
    ----------
    table
        Its name, for notes.
    columns
        Name to cells, as they are written.
    paths
        Of each row; several rows may be of one image.
    keep_na
        As of `read_marks`.
    """
    long = [name for name, cells in columns.items() if max(map(len, cells), default=0) > MOST_KEPT]
    secret = [name for name, cells in columns.items() if name not in long and any(map(holds_secret, cells))]
    kept = {
        name: read_marks("", name, cells, keep_na=keep_na)[0]
        for name, cells in columns.items()
        if name not in long and name not in secret
    }
    rows: dict[str, tuple[str, ...]] = {}
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    torn: set[int] = set()
    for path, cells in zip(paths, zip(*kept.values(), strict=True), strict=True) if kept else ():
        found = rows.setdefault(path, shared.setdefault(cells, cells))
        if found is not cells and found != cells:
            torn |= {i for i, (old, new) in enumerate(zip(found, cells, strict=True)) if old != new}
    names = list(kept)
    if torn:
        left = [i for i in range(len(names)) if i not in torn]
        rows = {path: tuple(cells[i] for i in left) for path, cells in rows.items()}
    several = [name for i, name in enumerate(names) if i in torn]
    notes = [
        *_not_kept(table, long, f"hold cells of more than {MOST_KEPT} characters"),
        *_not_kept(table, secret, "hold URLs with passwords or signatures"),
        *_not_kept(table, several, "say several things of one image"),
    ]
    return Further(tuple(name for name in names if name not in several), rows), notes


def _not_kept(table: str, names: Sequence[str], why: str) -> Iterable[str]:
    if names:
        shown = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
        yield f"Columns of {table!r} that {why} are not kept: {shown}."
