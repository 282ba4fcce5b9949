"""The listing of Caltech-UCSD Birds-200-2011, as its archive unpacks.

Four text files of numbered lines, described in the README of Wah, Branson, Welinder, Perona and Belongie,
"The Caltech-UCSD Birds-200-2011 Dataset", CNS-TR-2011-001: ``images.txt`` (image, path below ``images/``),
``image_class_labels.txt`` (image, class), ``train_test_split.txt`` (image, 1 for train or 0 for test) and
``classes.txt`` (class, name).
"""

from __future__ import annotations

import os
from pathlib import Path

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.folders.walking import folders_in_wrappers
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request

IMAGES, LABELS, SPLITS, CLASSES = (
    "images.txt",
    "image_class_labels.txt",
    "train_test_split.txt",
    "classes.txt",
)

_FOLDER = "CUB_200_2011"
_Numbered = dict[str, tuple[str, int]]


def is_cub(folder: Path) -> bool:
    """Return whether a folder holds the files by which a CUB tree is known."""
    return os.path.isfile(folder / IMAGES) and os.path.isfile(folder / LABELS)


def read_cub(folder: Path) -> Entries:
    """Read the listing of an unpacked ``CUB_200_2011`` folder.

    Parameters
    ----------
    folder
        Absolute path of the folder with ``images.txt``.

    Returns
    -------
    Entries
        For each path (``images/001.Black_footed_Albatross/...``) the class's name from ``classes.txt`` and
        'train' or 'test'; no groups.

    Raises
    ------
    DatasetError
        A file is missing, or a line of it is ragged or at odds with the other files.
    """
    images = _numbered(folder / IMAGES, "path")
    labels = _numbered(folder / LABELS, "class")
    splits = _numbered(folder / SPLITS, "0 or 1")
    classes = _numbered(folder / CLASSES, "class name")
    for file, rows in ((LABELS, labels), (SPLITS, splits)):
        for image, (_, line) in images.items():
            if image not in rows:
                raise _at(folder / IMAGES, line, f"image {image}", f"a line for it in {file} too")
        for image, (_, line) in rows.items():
            if image not in images:
                raise _at(folder / file, line, f"image {image}", f"an image listed in {IMAGES}")
    entries: Entries = {}
    for image, (path, line) in images.items():
        number, label_line = labels[image]
        flag, split_line = splits[image]
        if number not in classes:
            raise _at(folder / LABELS, label_line, f"class {number}", f"a class listed in {CLASSES}")
        if flag not in ("0", "1"):
            raise _at(folder / SPLITS, split_line, repr(flag), "1 (train) or 0 (test)")
        if f"images/{path}" in entries:
            raise _at(folder / IMAGES, line, f"{path!r} a second time", "each image once")
        entries[f"images/{path}"] = (classes[number][0], "train" if flag == "1" else "test", "")
    if not entries:
        msg = f"No images: {str(folder / IMAGES)!r} has no lines. Expected one per image. Unpack CUB again."
        raise DatasetError(msg)
    return entries


def _numbered(file: Path, what: str) -> _Numbered:
    """Lines ``NUMBER REST`` as number to (rest, line in the file)."""
    rows: _Numbered = {}
    try:
        with file.open(encoding="utf-8", errors="surrogateescape") as stream:
            for line, text in enumerate(stream, start=1):
                cells = text.strip().split(maxsplit=1)
                if not cells:
                    continue
                if len(cells) != 2:
                    raise _at(file, line, repr(text.strip()), f"a number and, after a space, the {what}")
                if cells[0] in rows:
                    raise _at(file, line, f"the number {cells[0]} a second time", "each number once")
                rows[cells[0]] = (cells[1], line)
    except OSError as exc:
        msg = (
            f"Cannot read {str(file)!r}: {exc.strerror or exc}. A CUB-200-2011 tree has {IMAGES}, {LABELS}, "
            f"{SPLITS} and {CLASSES} side by side. Unpack CUB_200_2011.tgz again, or point to its images/ "
            "folder to read the classes from the folders' names."
        )
        raise DatasetError(msg) from exc
    return rows


def _at(file: Path, line: int, found: str, expected: str) -> DatasetError:
    msg = f"{str(file)!r}, line {line}: found {found}, expected {expected}. Correct the line, or unpack CUB again."
    return DatasetError(msg)


def _find(request: Request) -> Path | None:
    # The archive of CUB unpacks this folder next to a stray text file, and often into a folder of its own.
    if request.path is None or not os.path.isdir(request.path):
        return None
    places = (place for folder in folders_in_wrappers(request.path) for place in (folder, folder / _FOLDER))
    return next(filter(is_cub, places), None)


def _read(request: Request) -> Listing:
    folder = _find(request) or Path(request.paths[0])
    return Listing(folder.name, folder, read_cub(folder))


KIND = DatasetKind(
    name="cub",
    what="a CUB_200_2011 folder",
    recognises=lambda request: _find(request) is not None,
    read=_read,
    place=20,
)
