"""Folders in the form of Pascal VOC: which kinds of objects each image's annotation names, and their boxes.

``JPEGImages/NAME.jpg`` and ``Annotations/NAME.xml`` (`datasets.boxes.voc_objects` tells what that holds);
``ImageSets/Main/train.txt``, ``val.txt`` and ``test.txt`` list the names of splits (Everingham et al. 2010, Int. J.
Comput. Vis. 88, 303-338, and the development kit's documentation). An object counts for the labels whether or not it is
marked difficult or truncated, and whether or not its box can be taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.voc_objects import MOST_BYTES, NO_BOX, checked, read_annotation
from stackbone.extract.datasets.files.annotated import LABELS_ARE, annotated_kind, as_listing
from stackbone.extract.datasets.files.files import Files
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.kind import Entries, Listing, Reading
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK

IMAGES, ANNOTATIONS, SPLITS = "JPEGImages", "Annotations", "ImageSets/Main"

_SPLIT_FILES = {"train.txt": "train", "val.txt": "validation", "test.txt": "test", "trainval.txt": "train"}
_SHOWN = 3
_FLAG = re.compile(r"\s+-?[01]$")  # of a list for one kind of object: 1 there, -1 not, 0 difficult


def read_voc(files: Files, labelled: bool) -> Listing:  # noqa: FBT001 - as of `Reading`
    """List the images of files in the form of Pascal VOC.

    Parameters
    ----------
    files
        With the folders ``JPEGImages`` and ``Annotations``.
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
    names = _listed(files, IMAGES, is_image_name)
    if not names:
        msg = f"No images: the folder {str(files.place(IMAGES))!r} holds none. Expected one or more. Check the folder."
        raise DatasetError(msg)
    stems = [os.path.splitext(name)[0] for name in names]
    splits = _read_splits(files, set(stems))
    if not labelled:
        bare = {f"{IMAGES}/{name}": ("", splits.get(stem, ""), "") for name, stem in zip(names, stems, strict=True)}
        return as_listing(files, bare, ())
    annotations = {
        os.path.splitext(name)[0] for name in _listed(files, ANNOTATIONS, lambda name: name.endswith(".xml"))
    }
    read = _read_annotations(files, [stem for stem in stems if stem in annotations])
    cells = [read.cells.get(stem, "") for stem in stems]
    labels = read_sets(cells, LIST_MARK, f"{str(files.place(ANNOTATIONS))!r}")
    entries: Entries = {
        f"{IMAGES}/{name}": (label, splits.get(stem, ""), "")
        for name, stem, label in zip(names, stems, labels, strict=True)
    }
    boxes = {
        f"{IMAGES}/{name}": read.boxes[stem] for name, stem in zip(names, stems, strict=True) if stem in read.boxes
    }
    notes = [*_notes(stems, annotations), *read.notes]
    listed = ListedBoxes("voc", boxes) if boxes else None
    return as_listing(files, entries, notes, label_form=SETS, boxes=listed)


@dataclass(frozen=True)
class _Read:
    """What annotations say, by the names of their images: cells of labels, and boxes where they can be taken."""

    cells: dict[str, str]
    boxes: dict[str, ImageBoxes]
    notes: list[str]


def _read_annotations(files: Files, stems: list[str]) -> _Read:
    faults, found, bad = Faults(), {}, {}
    paths = [f"{ANNOTATIONS}/{stem}.xml" for stem in stems]
    for stem, (path, content) in zip(stems, files.contents(paths, MOST_BYTES), strict=True):
        try:
            found[stem] = read_annotation(content, files.place(path), path, faults)
        except DatasetError as exc:
            bad[path] = exc
    if bad and not found:
        raise next(iter(bad.values()))
    notes = [_bad_note(bad)] if bad else []
    cells = {stem: each.cell for stem, each in found.items()}
    boxes = {stem: each.boxes for stem, each in found.items() if each.boxes is not None}
    if faults.images.keys() == {NO_BOX} and not any(map(len, boxes.values())):
        return _Read(cells, {}, [*notes, "The annotations tell no boxes."])
    if found and not boxes:
        raise none_sound(faults, str(files.place(ANNOTATIONS)))
    return _Read(cells, boxes, [*notes, *faults.notes()])


def _bad_note(bad: dict[str, DatasetError]) -> str:
    n, first = counted(len(bad), "annotation"), next(iter(bad.values()))
    return f"{n} cannot be used (their images count as not annotated): {named([*bad])}. {first}"


def _notes(stems: list[str], annotations: set[str]) -> Iterator[str]:
    yield (f"{LABELS_ARE} kinds of objects that its annotation in {ANNOTATIONS!r} names, each there or not.")
    bare = [stem for stem in stems if stem not in annotations]
    if bare:
        shown = ", ".join(map(repr, bare[:_SHOWN]))
        yield f"{counted(len(bare), 'image')} without an annotation ({shown}{', ...' if len(bare) > _SHOWN else ''})."
    if spare := sorted(annotations - set(stems)):
        shown = ", ".join(map(repr, spare[:_SHOWN]))
        more = ", ..." if len(spare) > _SHOWN else ""
        yield f"{counted(len(spare), 'annotation')} of no image in {IMAGES!r} ({shown}{more})."


def _read_splits(files: Files, stems: set[str]) -> dict[str, str]:
    """Return the split of each name that the lists have; a name may hold spaces, and a flag may follow it."""
    splits: dict[str, str] = {}
    there = {f"{SPLITS}/{name}": split for name, split in _SPLIT_FILES.items() if files.is_file(f"{SPLITS}/{name}")}
    for path, found in files.contents([*there], MOST_BYTES):
        content = checked(found, files.place(path))
        for line in content.decode("utf-8", "surrogateescape").splitlines():
            name = line.strip()
            splits.setdefault(name if name in stems else _FLAG.sub("", name), there[path])
    return splits


def _listed(files: Files, folder: str, is_wanted: Callable[[str], bool]) -> list[str]:
    try:
        return files.names(folder, is_wanted).files
    except OSError as exc:
        place = str(files.place(folder))
        msg = f"Cannot read the folder {place!r}: {exc.strerror or exc}. Give yourself permission to read it."
        raise DatasetError(msg) from exc


def _find(files: Files, file: str) -> Reading | None:
    for each in () if file else files.in_wrappers():
        if each.is_folder(IMAGES) and each.is_folder(ANNOTATIONS):
            return partial(read_voc, each)
    return None


KIND = annotated_kind("voc", "a Pascal VOC folder with JPEGImages and Annotations", _find, place=24)
