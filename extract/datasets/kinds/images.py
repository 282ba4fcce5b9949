"""Plain images: one, or a list of them, without labels."""

from __future__ import annotations

import os
from pathlib import Path

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.extract.containers.place import kind_of, split_place
from stackbone.extract.datasets.folders.anchor import Anchor
from stackbone.extract.datasets.folders.extensions import NO_IMAGE, missing_decoder, why_not
from stackbone.extract.datasets.folders.first_bytes import is_image_file
from stackbone.extract.datasets.kind import DatasetKind, Listing, Request
from stackbone.extract.datasets.kinds.table import TABLES
from stackbone.extract.datasets.missing import missing_message
from stackbone.extract.images.formats import decodable_extensions

_NO_MARKS = ("", "", "")
_WITHOUT_EXTENSIONS = {"parquet", "arrow", "video"}  # containers whose images are named by rows or times


def neither_message(path: Path) -> str:
    """Return what to say of a file that no kind of dataset recognises."""
    if reason := missing_decoder(path.suffix.lower()):
        return f"{str(path)!r} cannot be decoded: {reason}."
    reason = why_not(path.suffix.lower())
    if reason and reason != NO_IMAGE:
        return f"{str(path)!r} is neither a folder, nor a table, nor an image, but {reason}."
    return (
        f"The extension of {str(path)!r} is neither an image's nor a table's. Expected a folder, an image "
        f"({' '.join(decodable_extensions())}) or a table ({' '.join(TABLES)}). Name one, or rename the file."
    )


def several_sorts_message(what: str, example: str) -> str:
    """Return what to say of a list of files that are not of one sort, of which `example` is one."""
    return (
        f"{what} holds files of several sorts, such as {example!r}. Expected one sort alone: images, archives, videos, "
        "or tables with a column of images. Name them in several commands, each with --dataset NAME."
    )


def _is_image(path: str) -> bool:
    """Return whether a path is an image's: a file's, or that of a row of a table or of a frame of a video."""
    if is_image_file(path):
        return True
    inside = split_place("", path)
    kind = kind_of(inside[0]) if inside else None
    return kind is not None and kind.name in _WITHOUT_EXTENSIONS


def _read(request: Request) -> Listing:
    if request.path:
        root = _folder_of(str(request.path))
        return Listing(request.path.stem, root, {request.path.relative_to(root).as_posix(): _NO_MARKS})
    if not request.paths:
        msg = "No images: the list of files is empty. Expected at least one. Name a folder or some images."
        raise UsageError(msg)
    for path in request.paths:
        # A listed image that is missing is found out when it is read, like a row of a table.
        if not _is_image(path):
            _refuse_listed(Path(path))
    root = Path(os.path.commonpath([_folder_of(path) for path in request.paths]))
    anchor = Anchor(root)
    return Listing(f"{root.name}-list", root, {anchor.relative(path): _NO_MARKS for path in request.paths})


def _folder_of(path: str) -> Path:
    """Return the folder that an image lies in, or the container that it lies in."""
    inside = split_place("", path)
    return Path(inside[0] if inside else path).parent


def _refuse_listed(path: Path) -> None:
    if not os.path.exists(path):
        raise DatasetError(missing_message(path))
    if path.is_dir() or path.suffix.lower() in TABLES:
        kind = "folder" if path.is_dir() else "table"
        msg = (
            f"A list of images holds the {kind} {str(path)!r}. Expected images only, or one {kind} by "
            f"itself. Give the {kind} alone, so that its labels are read, or name its images."
        )
        raise UsageError(msg)
    if kind_of(path.name):
        raise UsageError(several_sorts_message("The list", str(path)))
    raise DatasetError(neither_message(path))


KIND = DatasetKind(
    name="images",
    what="image files",
    recognises=lambda request: request.path is None or _is_image(str(request.path)),
    read=_read,
    place=40,
)
