"""Folders in the form of COCO's object detection: images beside files of annotations, such as Roboflow writes too.

``annotations/instances_train2017.json`` beside ``train2017/`` or ``images/train2017/``, or
``train/_annotations.coco.json`` beside the images themselves: see `datasets.boxes.coco_file`. Names of the files, or of
their folders, tell splits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.disk.reading import open_regular
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.splits import SPLITS, role_of
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.coco_file import CocoImage, read_coco
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.image_paths import find_image, inside
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.walking import folders_in_wrappers, is_folder
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK

_ANNOTATIONS = "annotations"
_INSTANCES, _ROBOFLOW = re.compile(r"instances_.*\.json"), re.compile(r".*\.coco\.json")
_ROBOFLOWS = "_annotations.coco.json"
_PEEKED = 1 << 16  # bytes at each end of a file whose name says nothing
_LISTS = {"images", "annotations", "categories"}
_INNER = re.compile(rb'"(file_name|image_id|bbox|segmentation|supercategory)"\s*:')
_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_TRIED = 50  # images by which the folder that a file speaks of is found


def read_folder(folder: Path, *, labelled: bool = True) -> Listing:
    """List the images of a folder in the form of COCO.

    Parameters
    ----------
    folder
        That holds files of annotations, or whose ``annotations`` or splits do.
    labelled
        Whether labels are asked for; else the files tell which images there are and no more.

    Raises
    ------
    DatasetError
        If a file cannot be read, none of its images is there, or no annotation can be taken.
    """
    faults = Faults()
    entries: Entries = {}
    cells: dict[str, str] = {}
    boxes: dict[str, ImageBoxes] = {}
    notes = (
        ["The labels of an image are the categories of its annotated objects, each there or not."] if labelled else []
    )
    for name in annotation_files(folder):
        images, said = read_coco(folder / name, name, faults, labelled=labelled)
        places, more = _place(folder, name, images)
        notes += [*said, *more]
        twice = [path for path in places if path in entries]
        if twice:
            notes.append(
                f"{counted(len(twice), 'image')} of {name!r} also in another file, which counts: {named(twice)}."
            )
        for path, image in places.items():
            if path not in entries:
                entries[path] = ("", _split(name, path), "")
                cells[path] = image.cell
                boxes |= {path: image.boxes} if image.boxes is not None else {}
    if not entries:
        msg = (
            f"No images: none of those that the annotations in {str(folder)!r} name is there. {' '.join(notes[1:])} "
            "Expected them beside the annotations, in 'images', or in folders named like the files. Put them there."
        )
        raise DatasetError(msg)
    notes += [*faults.notes(), *_unnamed(folder, entries)]
    if not labelled:
        return Listing(folder.name, folder, entries, notes=notes)
    if not boxes:
        raise none_sound(faults, str(folder))
    labels = read_sets(list(cells.values()), LIST_MARK, f"{str(folder)!r}")
    marked = {path: (label, entries[path][1], "") for path, label in zip(cells, labels, strict=True)}
    return Listing(folder.name, folder, marked, notes=notes, label_form=SETS, boxes=ListedBoxes("coco", boxes))


def annotation_files(folder: Path) -> list[str]:
    """Return the files of annotations of a folder, relative to it; none where it is not of this kind.

    Those named as COCO's or Roboflow's count alone where there are such. Others do if they look like annotations. So
    must those of COCO's names that lie outside of ``annotations``: a log may be called ``instances_log.json``.
    """
    found, folders = _names(folder)
    # Not every folder: there may be a thousand, of classes, with a million names in them.
    inner = [name for name in folders if name.lower() == _ANNOTATIONS or _role(name)]
    below = {name: [f"{name}/{each}" for each in _names(folder / name)[0]] for name in inner}
    everywhere = [*found, *(path for paths in below.values() for path in paths)]
    for pattern in (_INSTANCES, _ROBOFLOW):
        chosen = [path for path in everywhere if pattern.fullmatch(path.rpartition("/")[2])]
        if chosen := [path for path in chosen if _is_meant(path) or _may_be_coco(folder / path)]:
            return sorted(chosen, key=_order)
    own = [*found, *(path for name in inner if name.lower() == _ANNOTATIONS for path in below[name])]
    return sorted((path for path in own if _looks_like_coco(folder / path)), key=_order)


def _order(path: str) -> tuple[int, str]:
    """Return a key by which files are read: the training part first."""
    split = _split(path, "")
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), path)


def _place(folder: Path, name: str, images: Sequence[CocoImage]) -> tuple[dict[str, CocoImage], list[str]]:
    """Return the images of a file that are there, by path, and what is to be said of the others."""
    tiers = _bases(folder, name)
    base = _base_of(folder, tiers, images)
    places: dict[str, CocoImage] = {}
    missing: list[str] = []
    leading_out: list[str] = []
    twice: list[str] = []
    for image in images:
        path = find_image(folder, base, image.name)
        if path is None:
            leads = not any(inside(each, image.name) for tier in tiers for each in tier)
            (leading_out if leads else missing).append(image.name)
        elif path in places:
            twice.append(image.name)
        else:
            places[path] = image
    notes = [
        f"{counted(len(names), 'image')} of {name!r} {what}: {named(names)}."
        for names, what in (
            (missing, "left out, since their files are missing"),
            (leading_out, "left out, since their paths lead out of the folder"),
            (twice, "listed twice, of which the first counts"),
        )
        if names
    ]
    return places, notes


def _base_of(folder: Path, tiers: Sequence[Sequence[str]], images: Sequence[CocoImage]) -> list[str]:
    """Return the one folder in which the images of a file lie; none where nothing of them is there.

    Pictures of one name may lie in several. So a folder that the file's name speaks of is believed if it has a single
    one of them, and what is missing there is nowhere looked for; how many it has decides among folders that are as
    likely.
    """
    sample = images[:: max(1, len(images) // _TRIED)]
    for tier in tiers:
        there = [base for base in tier if os.path.isdir(folder / base)]
        for tried in (sample, images):
            hits = [sum(find_image(folder, [base], each.name) is not None for each in tried) for base in there]
            if any(hits):
                return [there[hits.index(max(hits))]]
    return []


def _bases(folder: Path, name: str) -> list[list[str]]:
    """Return folders in which the images of a file of annotations may lie, the likeliest first, equals together."""
    own, tag = name.rpartition("/")[0], _tag(name)
    split = _split(name, "")
    there = [*_names(folder)[1], *(f"images/{each}" for each in _names(folder / "images")[1])]
    alike = [each for each in there if split and _role(each.rpartition("/")[2]) == split]
    exact = [tag, f"images/{tag}"] if tag else []
    beside = [own] if own and own.lower() != _ANNOTATIONS else []  # Roboflow's, in the folder of a split
    return [
        [*beside, *exact, *(f"{each}/images" for each in exact)],
        [*alike, *(f"{each}/images" for each in alike)],
        [own, "images", ""],
    ]


def _tag(name: str) -> str:
    stem = os.path.splitext(name.rpartition("/")[2])[0]
    return re.sub(r"^instances_|_?annotations?(\.coco)?$|\.coco$", "", stem)


def _split(name: str, path: str) -> str:
    """Return the split that the name of a file tells, or that of its folder, or that of an image's."""
    folders = [*name.split("/")[-2:-1], *reversed(path.split("/")[:-1])]
    return next((split for each in (_tag(name), *folders) if (split := _role(each))), "")


def _role(name: str) -> str:
    role = role_of(name)
    return role.split if role and role.split in SPLITS else ""


def _unnamed(folder: Path, entries: Entries) -> Iterator[str]:
    """Yield what is to be said of images beside those that are listed."""
    others = []
    for inner in sorted({path.rpartition("/")[0] for path in entries}):
        prefix = f"{inner}/" if inner else ""
        names = sorted(prefix + each for each in os.listdir(folder / inner) if is_image_name(each) and each[0] != ".")
        others += [path for path in names if path not in entries]
    if others:
        yield f"{counted(len(others), 'image')} left out that no annotations list: {named(others)}."


def _names(folder: Path) -> tuple[list[str], list[str]]:
    """Return the JSON files in a folder and the folders in it, sorted; none where it cannot be listed."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for each in entries:
                if each.name.startswith("."):
                    continue
                if each.name.lower().endswith(".json"):
                    files.append(each.name)
                elif is_folder(each):
                    folders.append(each.name)
    except OSError:
        return [], []
    return sorted(files), sorted(folders)


def _is_meant(path: str) -> bool:
    """Return whether the place or the name of a file alone says that it is one of annotations, broken or not."""
    above, _, name = path.rpartition("/")
    return above.rpartition("/")[2].lower() == _ANNOTATIONS or name == _ROBOFLOWS


def _may_be_coco(file: Path) -> bool:
    """Return whether a file of a name that COCO or Roboflow gives may be one: keys may stand too deep to be seen."""
    keys = _keys_of(file)
    return len(keys) > 1 and not keys.isdisjoint(_LISTS)


def _looks_like_coco(file: Path) -> bool:
    keys = _keys_of(file)
    return len(keys & _LISTS) > 1 and bool(keys & {"bbox", "categories"})


def _keys_of(file: Path) -> set[str]:
    """Return which keys of annotations stand at the beginning or the end of a file."""
    try:
        with open_regular(file) as stream:
            ends = stream.read(_PEEKED)
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _PEEKED))
            ends += stream.read(_PEEKED)
    except OSError:
        return set()
    return {key.decode() for pattern in (_LIST, _INNER) for key in pattern.findall(ends)}


def _find(request: Request) -> Path | None:
    if request.path is None or request.labels is not None:
        return None
    return next((folder for folder in folders_in_wrappers(request.path) if annotation_files(folder)), None)


def _read_request(request: Request) -> Listing:
    labelled = request.columns.label is not None
    return read_folder(request.once("coco", _find) or Path(request.paths[0]), labelled=labelled)


KIND = DatasetKind(
    name="coco",
    what="a folder of images with annotations in the form of COCO",
    recognises=lambda request: request.once("coco", _find) is not None,
    read=_read_request,
    place=25,
)
