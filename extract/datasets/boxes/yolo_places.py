"""Where a dataset in the form of Ultralytics' YOLO keeps the images of its splits, and their labels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from stackbone.cache.disk.reading import read_regular
from stackbone.cache.errors import DatasetError
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import named
from stackbone.extract.datasets.boxes.image_paths import find_image, within
from stackbone.extract.datasets.boxes.yolo_config import YAMLS, looks_like_yolo, read_config
from stackbone.extract.datasets.boxes.yolo_labels import looks_like_labels
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.datasets.folders.walking import walk

_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MOST_BYTES = 256 << 20  # of a list of images
_LABELS = "labels"


def labels_of(path: str) -> str:
    """Return where the labels of an image are, as Ultralytics looks for them."""
    before, mark, after = f"/{path}".rpartition("/images/")
    twin = f"{before}/{_LABELS}/{after}" if mark else f"/{path}"
    return f"{os.path.splitext(twin)[0]}.txt"[1:]


def images_of(root: Path, place: str, notes: list[str]) -> Iterator[str]:
    """Yield the images of a folder, or of a text file that lists them, relative to the dataset's folder.

    Raises
    ------
    DatasetError
        If a list cannot be read.
    """
    if os.path.isdir(root / place):
        prefix = "" if place == "." else f"{place}/"
        yield from (prefix + path for path in walk(root / place, Exclusion()).images)
        return
    try:
        content = bytes(read_regular(root / place, _MOST_BYTES))
    except OSError as exc:
        msg = f"Cannot read {str(root / place)!r}: {exc}. Expected a list of images. Check it and its permissions."
        raise DatasetError(msg) from exc
    own, missing = place.rpartition("/")[0], []
    for name in filter(None, map(str.strip, content.decode("utf-8-sig", "surrogateescape").splitlines())):
        path = _listed(root, own, name) if is_image_name(name) else None
        if path is None:
            missing.append(name)
        else:
            yield path
    if missing:
        n = counted(len(missing), "line")
        notes.append(f"{n} of {place!r} left out (no image in the folder): {named(missing)}.")


def config_of(folder: Path) -> Path | None:
    """Return the YAML file of a folder in this form: of a usual name, or the only one that tells of labels.

    Folders of classes have such files too, of what was trained on them: it is one of this form if an image of a split
    has a file of labels. One that cannot be taken is returned, to be refused by its name, if the folder holds labels.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1].lower() in YAMLS)
    except OSError:
        return None
    usual = [name for name in _USUAL if name in names]
    for name in usual:
        if looks_like_yolo(folder / name) is not False and _tells_of_labels(folder / name):
            return folder / name
    rest = [folder / name for name in names if name not in usual and name[0] != "."]
    found = [file for file in rest if looks_like_yolo(file) and _tells_of_labels(file)]
    return found[0] if len(found) == 1 else None


def _listed(root: Path, own: str, name: str) -> str | None:
    """Return the path of an image that a list in the folder `own` names."""
    if os.path.isabs(name):
        path = within(root, name)
        return None if path is None else find_image(root, [""], path)
    return find_image(root, [own, ""], name)


def _tells_of_labels(file: Path) -> bool:
    root = file.parent
    try:
        places = [place for each in read_config(file).places.values() for place in each]
        return any(_is_labelled(root, path) for place in places for path in images_of(root, place, []))
    except DatasetError:
        return _holds_labels(root)


def _is_labelled(root: Path, path: str) -> bool:
    file = labels_of(path)
    is_apart = os.path.dirname(file) != os.path.dirname(path)  # beside an image there may be its caption
    return os.path.lexists(root / file) if is_apart else looks_like_labels(root / file)


def _holds_labels(root: Path) -> bool:
    """Return whether a folder, or one in it, has a folder of labels, or labels beside an image of their name."""
    with os.scandir(root) as entries:
        folders = sorted(each.path for each in entries if each.is_dir())
    return any(map(_has_labels, [root, *map(Path, folders)]))


def _has_labels(folder: Path) -> bool:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return False
    if any(name.endswith(".txt") for _, _, files in os.walk(folder / _LABELS) for name in files):
        return True
    stems = {os.path.splitext(name)[0] for name in names if is_image_name(name)}
    texts = [name for name in names if name.endswith(".txt") and name[:-4] in stems]
    return bool(texts) and looks_like_labels(folder / texts[0])
