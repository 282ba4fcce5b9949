"""Folders in the form of Pascal VOC: which kinds of objects each image's annotation names, and their boxes.

``JPEGImages/NAME.jpg`` and ``Annotations/NAME.xml`` (`datasets.boxes.voc_objects` tells what that holds);
``ImageSets/Main/train.txt``, ``val.txt`` and ``test.txt`` list the names of splits (Everingham et al. 2010, Int. J.
Comput. Vis. 88, 303-338, and the development kit's documentation). An object counts for the labels whether or not it is
marked difficult or truncated, and whether or not its box can be taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.voc_objects import NO_BOX, read_annotation, read_file
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.walking import folders_in_wrappers
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK

IMAGES, ANNOTATIONS, SPLITS = "JPEGImages", "Annotations", "ImageSets/Main"

_SPLIT_FILES = {"train.txt": "train", "val.txt": "validation", "test.txt": "test", "trainval.txt": "train"}
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
    read = _read_annotations(folder, [stem for stem in stems if stem in annotations])
    cells = [read.cells.get(stem, "") for stem in stems]
    labels = read_sets(cells, LIST_MARK, f"{str(folder / ANNOTATIONS)!r}")
    entries: Entries = {
        f"{IMAGES}/{name}": (label, splits.get(stem, ""), "")
        for name, stem, label in zip(names, stems, labels, strict=True)
    }
    boxes = {
        f"{IMAGES}/{name}": read.boxes[stem] for name, stem in zip(names, stems, strict=True) if stem in read.boxes
    }
    notes = [*_notes(stems, annotations), *read.notes]
    listed = ListedBoxes("voc", boxes) if boxes else None
    return Listing(folder.name, folder, entries, notes=notes, label_form=SETS, boxes=listed)


@dataclass(frozen=True)
class _Read:
    """What annotations say, by the names of their images: cells of labels, and boxes where they can be taken."""

    cells: dict[str, str]
    boxes: dict[str, ImageBoxes]
    notes: list[str]


def _read_annotations(folder: Path, stems: list[str]) -> _Read:
    faults, found, bad = Faults(), {}, {}
    for stem in stems:
        try:
            found[stem] = read_annotation(folder / ANNOTATIONS / f"{stem}.xml", f"{ANNOTATIONS}/{stem}.xml", faults)
        except DatasetError as exc:
            bad[f"{ANNOTATIONS}/{stem}.xml"] = exc
    if bad and not found:
        raise next(iter(bad.values()))
    notes = [_bad_note(bad)] if bad else []
    cells = {stem: each.cell for stem, each in found.items()}
    boxes = {stem: each.boxes for stem, each in found.items() if each.boxes is not None}
    if faults.images.keys() == {NO_BOX} and not any(map(len, boxes.values())):
        return _Read(cells, {}, [*notes, "The annotations tell no boxes."])
    if found and not boxes:
        raise none_sound(faults, str(folder / ANNOTATIONS))
    return _Read(cells, boxes, [*notes, *faults.notes()])


def _bad_note(bad: dict[str, DatasetError]) -> str:
    n, first = counted(len(bad), "annotation"), next(iter(bad.values()))
    return f"{n} cannot be used (their images count as not annotated): {named([*bad])}. {first}"


def _notes(stems: list[str], annotations: set[str]) -> Iterator[str]:
    yield (
        f"The labels of an image are the kinds of objects that its annotation in {ANNOTATIONS!r} names, each there or "
        "not."
    )
    bare = [stem for stem in stems if stem not in annotations]
    if bare:
        shown = ", ".join(map(repr, bare[:_SHOWN]))
        yield f"{counted(len(bare), 'image')} without an annotation ({shown}{', ...' if len(bare) > _SHOWN else ''})."
    if spare := sorted(annotations - set(stems)):
        shown = ", ".join(map(repr, spare[:_SHOWN]))
        more = ", ..." if len(spare) > _SHOWN else ""
        yield f"{counted(len(spare), 'annotation')} of no image in {IMAGES!r} ({shown}{more})."


def _read_splits(folder: Path, stems: set[str]) -> dict[str, str]:
    """Return the split of each name that the lists have; a name may hold spaces, and a flag may follow it."""
    splits: dict[str, str] = {}
    for file, split in _SPLIT_FILES.items():
        path = folder / SPLITS / file
        if os.path.isfile(path):
            for line in read_file(path).decode("utf-8", "surrogateescape").splitlines():
                name = line.strip()
                splits.setdefault(name if name in stems else _FLAG.sub("", name), split)
    return splits


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as exc:
        msg = f"Cannot read the folder {str(folder)!r}: {exc.strerror or exc}. Give yourself permission to read it."
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
    place=24,
)
