"""Where a dataset in the form of Ultralytics' YOLO keeps the images of its splits, and their labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from stackbone.cache.errors import DatasetError, lost_server
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import named
from stackbone.extract.datasets.boxes.image_paths import MOST_LISTED_BYTES, find_image, within
from stackbone.extract.datasets.boxes.yolo_config import YAMLS, YoloConfig, looks_like_yolo, read_config
from stackbone.extract.datasets.boxes.yolo_labels import MOST_BYTES, looks_like_labels
from stackbone.extract.datasets.files.files import Files, content_of, names_in, what_to_do
from stackbone.extract.datasets.folders.extensions import is_image_name

_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_MOST_LOOKED_INTO = 1000  # files beside images, to tell labels from captions
_LABELS = "labels"
_DEEPEST = 4  # levels below it: splits, and whatever parts of them


def labels_of(path: str) -> str:
    """Return where the labels of an image are, as Ultralytics looks for them."""
    before, mark, after = f"/{path}".rpartition("/images/")
    twin = f"{before}/{_LABELS}/{after}" if mark else f"/{path}"
    return f"{os.path.splitext(twin)[0]}.txt"[1:]


def images_of(files: Files, place: str, notes: list[str]) -> Iterator[str]:
    """Yield the images of a folder, or of a text file that lists them, relative to the dataset's folder.

    Raises
    ------
    DatasetError
        If a list cannot be read.
    """
    if files.is_folder(place):
        prefix = "" if place == "." else f"{place}/"
        yield from (prefix + path for path in files.images(place))
        return
    try:
        content = content_of(files, place, MOST_LISTED_BYTES)
    except OSError as exc:
        if lost_server(exc):
            raise
        found = str(files.place(place))
        msg = f"Cannot read {found!r}: {exc.strerror or exc}. Expected a list of images. {what_to_do(exc)}"
        raise DatasetError(msg) from exc
    own, missing = place.rpartition("/")[0], []
    for name in filter(None, map(str.strip, content.decode("utf-8-sig", "surrogateescape").splitlines())):
        path = _listed(files, own, name) if is_image_name(name) else None
        if path is None:
            missing.append(name)
        else:
            yield path
    if missing:
        n = counted(len(missing), "line")
        notes.append(f"{n} of {place!r} left out (no image in the folder): {named(missing)}.")


def config_of(files: Files) -> str | None:
    """Return the YAML file of a folder in this form: of a usual name, or the only one that tells of labels.

    Folders of classes have such files too, of what was trained on them: it is one of this form if an image of a split
    has a file of labels. One that cannot be taken is returned, to be refused by its name, if the folder holds labels.
    """
    found = names_in(files, "", _is_yaml)
    names = sorted([*found.files, *filter(_is_yaml, found.folders)])
    usual = [name for name in _USUAL if name in names]
    for name in usual:
        if looks_like_yolo(files, name) is not False and _tells_of_labels(files, name):
            return name
    rest = [name for name in names if name not in usual]
    fitting = [name for name in rest if looks_like_yolo(files, name) and _tells_of_labels(files, name)]
    return fitting[0] if len(fitting) == 1 else None


def _is_yaml(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in YAMLS


def _listed(files: Files, own: str, name: str) -> str | None:
    """Return the path of an image that a list in the folder `own` names."""
    if os.path.isabs(name):
        path = within(files, name)
        return None if path is None else find_image(files, [""], path)
    return find_image(files, [own, ""], name)


def _tells_of_labels(files: Files, file: str) -> bool:
    beside: list[str] = []  # an image, which may be its caption
    try:
        for path in _images_of_all(files, read_config(files, file)):
            text = labels_of(path)
            if os.path.dirname(text) == os.path.dirname(path):
                beside += [text] if files.exists(text) else []
            elif files.exists(text):
                return True
    except DatasetError:
        return _holds_labels(files)
    return _are_labels(files, beside[:: 1 + len(beside) // _MOST_LOOKED_INTO])


def _images_of_all(files: Files, config: YoloConfig) -> Iterator[str]:
    for places in config.places.values():
        for place in places:
            yield from images_of(files, place, [])


def _are_labels(files: Files, paths: Sequence[str]) -> bool:
    """Return whether one of some text files begins as labels do."""
    found = files.contents(paths, MOST_BYTES)
    return any(isinstance(content, bytes) and looks_like_labels(content) for _, content in found)


def _holds_labels(files: Files) -> bool:
    """Return whether a folder, or one in it, has a folder of labels, or labels beside an image of their name."""
    return any(_has_labels(files, folder) for folder in ["", *names_in(files, "", is_image_name).folders])


def _has_labels(files: Files, folder: str) -> bool:
    prefix = f"{folder}/" if folder else ""
    if _holds_text(files, f"{prefix}{_LABELS}"):
        return True
    names = names_in(files, folder, lambda name: name.endswith(".txt") or is_image_name(name)).files
    stems = {os.path.splitext(name)[0] for name in names if is_image_name(name)}
    texts = [name for name in names if name.endswith(".txt") and name[:-4] in stems]
    return _are_labels(files, [prefix + text for text in texts[:1]])


def _holds_text(files: Files, folder: str, levels: int = _DEEPEST) -> bool:
    """Return whether a text file lies in a folder, or some levels below it."""
    texts, folders = names_in(files, folder, lambda name: name.endswith(".txt"))
    return bool(texts) or (levels > 0 and any(_holds_text(files, f"{folder}/{each}", levels - 1) for each in folders))
