"""Which column of a table holds the paths, the labels, the splits and the groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stackbone.cache.choices import nearest
from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.hdf5.text_table import MOST_COLUMNS, MOST_NAME
from stackbone.cache.splits import SPLITS, canonical_split
from stackbone.cache.text import typed
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.limits import DECIMAL

_KEYS = ("path", "label", "split", "group")
_DEFAULTS = TableColumns()
_ALIASES = {
    "path": (
        *("path", "paths", "file", "files", "filename", "filenames", "filepath", "filepaths", "fname", "img"),
        *("image", "images", "imagepath", "imagefile", "imagefilename", "imagename", "imgpath", "imgname", "imgfile"),
        *("picture", "photo", "relpath", "relativepath", "fullpath", "absolutepath"),
    ),
    "label": (
        *("label", "labels", "labelname", "class", "classname", "classlabel", "category", "categoryname", "species"),
        *("target", "y", "breed", "diagnosis", "groundtruth"),
    ),
    "split": ("split", "splits", "subset", "partition", "set", "dataset"),
    "group": ("group", "groups"),
}
_LESS_SURE = ("imageid", "imgid", "fileid", "id", "name")  # paths, where nothing else says that it is one
_UNSAID = re.compile(r"[\W_]+")

KNOWN_NAMES = frozenset(name for names in _ALIASES.values() for name in names)
"""Names of columns, plain: see `plain_name`."""


@dataclass(frozen=True)
class Chosen:
    """Positions of the chosen columns by key, their names, what to say of them, and whether the table has a header.

    `further` are positions of the others by name, of those that have a name of their own.
    """

    at: dict[str, int]
    names: dict[str, str]
    notes: list[str]
    has_header: bool = True
    further: dict[str, int] = field(default_factory=dict)


def plain_name(name: str) -> str:
    """Return a column's name without case and all but letters and digits: ``Image_Path`` is ``imagepath``."""
    return _UNSAID.sub("", name).lower()


def choose_columns(
    file: Path,
    header: Sequence[str],
    wanted: TableColumns,
    first_row: Sequence[str] | None = None,
    *,
    has_names: bool = False,
) -> Chosen:
    """Choose a table's columns by their names.

    A column that goes by its usual name is taken. For any of the usual names that the table lacks, one other that says
    the same (``filename``, ``species``) is taken if there is just one. A split or group that nobody asked for
    may be absent, and the label where there is one of these and `wanted` allows that. A table whose first line names an
    image has no header: its columns go by number, from 1.

    Parameters
    ----------
    file
        The table, for messages.
    header
        Its first row.
    wanted
        The columns' names.
    first_row
        Its second row, by which a column of images is known; None if it cannot be told.
    has_names
        Whether this form of table names its columns always.

    Raises
    ------
    UsageError
        A column is missing or doubled; the message names the nearest one and the option to type.
    DatasetError
        The table is empty.
    """
    if not header:
        msg = (
            f"No images: the table {str(file)!r} is empty. Expected the names of its columns, such as path,label, and "
            "below them one row per image. Check the file."
        )
        raise DatasetError(msg)
    asked = {key: name for key in _KEYS if (name := getattr(wanted, key)) is not None}
    for key, name in asked.items():
        if header.count(name) > 1:
            raise UsageError(_doubled_message(file, header, key, name))
    if not has_names and wanted.path not in header and _is_headerless(header, wanted, first_row):
        return _by_position(file, header, wanted, first_row)
    at = {key: _place(header, name) for key, name in asked.items() if _place(header, name) >= 0}
    notes, lacking = [], ""
    for key, name in asked.items():
        if key in at:
            continue
        is_usual = name == getattr(_DEFAULTS, key)
        found = _same_meaning(key, header, at, first_row) if is_usual else []
        if len(found) == 1:
            at[key] = found[0]
            notes.append(f"The column {header[found[0]]!r} of {file.name!r} was taken for the {key}.")
        elif key == "label" and wanted.may_lack_label and is_usual and not found:
            lacking = _missing_message(file, header, key, wanted, at, first_row)
        elif key in ("path", "label") or not is_usual:
            raise UsageError(_missing_message(file, header, key, wanted, at, first_row))
    if lacking and at.keys() == {"path"}:
        raise UsageError(lacking)
    further, said = _further(file, header, at, wanted.labels)
    return Chosen(at, {key: header[place] for key, place in at.items()}, [*notes, *said], further=further)


def _same_meaning(key: str, header: Sequence[str], at: dict[str, int], first_row: Sequence[str] | None) -> list[int]:
    """Positions of the columns that may be meant, the surest kind of them alone."""
    free = [place for place in range(len(header)) if place not in at.values()]
    exact = [place for place in free if plain_name(header[place]) == key]
    found = [place for place in free if plain_name(header[place]) in _ALIASES[key]]
    if key == "path" and len(found) != 1:
        images = [place for place in found or free if is_image_name(_cell(first_row or (), place))]
        less_sure = [place for place in free if plain_name(header[place]) in _LESS_SURE]
        found = images or found or less_sure
    return [place for place in exact if place in found] or found


def _place(header: Sequence[str], name: str) -> int:
    """Return where the column of a name is, or that of a number, from 1, where no column is called so; or -1."""
    if name in header:
        return header.index(name)
    return int(name) - 1 if name.isdecimal() and int(name) <= len(header) else -1


def _is_headerless(header: Sequence[str], wanted: TableColumns, first_row: Sequence[str] | None) -> bool:
    place = _place(header, wanted.path or "")
    if place >= 0:  # by number, for either may be
        below = _cell(first_row or (), place)
        is_named = plain_name(header[place]) in KNOWN_NAMES or is_image_name(below)
        return is_image_name(header[place]) or not is_named
    return wanted.path == _DEFAULTS.path and any(is_image_name(cell) for cell in header)


def _by_position(file: Path, header: Sequence[str], wanted: TableColumns, second_row: Sequence[str] | None) -> Chosen:
    """Choose the columns of a table without header: by number, by what its first row holds, or the one that is left."""
    at: dict[str, int] = {}
    for key in _KEYS:
        name = getattr(wanted, key)
        if name is None or name == getattr(_DEFAULTS, key):
            continue
        place = _place(header, name)
        if place < 0 or not name.isdecimal():
            msg = (
                f"The table {str(file)!r} has no header line, so no column is called {name!r}. Expected a column's "
                f"number, from 1 to {len(header)}. Type --{key}-column NUMBER, or give the table a header."
            )
            raise UsageError(msg)
        at[key] = place
    if "path" not in at:
        at["path"] = next(place for place, cell in enumerate(header) if is_image_name(cell))
    free = [place for place in range(len(header)) if place not in at.values()]
    if "split" not in at:
        rows = [row for row in (header, second_row) if row]
        named = [place for place in free if all(_is_split(_cell(row, place)) for row in rows)]
        if len(named) == 1:
            at["split"] = named[0]
            free.remove(named[0])
    if wanted.label is not None and "label" not in at and (free or "split" not in at or not wanted.may_lack_label):
        if len(free) != 1:
            near = next((place for place in free if place > at["path"]), next(iter(free), None))
            without = "Add that column" if wanted.former else "Type `extract --no-labels`"
            way_out = without if near is None else f"Type --label-column {typed(near + 1)}"
            msg = (
                f"The table {str(file)!r} has no header line; its first line is {_listed(header)}. Expected the "
                f"number of the column with the labels. {way_out}, or give the table a header."
            )
            raise UsageError(msg)
        at["label"] = free[0]
    names = {key: str(place + 1) for key, place in at.items()}
    told = ", ".join(f"column {names[key]} for the {key}" for key in _KEYS if key in at)
    note = f"The table {file.name!r} has no header line, so its columns went by place: {told}."
    further, said = _further(file, [str(place + 1) for place in range(len(header))], at, wanted.labels)
    return Chosen(at, names, [note, *said], has_header=False, further=further)


def _further(
    file: Path, names: Sequence[str], at: dict[str, int], labels: Sequence[str]
) -> tuple[dict[str, int], list[str]]:
    """Return the positions of all other columns by name, and what to say where there are too many beside `labels`."""
    times = Counter(names)
    free = {
        name: place
        for place, name in enumerate(names)
        if place not in at.values() and 0 < len(name) <= MOST_NAME and name.isprintable() and times[name] == 1
    }
    asked = {name: free.pop(name) for name in labels if name in free}
    kept = dict(list(free.items())[:MOST_COLUMNS])
    if len(free) == len(kept):
        return asked | kept, []
    return asked | kept, [f"Of the {len(free):,} other columns of {file.name!r}, the first {MOST_COLUMNS} are kept."]


def _is_split(text: str) -> bool:
    return canonical_split(text.strip()) in SPLITS


def _cell(row: Sequence[str], place: int) -> str:
    return row[place].strip() if place < len(row) else ""


def _doubled_message(file: Path, header: Sequence[str], key: str, name: str) -> str:
    return (
        f"The table {str(file)!r} has {header.count(name)} columns named {name!r} (its columns: "
        f"{_listed(header)}). Expected one. Rename them, or name another with --{key}-column NAME."
    )


def _missing_message(
    file: Path,
    header: Sequence[str],
    key: str,
    wanted: TableColumns,
    at: dict[str, int],
    first_row: Sequence[str] | None,
) -> str:
    name = str(getattr(wanted, key))
    free = [column for place, column in enumerate(header) if place not in at.values() and column.isprintable()]
    free = [column for column in free if column not in ("", wanted.former) and header.count(column) == 1]
    best = _best(key, name, free, header, first_row)
    if (at_image := next((place for place, cell in enumerate(header) if is_image_name(cell)), -1)) >= 0:
        label = next((place for place in range(len(header)) if place != at_image), at_image)
        columns = ["--path-column", at_image + 1]
        columns += ["--label-column", label + 1] if key == "label" and label != at_image else []
        return (
            f"The table {str(file)!r} has no column {name!r}, expected for the {key}; its first line is "
            f"{_listed(header)}, which names an image. If that is no header, give the columns' numbers: type "
            f"{typed(*columns)}."
        )
    near = f" The nearest is {best!r}." if best else ""
    is_correction = key == "label" and wanted.former
    way_out = {
        "path": "; if its first line is not a header, --path-column 1 --label-column 2 or whichever they are",
        "label": ", or `extract --no-labels` to read the images without labels",
    }.get(key, "")
    if is_correction:
        way_out = f", or add a column {name!r} with the right label of each image"
    option = f"Type --{key}-column {typed(best) if best else 'NAME'}{way_out}"
    if is_correction and not best:
        alone = way_out.removeprefix(", or ")
        option = alone[:1].upper() + alone[1:]
    return (
        f"The table {str(file)!r} has no column {name!r}, expected for the {key}; its columns: "
        f"{_listed(header)}.{near} {option}."
    )


def _best(key: str, name: str, free: list[str], header: Sequence[str], first_row: Sequence[str] | None) -> str | None:
    """Return the column that was probably meant."""
    if key == "path" and first_row:
        images = [column for column in free if is_image_name(_cell(first_row, header.index(column)))]
        free = images or free
        if images:
            return images[0]
    plain = {plain_name(column): column for column in reversed(free)}
    near = nearest(plain_name(name), plain)
    usual = [plain[alias] for alias in (*_ALIASES[key], *(_LESS_SURE if key == "path" else ())) if alias in plain]
    others = {alias for other, aliases in _ALIASES.items() if other != key for alias in aliases}
    rest = [column for column in free if key == "label" and plain_name(column) not in others]
    rest.sort(key=lambda column: bool(DECIMAL.fullmatch(_cell(first_row or (), header.index(column)))))
    return next(iter([*([plain[near]] if near else []), *usual, *rest]), None)


def _listed(header: Sequence[str]) -> str:
    return ", ".join(repr(column[:40]) for column in header[:20]) or "none"
