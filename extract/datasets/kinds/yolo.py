"""Folders in the form of Ultralytics' YOLO: a YAML file, ``images`` and ``labels`` of the same names beside each other.

See `datasets.boxes.yolo_config` and `datasets.boxes.yolo_labels`. The labels of ``images/train/a.jpg`` are in
``labels/train/a.txt``; those of an image that lies in no folder of that name are beside it. An image without such a
file shows no object, unless its whole split has none: then nobody annotated it. In an archive that was cut the file may
be lost, and the image counts as not annotated; so it does where the file is there and cannot be read.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.yolo_config import YAMLS, YoloConfig, looks_like_yolo, read_config
from stackbone.extract.datasets.boxes.yolo_labels import MOST_BYTES, read_labels
from stackbone.extract.datasets.boxes.yolo_places import config_of, images_of, labels_of
from stackbone.extract.datasets.files.annotated import LABELS_ARE, annotated_kind, as_listing
from stackbone.extract.datasets.files.files import Files, is_excluded
from stackbone.extract.datasets.kind import Entries, Listing, Reading
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK


@dataclass
class _Read:
    """What is found, image by image."""

    splits: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, ImageBoxes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_yolo(files: Files, file: str, labelled: bool) -> Listing:  # noqa: FBT001 - as of `Reading`
    """List the images of files in the form of Ultralytics' YOLO.

    Parameters
    ----------
    files, file
        Those of the folder, and the YAML file in it.
    labelled
        Whether labels are asked for; else no file of labels is read.

    Raises
    ------
    DatasetError
        If the YAML file cannot be read, there is no image, or no file of labels can be taken.
    """
    config, faults, read = read_config(files, file), Faults(), _Read()
    if config.missing:
        read.notes.append(f"{file!r} names what is not in its folder, and is passed over: {named(config.missing)}.")
    for split, places in config.places.items():
        paths = list(dict.fromkeys(path for place in places for path in images_of(files, place, read.notes)))
        twice = [path for path in paths if path in read.splits]
        if twice:
            read.notes.append(f"{counted(len(twice), 'image')} of {split!r} also in a split before: {named(twice)}.")
        new = [path for path in paths if path not in read.splits]
        read.splits |= dict.fromkeys(new, split)
        if labelled:
            _read_split(files, split, new, config, faults, read)
    if not read.splits:
        where = str(files.place(file))
        msg = f"No images: the folders that {where!r} names hold none. Expected one or more. Check the folders."
        raise DatasetError(msg)
    entries: Entries = {path: ("", split, "") for path, split in read.splits.items()}
    if not labelled:
        return as_listing(files, entries, read.notes)
    if faults.n_images and not read.boxes:
        raise none_sound(faults, str(files.place()))
    labels = read_sets(list(read.cells.values()), LIST_MARK, f"{file!r}")
    entries = {path: (label, read.splits[path], "") for path, label in zip(read.cells, labels, strict=True)}
    about = f"{LABELS_ARE} classes of its annotated objects, each there or not."
    notes = [about, *read.notes, *_same_names(config), *faults.notes()]
    boxes = ListedBoxes("yolo", read.boxes, are_shares=True) if read.boxes else None
    return as_listing(files, entries, notes, label_form=SETS, boxes=boxes)


def _read_split(files: Files, split: str, paths: list[str], config: YoloConfig, faults: Faults, read: _Read) -> None:
    texts = {path: labels_of(path) for path in paths}
    absent = {path for path in paths if not files.exists(texts[path])}
    gone = [path for path in paths if path in absent and not is_excluded(files, path)]
    n = counted(len(gone), "image")
    if paths and len(absent) == len(paths):
        read.cells |= dict.fromkeys(paths, "")
        if gone:
            read.notes.append(f"{n} of {split!r} not annotated, since no file of labels is there.")
        return
    if gone:
        taken = (
            "taken to show no object" if files.is_whole else "not annotated, since that may be lost with the archive"
        )
        read.notes.append(f"{n} of {split!r} without a file of labels, {taken}: {named(gone)}.")
    contents = files.contents([text for path, text in texts.items() if path not in absent], MOST_BYTES)
    for path, text in texts.items():
        if path in absent and not files.is_whole:
            read.cells[path] = ""
            continue
        content = b"" if path in absent else next(contents)[1]
        found = read_labels(content, text, config.names, faults, has_points=config.has_points)
        read.cells[path] = found.cell
        if found.boxes is not None:
            read.boxes[path] = found.boxes


def _same_names(config: YoloConfig) -> list[str]:
    same = sorted(name for name, n in Counter(config.names.values()).items() if n > 1)
    return [f"Several numbers have one name, and count as one class: {named(same)}."] if same else []


def _find(files: Files, file: str) -> Reading | None:
    if file:  # what cannot be read, its reader says
        is_named = os.path.splitext(file)[1].lower() in YAMLS and looks_like_yolo(files, file) is not False
        return partial(read_yolo, files, file) if is_named else None
    for each in files.in_wrappers():
        if (found := config_of(each)) is not None:
            return partial(read_yolo, each, found)
    return None


KIND = annotated_kind("yolo", "a folder in the form of Ultralytics' YOLO, or its YAML file", _find, place=26)
