"""Datasets in the form of Pascal VOC: which kinds of objects each image's annotation names, and their boxes.

``JPEGImages/NAME.jpg`` and ``Annotations/NAME.xml`` (`datasets.boxes.voc.objects` tells what that holds);
``ImageSets/Main/train.txt``, ``val.txt`` and ``test.txt`` list the names of splits (Everingham et al. 2010, Int. J.
Comput. Vis. 88, 303-338, and the development kit's documentation). Others keep such annotations in ``annotations``
beside ``images``, or, as Roboflow does, beside each image in the folders of splits. An object counts for the labels
whether or not it is marked difficult or truncated, and whether or not its box can be taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.image_paths import MOST_LISTED_BYTES
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.voc.objects import MOST_BYTES, NO_BOX, checked, read_annotation
from stackbone.extract.datasets.boxes.voc.places import Layout, Part, in_folder, is_xml, layout_of, stem_of
from stackbone.extract.datasets.files.annotated import LABELS_ARE, annotated_kind, as_listing
from stackbone.extract.datasets.files.files import Files, is_excluded
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.kind import Entries, Listing, Look, PassedOver
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK

_LISTS = "ImageSets/Main"
_SPLIT_FILES = {"train.txt": "train", "val.txt": "validation", "test.txt": "test", "trainval.txt": "train"}
_SHOWN = 3
_FLAG = re.compile(r"\s+-?[01]$")  # of a list for one kind of object: 1 there, -1 not, 0 difficult


def read_voc(files: Files, layout: Layout, labelled: bool) -> Listing:  # noqa: FBT001 - as of `Reading`
    """List the images of files in the form of Pascal VOC.

    Parameters
    ----------
    files, layout
        The files, and in which folders of theirs images and annotations lie.
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
    parts, left_out = layout.parts, list(_left_out(layout.left_out))
    part_of = {
        in_folder(part.images, name): part for part in parts for name in _listed(files, part.images, is_image_name)
    }
    if not part_of:
        where = str(files.place(parts[0].images))
        msg = f"No images: the folder {where!r} holds none. Expected one or more. Check the folder."
        raise DatasetError(msg)
    said = _read_splits(files, set(map(stem_of, part_of)))
    splits = {path: part.split or said.get(stem_of(path), "") for path, part in part_of.items()}
    if not labelled:
        return as_listing(files, {path: ("", split, "") for path, split in splits.items()}, left_out)
    there = {
        in_folder(part.annotations, os.path.splitext(name)[0]): in_folder(part.annotations, name)
        for part in parts
        for name in _listed(files, part.annotations, is_xml)
    }
    stems = {path: in_folder(part.annotations, stem_of(path)) for path, part in part_of.items()}
    read = _read_annotations(files, [there[stem] for stem in dict.fromkeys(stems.values()) if stem in there], parts)
    file_of = {path: there.get(stem, "") for path, stem in stems.items()}
    cells = [read.cells.get(file, "") for file in file_of.values()]
    labels = read_sets(cells, LIST_MARK, f"{str(files.place(parts[0].annotations))!r}")
    entries: Entries = {path: (label, splits[path], "") for path, label in zip(file_of, labels, strict=True)}
    boxes = {path: read.boxes[file] for path, file in file_of.items() if file in read.boxes}
    bare = [stem_of(path) for path, file in file_of.items() if not file and not is_excluded(files, path)]
    spare = sorted(map(stem_of, there.keys() - set(stems.values())))
    notes = [*_notes(parts, bare, spare), *left_out, *read.notes]
    listed = ListedBoxes("voc", boxes) if boxes else None
    return as_listing(files, entries, notes, label_form=SETS, boxes=listed)


@dataclass(frozen=True)
class _Read:
    """What annotations say, by their files: cells of labels, and boxes where they can be taken."""

    cells: dict[str, str]
    boxes: dict[str, ImageBoxes]
    notes: list[str]


def _read_annotations(files: Files, paths: Sequence[str], parts: Sequence[Part]) -> _Read:
    faults, found, bad = Faults(), {}, {}
    for path, content in files.contents(paths, MOST_BYTES):
        try:
            found[path] = read_annotation(content, files.place(path), path, faults)
        except DatasetError as exc:
            bad[path] = exc
    if bad and not found:
        raise next(iter(bad.values()))
    notes = [_bad_note(bad)] if bad else []
    cells = {path: each.cell for path, each in found.items()}
    boxes = {path: each.boxes for path, each in found.items() if each.boxes is not None}
    if faults.images.keys() == {NO_BOX} and not any(map(len, boxes.values())):
        return _Read(cells, {}, [*notes, "The annotations tell no boxes."])
    if found and not boxes:
        raise none_sound(faults, str(files.place(parts[0].annotations if len(parts) == 1 else "")))
    return _Read(cells, boxes, [*notes, *faults.notes()])


def _bad_note(bad: dict[str, DatasetError]) -> str:
    n, first = counted(len(bad), "annotation"), next(iter(bad.values()))
    return f"{n} cannot be used (their images count as not annotated): {named([*bad])}. {first}"


def _notes(parts: Sequence[Part], bare: Sequence[str], spare: Sequence[str]) -> Iterator[str]:
    """Yield what is to be said of labels, of images without an annotation, and of annotations without an image."""
    is_apart = parts[0].images != parts[0].annotations
    beside = f"in {parts[0].annotations!r}" if is_apart else "beside it"
    yield f"{LABELS_ARE} kinds of objects that its annotation {beside} names, each there or not."
    if bare:
        yield f"{counted(len(bare), 'image')} without an annotation ({_shown(bare)})."
    if spare:
        where = f" in {parts[0].images!r}" if is_apart else ""
        yield f"{counted(len(spare), 'annotation')} of no image{where} ({_shown(spare)})."


def _left_out(paths: Sequence[str]) -> Iterator[str]:
    if paths:
        yield f"{counted(len(paths), 'image')} left out that no folder of annotated images holds: {named(paths)}."


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")


def _read_splits(files: Files, stems: set[str]) -> dict[str, str]:
    """Return the split of each name that the lists have; a name may hold spaces, and a flag may follow it."""
    splits: dict[str, str] = {}
    there = {f"{_LISTS}/{name}": split for name, split in _SPLIT_FILES.items() if files.is_file(f"{_LISTS}/{name}")}
    for path, found in files.contents([*there], MOST_LISTED_BYTES):
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


def _find(files: Files, file: str) -> Look:
    passed: PassedOver | None = None
    for each in () if file else files.in_wrappers():
        layout = layout_of(each)
        if isinstance(layout, Layout):
            return partial(read_voc, each, layout)
        passed = passed or layout
    return passed


KIND = annotated_kind("voc", "images with annotations in the form of Pascal VOC", _find, place=24)
