"""Where a dataset in the form of Pascal VOC keeps the images of its splits, and their annotations."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from stackbone.cache.splits import SPLITS, role_of
from stackbone.extract.datasets.boxes.voc.objects import MOST_BYTES, looks_like_annotation
from stackbone.extract.datasets.boxes.voc.passing import passed_over
from stackbone.extract.datasets.files.files import Files, is_excluded, names_in
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.kind import PassedOver

_IMAGES, _ANNOTATIONS = "JPEGImages", "Annotations"
_TRIED = 10  # files of a folder that may be annotations: the first may be damaged, or a stray one


@dataclass(frozen=True)
class Part:
    """Folders of images and of their annotations, and the split that they are; ``""`` where lists say it, or nobody."""

    images: str
    annotations: str
    split: str = ""


@dataclass(frozen=True)
class Layout:
    """Where images and annotations lie.

    Attributes
    ----------
    parts
        One or more.
    left_out
        Paths of images elsewhere that the user does not exclude; not looked for beside ``JPEGImages``, where masks of
        the same images are.
    """

    parts: Sequence[Part]
    left_out: Sequence[str] = field(default=())


def layout_of(files: Files) -> Layout | PassedOver | None:
    """Return where images and annotations lie; None where there are none of these.

    ``JPEGImages`` beside ``Annotations`` say it by their names. Elsewhere a few annotations may lie beside folders of
    classes, whose images would be lost: it takes as many images with an annotation as would be left out, and else
    they are passed over. Images that the user leaves out do not count.
    """
    if files.is_folder(_IMAGES) and files.is_folder(_ANNOTATIONS):
        return Layout([Part(_IMAGES, _ANNOTATIONS)])
    passed: PassedOver | None = None
    for parts in _likely(files):
        annotations = [_annotations_of(files, part) for part in parts]
        tried = [path for each in annotations for path in [*each.values()][:: 1 + len(each) // _TRIED]]
        if _are_annotations(files, tried):
            left_out, n = _left_out(files, parts), sum(map(len, annotations))
            if len(left_out) <= n:
                return Layout(parts, left_out)
            passed = passed or passed_over(files, [part.images for part in parts], n, tried[0], left_out)
    return passed


def in_folder(folder: str, name: str) -> str:
    """Return the path of what has a name in a folder."""
    return f"{folder}/{name}" if folder else name


def stem_of(path: str) -> str:
    """Return the name of a file without its extension."""
    return os.path.splitext(path.rpartition("/")[2])[0]


def is_xml(name: str) -> bool:
    """Return whether a file's name is that of an annotation."""
    return name.lower().endswith(".xml")


def _likely(files: Files) -> list[list[Part]]:
    """Return the parts of each layout that is not Pascal VOC's own; of one with splits all, annotated or not."""
    folders = names_in(files, "", lambda _: False).folders
    called = {name.lower(): name for name in folders}
    images, annotations = called.get("images"), called.get("annotations")
    roles = {name: role_of(name) for name in folders}
    return [
        [Part(images, annotations)] if images and annotations else [],
        [Part(name, name, role.split) for name, role in roles.items() if role and role.split in SPLITS],
        [Part("", "")],
    ]


def _annotations_of(files: Files, part: Part) -> dict[str, str]:
    """Return the images of a part that count and have a file of an annotation's name, and its path."""
    xmls = {stem_of(name): name for name in names_in(files, part.annotations, is_xml).files}
    names = names_in(files, part.images, is_image_name).files if xmls else []
    return {
        in_folder(part.images, name): in_folder(part.annotations, xmls[stem])
        for name in names
        if (stem := stem_of(name)) in xmls and not is_excluded(files, in_folder(part.images, name))
    }


def _left_out(files: Files, parts: Sequence[Part]) -> list[str]:
    folders = {part.images for part in parts}
    elsewhere = (path for path in files.images("") if path.rpartition("/")[0] not in folders)
    return [path for path in elsewhere if not is_excluded(files, path)]


def _are_annotations(files: Files, paths: Sequence[str]) -> bool:
    found = files.contents(list(dict.fromkeys(paths)), MOST_BYTES) if paths else ()
    return any(isinstance(content, bytes) and looks_like_annotation(content) for _, content in found)
