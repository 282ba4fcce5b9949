"""Folders in the form of COCO's object detection: images beside files of annotations, such as Roboflow writes too.

``annotations/instances_train2017.json`` beside ``train2017/`` or ``images/train2017/``, or
``train/_annotations.coco.json`` beside the images themselves: see `datasets.boxes.coco_file`. Names of the files, or of
their folders, tell splits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from functools import partial

from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.sets import SETS
from stackbone.cache.splits import SPLITS, role_of
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.coco_file import CocoImage, read_coco
from stackbone.extract.datasets.boxes.coco_json import MOST_BYTES
from stackbone.extract.datasets.boxes.faults import Faults, named, none_sound
from stackbone.extract.datasets.boxes.image_paths import find_image, inside
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.files.annotated import LABELS_ARE, annotated_kind, as_listing
from stackbone.extract.datasets.files.files import Files, Names, is_excluded, names_in
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.kind import Entries, Listing, Reading
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK

_ANNOTATIONS = "annotations"
_INSTANCES, _ROBOFLOW = re.compile(r"instances_.*\.json"), re.compile(r".*\.coco\.json")
_ROBOFLOWS = "_annotations.coco.json"
_TELLING = re.compile("annot|coco|instance|label", re.IGNORECASE)
_MOST_LOOKED_INTO = 100  # files; of more those whose names tell, and these however many they are
_PEEKED = 1 << 16  # bytes at each end of a file whose name says nothing
_LISTS = {"images", "annotations", "categories"}
_INNER = re.compile(rb'"(file_name|image_id|bbox|segmentation|supercategory)"\s*:')
_LIST = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_TRIED = 50  # images by which the folder that a file speaks of is found


def read_images(files: Files, labelled: bool) -> Listing:  # noqa: FBT001 - as of `Reading`
    """List the images of files in the form of COCO.

    Parameters
    ----------
    files
        Of a folder that holds annotations, or whose ``annotations`` or splits do.
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
    notes = [f"{LABELS_ARE} categories of its annotated objects, each there or not."] if labelled else []
    folders = _image_folders(files)
    for name, found in files.streams(annotation_files(files), MOST_BYTES):
        images, said = read_coco(found, files.place(name), name, faults, labelled=labelled)
        places, more = _place(files, name, images, folders)
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
        where, why = str(files.place()), " ".join(notes[1:])
        msg = f"No images: none of those that the annotations in {where!r} name is there. {why} "
        msg += "Expected them beside the annotations, in 'images', or in folders named like the files. Put them there."
        raise DatasetError(msg)
    notes += [*faults.notes(), *_unnamed(files, entries)]
    if not labelled:
        return as_listing(files, entries, notes)
    if not boxes:
        raise none_sound(faults, str(files.place()))
    labels = read_sets(list(cells.values()), LIST_MARK, f"{str(files.place())!r}")
    marked = {path: (label, entries[path][1], "") for path, label in zip(cells, labels, strict=True)}
    return as_listing(files, marked, notes, label_form=SETS, boxes=ListedBoxes("coco", boxes))


def annotation_files(files: Files) -> list[str]:
    """Return those of some files that are annotations; none where they are not of this kind.

    Those named as COCO's or Roboflow's count alone where there are such. Others do if they look like annotations. So
    must those of COCO's names that lie outside of ``annotations``: a log may be called ``instances_log.json``.
    """
    found, folders = _names(files, "")
    # Not every folder: there may be a thousand, of classes, with a million names in them.
    inner = [name for name in folders if name.lower() == _ANNOTATIONS or _role(name)]
    below = {name: [f"{name}/{each}" for each in _names(files, name)[0]] for name in inner}
    everywhere = [*found, *(path for paths in below.values() for path in paths)]
    for pattern in (_INSTANCES, _ROBOFLOW):
        named_so = [path for path in everywhere if pattern.fullmatch(path.rpartition("/")[2])]
        meant = [path for path in named_so if _is_meant(path)]
        doubtful = [path for path in named_so if not _is_meant(path)]
        if chosen := meant + [path for path, keys in _keys_of(files, doubtful) if _may_be_coco(keys)]:
            return sorted(chosen, key=_order)
    own = [*found, *(path for name in inner if name.lower() == _ANNOTATIONS for path in below[name])]
    if len(own) > _MOST_LOOKED_INTO:  # of an image each, as a rule
        own = [path for path in own if _TELLING.search(path.rpartition("/")[2])]
    return sorted((path for path, keys in _keys_of(files, own) if _looks_like_coco(keys)), key=_order)


def _order(path: str) -> tuple[int, str]:
    """Return a key by which files are read: the training part first."""
    split = _split(path, "")
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), path)


def _image_folders(files: Files) -> list[str]:
    """Return the folders of a dataset in which the images of a split may lie."""
    return [*_names(files, "").folders, *(f"images/{each}" for each in _names(files, "images").folders)]


def _place(
    files: Files, name: str, images: Sequence[CocoImage], folders: Sequence[str]
) -> tuple[dict[str, CocoImage], list[str]]:
    """Return the images of a file that are there, by path, and what is to be said of the others."""
    tiers = _bases(name, folders)
    base = _base_of(files, tiers, images)
    places: dict[str, CocoImage] = {}
    missing: list[str] = []
    leading_out: list[str] = []
    twice: list[str] = []
    for image in images:
        path = find_image(files, base, image.name)
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


def _base_of(files: Files, tiers: Sequence[Sequence[str]], images: Sequence[CocoImage]) -> list[str]:
    """Return the one folder in which the images of a file lie; none where nothing of them is there.

    Pictures of one name may lie in several. So a folder that the file's name speaks of is believed if it has a single
    one of them, and what is missing there is nowhere looked for; how many it has decides among folders that are as
    likely.
    """
    sample = images[:: max(1, len(images) // _TRIED)]
    for tier in tiers:
        there = [base for base in tier if files.is_folder(base)]
        for tried in (sample, images):
            hits = [sum(find_image(files, [base], each.name) is not None for each in tried) for base in there]
            if any(hits):
                return [there[hits.index(max(hits))]]
    return []


def _bases(name: str, folders: Sequence[str]) -> list[list[str]]:
    """Return folders in which the images of a file of annotations may lie, the likeliest first, equals together."""
    own, tag = name.rpartition("/")[0], _tag(name)
    split = _split(name, "")
    alike = [each for each in folders if split and _role(each.rpartition("/")[2]) == split]
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


def _unnamed(files: Files, entries: Entries) -> Iterator[str]:
    """Yield what is to be said of images beside those that are listed."""
    others = []
    for inner in sorted({path.rpartition("/")[0] for path in entries}):
        prefix = f"{inner}/" if inner else ""
        names = [prefix + each for each in files.names(inner, is_image_name).files]
        others += [path for path in names if path not in entries and not is_excluded(files, path)]
    if others:
        yield f"{counted(len(others), 'image')} left out that no annotations list: {named(others)}."


def _names(files: Files, folder: str) -> Names:
    """Return the JSON files in a folder and the folders in it."""
    return names_in(files, folder, lambda name: name.lower().endswith(".json"))


def _is_meant(path: str) -> bool:
    """Return whether the place or the name of a file alone says that it is one of annotations, broken or not."""
    above, _, name = path.rpartition("/")
    return above.rpartition("/")[2].lower() == _ANNOTATIONS or name == _ROBOFLOWS


def _may_be_coco(keys: set[str]) -> bool:
    """Return whether a file of a name that COCO or Roboflow gives may be one: keys may stand too deep to be seen."""
    return len(keys) > 1 and not keys.isdisjoint(_LISTS)


def _looks_like_coco(keys: set[str]) -> bool:
    return len(keys & _LISTS) > 1 and bool(keys & {"bbox", "categories"})


def _keys_of(files: Files, paths: Sequence[str]) -> Iterator[tuple[str, set[str]]]:
    """Yield some files with the keys of annotations at their beginnings and ends."""
    for path, ends in files.ends(paths, _PEEKED):
        found = ends if isinstance(ends, bytes) else b""
        yield path, {key.decode() for pattern in (_LIST, _INNER) for key in pattern.findall(found)}


def _find(files: Files, file: str) -> Reading | None:
    for each in () if file else files.in_wrappers():
        if annotation_files(each):
            return partial(read_images, each)
    return None


KIND = annotated_kind("coco", "a folder of images with annotations in the form of COCO", _find, place=25)
