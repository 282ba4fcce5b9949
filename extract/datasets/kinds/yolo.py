"""Folders in the form of Ultralytics' YOLO: a YAML file, ``images`` and ``labels`` of the same names beside each other.

See `datasets.boxes.yolo_config` and `datasets.boxes.yolo_labels`. The labels of ``images/train/a.jpg`` are in
``labels/train/a.txt``; those of an image that lies in no folder of that name are beside it. An image without such a
file shows no object, unless its whole split has none: then nobody annotated it.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.yolo_config import YAMLS, YoloConfig, looks_like_yolo, read_config
from stackbone.extract.datasets.boxes.yolo_labels import read_labels
from stackbone.extract.datasets.boxes.yolo_places import config_of, images_of, labels_of
from stackbone.extract.datasets.folders.walking import folders_in_wrappers
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK


@dataclass
class _Read:
    """What is found, image by image."""

    splits: dict[str, str] = field(default_factory=dict)
    cells: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, ImageBoxes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_yolo(file: Path, *, labelled: bool = True) -> Listing:
    """List the images of a folder in the form of Ultralytics' YOLO.

    Parameters
    ----------
    file
        The YAML file in it.
    labelled
        Whether labels are asked for; else no file of labels is read.

    Raises
    ------
    DatasetError
        If the YAML file cannot be read, there is no image, or no file of labels can be taken.
    """
    config, root, faults, read = read_config(file), file.parent, Faults(), _Read()
    if config.missing:
        read.notes.append(
            f"{file.name!r} names what is not in its folder, and is passed over: {named(config.missing)}."
        )
    for split, places in config.places.items():
        paths = list(dict.fromkeys(path for place in places for path in images_of(root, place, read.notes)))
        twice = [path for path in paths if path in read.splits]
        if twice:
            read.notes.append(f"{counted(len(twice), 'image')} of {split!r} also in a split before: {named(twice)}.")
        new = [path for path in paths if path not in read.splits]
        read.splits |= dict.fromkeys(new, split)
        if labelled:
            _read_split(root, split, new, config, faults, read)
    if not read.splits:
        msg = f"No images: the folders that {str(file)!r} names hold none. Expected one or more. Check the folders."
        raise DatasetError(msg)
    entries: Entries = {path: ("", split, "") for path, split in read.splits.items()}
    if not labelled:
        return Listing(root.name, root, entries, notes=read.notes)
    if faults.n_images and not read.boxes:
        raise none_sound(faults, str(root))
    labels = read_sets(list(read.cells.values()), LIST_MARK, f"{file.name!r}")
    entries = {path: (label, read.splits[path], "") for path, label in zip(read.cells, labels, strict=True)}
    about = "The labels of an image are the classes of its annotated objects, each there or not."
    notes = [about, *read.notes, *_same_names(config), *faults.notes()]
    boxes = ListedBoxes("yolo", read.boxes, are_shares=True) if read.boxes else None
    return Listing(root.name, root, entries, notes=notes, label_form=SETS, boxes=boxes)


def _read_split(root: Path, split: str, paths: list[str], config: YoloConfig, faults: Faults, read: _Read) -> None:
    files = {path: labels_of(path) for path in paths}
    absent = [path for path in paths if not os.path.lexists(root / files[path])]
    if paths and len(absent) == len(paths):
        read.cells |= dict.fromkeys(paths, "")
        read.notes.append(
            f"{counted(len(paths), 'image')} of {split!r} not annotated, since no file of labels is there."
        )
        return
    if absent:
        n = counted(len(absent), "image")
        read.notes.append(f"{n} of {split!r} without a file of labels, taken to show no object: {named(absent)}.")
    for path, file in files.items():
        found = read_labels(root / file, file, config.names, faults, has_points=config.has_points)
        read.cells[path] = found.cell
        if found.boxes is not None:
            read.boxes[path] = found.boxes


def _same_names(config: YoloConfig) -> list[str]:
    same = sorted(name for name, n in Counter(config.names.values()).items() if n > 1)
    return [f"Several numbers have one name, and count as one class: {named(same)}."] if same else []


def _find(request: Request) -> Path | None:
    path = request.path
    if path is None or request.labels is not None:
        return None
    if path.suffix.lower() in YAMLS and os.path.isfile(path):
        return path if looks_like_yolo(path) is not False else None  # what cannot be read, its reader says
    return next(filter(None, map(config_of, folders_in_wrappers(path))), None)


def _read_request(request: Request) -> Listing:
    labelled = request.columns.label is not None
    return read_yolo(request.once("yolo", _find) or Path(request.paths[0]), labelled=labelled)


KIND = DatasetKind(
    name="yolo",
    what="a folder in the form of Ultralytics' YOLO, or its YAML file",
    recognises=lambda request: request.once("yolo", _find) is not None,
    read=_read_request,
    place=26,
)
