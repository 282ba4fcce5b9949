"""Tables that hold the images themselves: Parquet and Arrow files, and datasets of Hugging Face's library on disk."""

from __future__ import annotations

import os
from pathlib import Path

from stackbone.cache.errors import StackboneError, UsageError
from stackbone.extract.containers.rows import Rows
from stackbone.extract.containers.schema import image_columns
from stackbone.extract.datasets.columns.image_column import likely_columns
from stackbone.extract.datasets.columns.layout import ARROW, TYPED, Layout, layout_of_files, layout_of_folder
from stackbone.extract.datasets.columns.listing import list_tables
from stackbone.extract.datasets.columns.opening import opened
from stackbone.extract.datasets.kind import DatasetKind, Listing, Request, TableColumns
from stackbone.extract.datasets.tables.columns import choose_columns

_NAME = "columns"


def _recognises(request: Request) -> bool:
    if not request.paths or request.labels is not None:
        return False
    if request.path and os.path.isdir(request.path):
        return request.once(_NAME, _layout) is not None
    if not all(path.lower().endswith(TYPED) and os.path.isfile(path) for path in request.paths):
        return False
    return len(request.paths) > 1 or request.once(_NAME, _layout) is not None


def _layout(request: Request) -> Layout | None:
    """Return where the tables lie; None if they are none of images."""
    folder = request.path if request.path and os.path.isdir(request.path) else None
    layout = layout_of_folder(folder) if folder else layout_of_files(request.paths)
    if layout is None or layout.is_saved:
        return layout
    if not folder and (len(layout.files) > 1 or request.columns.image or layout.files[0].lower().endswith(ARROW)):
        return layout
    for file in layout.files:
        try:
            with opened(layout.root, file) as rows:
                n_images = 0 if request.columns.image else layout.n_images
                is_meant = rows.n_rows > n_images and _are_images(layout.root / file, rows, request.columns)
                return layout if is_meant else None
        except StackboneError:
            continue  # of a folder another table tells; of a single one, whoever reads tables of paths says it
    return None


def holds_images(root: Path, path: str, columns: TableColumns) -> bool:
    """Return whether a table holds images, and is not one of their paths; errors as of `opened`."""
    with opened(root, path) as rows:
        return _are_images(root / path, rows, columns)


def _are_images(file: Path, rows: Rows, columns: TableColumns) -> bool:
    if columns.path != TableColumns().path or not image_columns(rows.schema) or not likely_columns(rows):
        return False
    if columns.image:
        return True
    try:
        wanted = TableColumns(label=None)
        name = choose_columns(file, list(rows.schema.names), wanted, has_names=True).names["path"]
    except UsageError:
        return True
    if name in image_columns(rows.schema):
        return True
    # Such a column often says where the images came from; then no file is there.
    batch = next(iter(rows.tables([name])), None)
    paths = [str(value) for value in batch.column(0).to_pylist()[:1]] if batch is not None else []
    return not any(os.path.lexists(file.parent / path) for path in paths if "\0" not in path)


def _read(request: Request) -> Listing:
    layout = request.once(_NAME, _layout)
    return list_tables(request, layout or layout_of_files(request.paths))


KIND = DatasetKind(
    name=_NAME,
    what="Parquet or Arrow files with a column of images, or a folder of Hugging Face's datasets",
    recognises=_recognises,
    read=_read,
    place=10,
    takes_columns=True,
    own_options=frozenset({"--image-column"}),
)
