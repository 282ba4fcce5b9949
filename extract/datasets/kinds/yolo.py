"""Folders in the form of Ultralytics' YOLO: a YAML file, ``images`` and ``labels`` of the same names beside each other.

See `datasets.boxes.yolo_config` and `datasets.boxes.yolo_labels`. The labels of ``images/train/a.jpg`` are in
``labels/train/a.txt``; those of an image that lies in no folder of that name are beside it. An image without such a
file shows no object, unless its whole split has none: then nobody annotated it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.disk.reading import read_regular
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.image_paths import find_image
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.yolo_config import YAMLS, YoloConfig, looks_like_yolo, read_config
from stackbone.extract.datasets.boxes.yolo_labels import read_labels
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.datasets.folders.walking import folders_in_wrappers, walk
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK

_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MOST_BYTES = 256 << 20  # of a list of images


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
        paths = list(dict.fromkeys(path for place in places for path in _images(root, place, read.notes)))
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
    files = {path: _labels_of(path) for path in paths}
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


def _labels_of(path: str) -> str:
    """Return where the labels of an image are, as Ultralytics looks for them."""
    before, mark, after = f"/{path}".rpartition("/images/")
    twin = f"{before}/labels/{after}" if mark else f"/{path}"
    return f"{os.path.splitext(twin)[0]}.txt"[1:]


def _images(root: Path, place: str, notes: list[str]) -> Iterator[str]:
    """Yield the images of a folder, or of a text file that lists them, relative to the dataset's folder."""
    if os.path.isdir(root / place):
        prefix = "" if place == "." else f"{place}/"
        yield from (prefix + path for path in walk(root / place, Exclusion()).images)
        return
    try:
        lines = bytes(read_regular(root / place, _MOST_BYTES)).decode("utf-8", "surrogateescape").splitlines()
    except OSError as exc:
        msg = f"Cannot read {str(root / place)!r}: {exc}. Expected a list of images. Check it and its permissions."
        raise DatasetError(msg) from exc
    own, missing = place.rpartition("/")[0], []
    for name in filter(None, map(str.strip, lines)):
        path = find_image(root, [own, ""], name) if is_image_name(name) else None
        if path is None:
            missing.append(name)
        else:
            yield path
    if missing:
        n = counted(len(missing), "line")
        notes.append(f"{n} of {place!r} left out, of no image in the folder: {named(missing)}.")


def _same_names(config: YoloConfig) -> list[str]:
    names = list(config.names.values())
    same = sorted({name for name in names if names.count(name) > 1}) if len({*names}) < len(names) else []
    return [f"Several numbers have one name, and count as one class: {named(same)}."] if same else []


def _config_of(folder: Path) -> Path | None:
    """Return the YAML file of a folder in this form: of the usual name, or the only one that looks like it."""
    try:
        names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in YAMLS)
    except OSError:
        return None
    found = [folder / name for name in names if name[0] != "." and looks_like_yolo(folder / name)]
    usual = [file for file in found if file.name in _USUAL]
    return usual[0] if usual else found[0] if len(found) == 1 else None


def _find(request: Request) -> Path | None:
    path = request.path
    if path is None or request.labels is not None:
        return None
    if path.suffix.lower() in YAMLS and os.path.isfile(path):
        return path if looks_like_yolo(path) else None
    return next(filter(None, map(_config_of, folders_in_wrappers(path))), None)


def _read_request(request: Request) -> Listing:
    labelled = request.columns.label is not None
    return read_yolo(_find(request) or Path(request.paths[0]), labelled=labelled)


KIND = DatasetKind(
    name="yolo",
    what="a folder in the form of Ultralytics' YOLO, or its YAML file",
    recognises=lambda request: _find(request) is not None,
    read=_read_request,
    place=27,
)
