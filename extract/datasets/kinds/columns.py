"""Tables that hold the images themselves: Parquet and Arrow files, and datasets of Hugging Face's library on disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from stackbone.cache.errors import StackboneError
from stackbone.extract.containers.rows import Rows
from stackbone.extract.datasets.columns.layout import (
    ARROW,
    TYPED,
    Layout,
    is_of_library,
    layout_of_files,
    layout_of_folder,
)
from stackbone.extract.datasets.columns.listing import list_tables
from stackbone.extract.datasets.columns.meaning import NOTES, meaning_of
from stackbone.extract.datasets.columns.opening import opened
from stackbone.extract.datasets.folders.walking import all_files, skipped_beside
from stackbone.extract.datasets.kind import DatasetKind, Listing, Request

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
                is_meant = rows.n_rows > n_images and holds_images(layout.root, file, rows, request)
                return layout if is_meant else None
        except StackboneError:
            continue  # of a folder another table tells; of a single one, whoever reads tables of paths says it
    return None


def holds_images(root: Path, path: str, rows: Rows, request: Request) -> bool:
    """Return whether a table is one of the images in it, and keep what to say of that; errors as of `opened`."""
    meaning = meaning_of(root, path, rows, request.columns)
    request.known[NOTES] = meaning.notes
    return meaning.is_of_images


def _read(request: Request) -> Listing:
    layout = request.once(_NAME, _layout) or layout_of_files(request.paths)
    listing = list_tables(request, layout)
    if not layout.is_folder:
        return listing
    found = (path for path in all_files(layout.root, request.exclude) if not is_of_library(os.path.basename(path)))
    return replace(listing, skipped=skipped_beside(found, frozenset(layout.files)))


KIND = DatasetKind(
    name=_NAME,
    what="Parquet or Arrow files with a column of images, or a folder of Hugging Face's datasets",
    recognises=_recognises,
    read=_read,
    place=10,
    takes_columns=True,
    own_options=frozenset({"--image-column"}),
)
