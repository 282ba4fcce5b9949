"""Whether a table with a column of images and one of paths is a dataset of these images, or of the files there.

A column of paths beside images often says where these came from, and no file is there; in a table of files, such images
are thumbnails. So some of the paths are looked for, as they are where a table of paths is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.remote.listing import stat_remote
from stackbone.cache.remote.url import is_url
from stackbone.cache.text import typed
from stackbone.extract.containers.rows import Rows
from stackbone.extract.containers.schema import image_columns
from stackbone.extract.datasets.columns.image_column import likely_columns
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.kind import TableColumns
from stackbone.extract.datasets.tables.cells import cell_text
from stackbone.extract.datasets.tables.columns import choose_columns
from stackbone.extract.datasets.tables.disk import Disk
from stackbone.extract.datasets.tables.places import place
from stackbone.extract.datasets.tables.written import plain_places

NOTES = "notes on images beside paths"
"""Under this name `Request.known` keeps what is to be said of the choice, whichever kind of dataset reads the table."""

_SAMPLE, _REMOTE_SAMPLE = 64, 8  # rows whose files are looked for; on a server each is a request
_MOST_SHOWN = 80


@dataclass(frozen=True)
class Meaning:
    """What a table is.

    Attributes
    ----------
    is_of_images
        Whether it is one of the images in it, and not of files elsewhere.
    notes
        Why, where it could be read in another way.
    """

    is_of_images: bool
    notes: Sequence[str] = ()


def meaning_of(root: Path, path: str, rows: Rows, columns: TableColumns) -> Meaning:
    """Return what a table is; errors as of `opened`.

    Parameters
    ----------
    root, path
        Where it lies.
    rows
        It, open.
    columns
        What the user says of its columns: who names that of paths, or says how these are completed, means files.
    """
    file = root / path
    images = likely_columns(rows) if image_columns(rows.schema) else []
    if columns.path != TableColumns().path or not images:
        return Meaning(is_of_images=False)
    if columns.image:
        return Meaning(is_of_images=True)
    try:
        chosen = choose_columns(file, list(rows.schema.names), TableColumns(label=None), has_names=True)
    except UsageError:
        return Meaning(is_of_images=True)
    name = chosen.names["path"]
    if name in image_columns(rows.schema):
        return Meaning(is_of_images=True)
    both = f"{file.name!r} has images in the column {images[0]!r} and paths in the column {name!r}."
    taken = f"{both} The files of the paths were taken; --image-column {typed(images[0])} takes the images instead."
    if columns.suffix:
        return Meaning(is_of_images=False, notes=[taken])
    written = _sample(rows, name)
    if _lead_to_files(file, written):
        return Meaning(is_of_images=False, notes=[taken])
    example = f", such as {written[0][:_MOST_SHOWN]!r}" if written else ""
    return Meaning(is_of_images=True, notes=[f"{both} The images were taken, as the paths lead to no files{example}."])


def _sample(rows: Rows, name: str) -> list[str]:
    """Return some paths, from all over the first rows."""
    batch = next(iter(rows.tables([name])), None)
    if batch is None:
        return []
    column = batch.column(0)
    texts = [cell_text(column[row].as_py()) for row in range(0, len(column), max(1, len(column) // _SAMPLE))]
    return [text for text in texts if text.strip() and "\0" not in text]


def _lead_to_files(file: Path, written: Sequence[str]) -> bool:
    """Return whether one of the paths is a file's, or, where files are found by their names alone, half of them are."""
    root = file.parent
    anchor = Anchor(root)
    paths = [path for path in map(anchor.relative, plain_places(list(written))) if not is_url(path)]
    if is_url(str(root)):
        return any(_is_remote(f"{root}/{path}") for path in paths[:: max(1, len(paths) // _REMOTE_SAMPLE)])
    if any(map(Disk(str(root)).has, paths)):
        return True
    try:
        placed = place(file, root, dict.fromkeys(paths, ("", "", "")), [])
    except DatasetError:
        return False
    return bool(paths) and len(placed.missing) * 2 <= len(set(paths))


def _is_remote(url: str) -> bool:
    try:
        stat_remote(url)
    except FileNotFoundError:
        return False
    return True
