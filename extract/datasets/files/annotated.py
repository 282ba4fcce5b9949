"""Kinds of datasets whose annotations lie in files beside the images: read in a folder, in archives, behind a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, cast

from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.files.files import Files
from stackbone.extract.datasets.files.folder import FolderFiles
from stackbone.extract.datasets.kind import (
    KINDS,
    DatasetKind,
    Entries,
    Listing,
    Look,
    PassedOver,
    Reading,
    Request,
)

ANNOTATIONS = (".xml", ".json", ".yaml", ".yml")
"""Extensions of files that are annotations, or without one of which there are none."""

LABELS_ARE = "The labels of an image are the"
"""Begins a note of each listing whose labels are those of annotated objects."""

Find: TypeAlias = Callable[[Files, str], Look]
"""Returns how to list files, of which one may have been named (else ``""``); see `DatasetKind.find`."""


def annotated_kind(name: str, what: str, find: Find, place: int) -> DatasetKind:
    """Return the kind of dataset that `find` recognises, wherever its files lie."""

    def look(request: Request) -> Look:
        path = request.path
        if path is None or request.labels is not None:
            return None
        if os.path.isdir(path):
            return find(FolderFiles(path, request.exclude), "")
        is_told = path.suffix.lower() in ANNOTATIONS and os.path.isfile(path)
        return find(FolderFiles(path.parent, request.exclude), path.name) if is_told else None

    def recognises(request: Request) -> bool:
        return callable(request.once(name, look))

    def read(request: Request) -> Listing:
        return cast(Reading, request.once(name, look))(request.columns.label is not None)

    return DatasetKind(name, what, recognises, read, place, find=find)


def may_be_annotated(names: Iterable[str]) -> bool:
    """Return whether files of these names may hold annotations, so that it pays to look."""
    return any(name.lower().endswith(ANNOTATIONS) for name in names)


def find_annotated(files: Files, file: str = "") -> tuple[DatasetKind, Reading] | PassedOver | None:
    """Return which kind of annotated dataset files are, and how to list them; None, or `PassedOver`, if they are none.

    Parameters
    ----------
    files
        In archives, or behind a URL.
    file
        See `Find`.
    """
    passed: PassedOver | None = None
    for kind in KINDS.values():
        found = kind.find(files, file) if kind.find is not None else None
        if isinstance(found, PassedOver):
            passed = passed or found
        elif found is not None:
            return kind, found
    return passed


def as_listing(
    files: Files, entries: Entries, notes: Sequence[str], *, label_form: str = "", boxes: ListedBoxes | None = None
) -> Listing:
    """Return a listing of images that are named as `files` has them."""
    moved = {files.listed(path): marks for path, marks in entries.items()}
    if boxes is not None:
        by_path = {files.listed(path): each for path, each in boxes.images.items()}
        boxes = ListedBoxes(boxes.source, by_path, boxes.are_shares)
    return Listing(files.title, files.root, moved, notes=notes, label_form=label_form, boxes=boxes)
