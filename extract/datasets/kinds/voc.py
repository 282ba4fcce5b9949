"""Folders in the form of Pascal VOC: which kinds of objects each image's annotation names, as its labels.

``JPEGImages/NAME.jpg`` and ``Annotations/NAME.xml``, an ``annotation`` element with an ``object`` element for each
object, whose ``name`` is its kind; ``ImageSets/Main/train.txt``, ``val.txt`` and ``test.txt`` list the names of splits
(Everingham et al. 2010, Int. J. Comput. Vis. 88, 303-338, and the development kit's documentation). An object counts
whether or not it is marked difficult or truncated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from stackbone.cache.disk.reading import read_regular
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.walking import folders_in_wrappers
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK, list_text

IMAGES, ANNOTATIONS, SPLITS = "JPEGImages", "Annotations", "ImageSets/Main"

_SPLIT_FILES = {"train.txt": "train", "val.txt": "validation", "test.txt": "test", "trainval.txt": "train"}
_MOST_BYTES = 1 << 20  # of an annotation or a list: those of thousands of objects
_SHOWN = 3
_FLAG = re.compile(r"\s+-?[01]$")  # of a list for one kind of object: 1 there, -1 not, 0 difficult


def read_voc(folder: Path, *, labelled: bool = True) -> Listing:
    """List the images of a folder in the form of Pascal VOC.

    Parameters
    ----------
    folder
        That holds ``JPEGImages`` and ``Annotations``.
    labelled
        Whether labels are asked for; else no annotation is read.

    Returns
    -------
    Listing
        Labels are sets: of an image whose annotation names no object, the empty one; one without an annotation is not
        labelled. Splits are those of the lists, the first of train, val and test that names an image.

    Raises
    ------
    DatasetError
        If there is no image, or an annotation or list cannot be read.
    """
    names = sorted(name for name in _listed(folder / IMAGES) if is_image_name(name) and not name.startswith("."))
    if not names:
        msg = f"No images: the folder {str(folder / IMAGES)!r} holds none. Expected one or more. Check the folder."
        raise DatasetError(msg)
    stems = [os.path.splitext(name)[0] for name in names]
    splits = _read_splits(folder, set(stems))
    if not labelled:
        bare = {f"{IMAGES}/{name}": ("", splits.get(stem, ""), "") for name, stem in zip(names, stems, strict=True)}
        return Listing(folder.name, folder, bare)
    annotations = {
        os.path.splitext(name)[0]
        for name in _listed(folder / ANNOTATIONS)
        if name.endswith(".xml") and not name.startswith(".")
    }
    cells = [_read_objects(folder / ANNOTATIONS / f"{stem}.xml") if stem in annotations else "" for stem in stems]
    labels = read_sets(cells, LIST_MARK, f"{str(folder / ANNOTATIONS)!r}")
    entries: Entries = {
        f"{IMAGES}/{name}": (label, splits.get(stem, ""), "")
        for name, stem, label in zip(names, stems, labels, strict=True)
    }
    return Listing(folder.name, folder, entries, notes=list(_notes(stems, cells, annotations)), label_form=SETS)


def _notes(stems: list[str], cells: list[str], annotations: set[str]) -> Iterator[str]:
    yield (
        f"The labels of an image are the kinds of objects that its annotation in {ANNOTATIONS!r} names, each there or "
        "not."
    )
    bare = [stem for stem, cell in zip(stems, cells, strict=True) if not cell]
    if bare:
        named = ", ".join(map(repr, bare[:_SHOWN]))
        yield f"{counted(len(bare), 'image')} without an annotation ({named}{', ...' if len(bare) > _SHOWN else ''})."
    if spare := sorted(annotations - set(stems)):
        named = ", ".join(map(repr, spare[:_SHOWN]))
        more = ", ..." if len(spare) > _SHOWN else ""
        yield f"{counted(len(spare), 'annotation')} of no image in {IMAGES!r} ({named}{more})."


def _read_objects(file: Path) -> str:
    """Return the kinds of objects of an annotation, as the cell of a list."""
    content = _read(file)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        msg = f"The annotation {str(file)!r} declares a document type. Expected plain XML, as Pascal VOC has. Mend it."
        raise DatasetError(msg)
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError) as exc:
        msg = (
            f"The annotation {str(file)!r} is not XML ({exc}). Expected an annotation of Pascal VOC. Mend or remove it."
        )
        raise DatasetError(msg) from exc
    names = [(each.findtext("name") or "").strip() for each in root.iter("object")]
    if root.tag != "annotation" or not all(names):
        found = f"the root {root.tag!r}" if root.tag != "annotation" else "an object without a name"
        msg = (
            f"The annotation {str(file)!r} has {found}. Expected an annotation of Pascal VOC, with a "
            "name for each object. Mend or remove it."
        )
        raise DatasetError(msg)
    return list_text(names)


def _read_splits(folder: Path, stems: set[str]) -> dict[str, str]:
    """Return the split of each name that the lists have; a name may hold spaces, and a flag may follow it."""
    splits: dict[str, str] = {}
    for file, split in _SPLIT_FILES.items():
        path = folder / SPLITS / file
        if os.path.isfile(path):
            for line in _read(path).decode("utf-8", "surrogateescape").splitlines():
                name = line.strip()
                splits.setdefault(name if name in stems else _FLAG.sub("", name), split)
    return splits


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as exc:
        msg = f"Cannot read the folder {str(folder)!r}: {exc.strerror or exc}. Give yourself permission to read it."
        raise DatasetError(msg) from exc


def _read(file: Path) -> bytes:
    try:
        return bytes(read_regular(file, _MOST_BYTES))
    except (OSError, ValueError) as exc:
        msg = f"Cannot read {str(file)!r}: {exc}. Expected a file of Pascal VOC. Check it and its permissions."
        raise DatasetError(msg) from exc


def _is_voc(folder: Path) -> bool:
    return os.path.isdir(folder / IMAGES) and os.path.isdir(folder / ANNOTATIONS)


def _find(request: Request) -> Path | None:
    if request.path is None or request.labels is not None or not os.path.isdir(request.path):
        return None
    return next(filter(_is_voc, folders_in_wrappers(request.path)), None)


def _read_request(request: Request) -> Listing:
    labelled = request.columns.label is not None
    return read_voc(_find(request) or Path(request.paths[0]), labelled=labelled)


KIND = DatasetKind(
    name="voc",
    what="a Pascal VOC folder with JPEGImages and Annotations",
    recognises=lambda request: _find(request) is not None,
    read=_read_request,
    place=25,
)
