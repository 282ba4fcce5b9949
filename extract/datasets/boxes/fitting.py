"""Boxes of listed images as the cache keeps them: by what the images are, within the images, in their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stackbone.cache import Digests
from stackbone.cache.boxes.box_table import BoxTable, box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.text import counted
from stackbone.extract.datasets.boxes.faults import OUTSIDE, Faults, named
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.sizes import Size, upright_sizes

_OTHER_SIZE = "that have another size than their annotations say"
_NOT_UPRIGHT = "that were annotated lying on their side, before the turn that their EXIF tag asks for"
_NO_SIZE = "whose size cannot be read"
_ROUNDING = 0.5  # pixels beyond an edge that are nothing to speak of


@dataclass(frozen=True)
class FittedBoxes:
    """The boxes of a dataset for the cache.

    Attributes
    ----------
    table
        None where no image has boxes to keep.
    notes
        What was done to make them fit, a sentence each.
    """

    table: BoxTable | None = None
    notes: Sequence[str] = ()


def fit_boxes(
    listed: ListedBoxes | None, root: Path, paths: Sequence[str], digests: Digests, old: BoxTable | None
) -> FittedBoxes:
    """Return the boxes of images as the cache keeps them.

    Of files with the same bytes the first annotated one by path counts. Boxes are cut at the edges of the upright
    image; one outside of it is left out. An image of another size than its annotation says is not in the table.

    Parameters
    ----------
    listed
        As annotations tell them.
    root, paths
        Of the n images.
    digests
        (n, 32) uint8; zero of a file that could not be read.
    old
        The table of the run before: of its images the size is known.
    """
    if listed is None:
        return FittedBoxes()
    chosen: dict[bytes, str] = {}
    others: list[str] = []
    for path, digest in zip(paths, digests, strict=True):
        key = digest.tobytes()
        if path not in listed or not any(key):
            continue
        first = chosen.setdefault(key, path)
        if first != path and not _same(listed[first], listed[path]):
            others.append(path)
    faults = Faults()
    sizes = _sizes(root, chosen, old)
    fitted = {key: _fit(listed[path], *sizes[key], path, faults, listed) for key, path in chosen.items()}
    images = {key: boxes for key, boxes in fitted.items() if boxes is not None}
    notes = [*_notes(others), *faults.notes(), *_rare(images)]
    return FittedBoxes(box_table(images, listed.source) if images else None, notes)


def _sizes(root: Path, chosen: dict[bytes, str], old: BoxTable | None) -> dict[bytes, tuple[Size, Size]]:
    """Return how large images are, upright and as stored; the latter is that of the former where it is remembered."""
    known = {key: boxes for key in chosen if old and (boxes := old.of(key)) and boxes.width and boxes.height}
    sizes = {key: ((boxes.width, boxes.height), (boxes.width, boxes.height)) for key, boxes in known.items()}
    rest = {key: path for key, path in chosen.items() if key not in sizes}
    return sizes | dict(zip(rest, upright_sizes(root, list(rest.values())), strict=True))


def _fit(
    boxes: ImageBoxes, upright: Size, stored: Size, path: str, faults: Faults, listed: ListedBoxes
) -> ImageBoxes | None:
    said = (boxes.width, boxes.height)
    if not all(upright):
        faults.of_image(_NO_SIZE, path)
        return None
    if all(said) and said != upright:
        faults.of_image(_NOT_UPRIGHT if said == stored else _OTHER_SIZE, path)
        return None
    edges = np.array([*upright, *upright], np.float32)
    whole = boxes.corners * edges if listed.are_shares else boxes.corners
    corners = np.clip(whole, 0, edges)
    inside = (corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3])
    for _ in range(int((~inside).sum())):
        faults.of_box(OUTSIDE, path)
    faults.cut += [path] * int((np.abs(corners - whole) > _ROUNDING).any(axis=1)[inside].sum())
    return ImageBoxes(
        corners=corners[inside],
        classes=tuple(name for name, is_in in zip(boxes.classes, inside.tolist(), strict=True) if is_in),
        difficult=boxes.difficult[inside],
        crowd=boxes.crowd[inside],
        width=upright[0],
        height=upright[1],
    )


def _same(one: ImageBoxes, other: ImageBoxes) -> bool:
    arrays = ("corners", "difficult", "crowd")
    return one.classes == other.classes and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def _notes(others: Sequence[str]) -> list[str]:
    if not others:
        return []
    files = counted(len(others), "file")
    return [f"{files} annotated otherwise than an earlier file with the same bytes, which counts: {named(others)}."]


def _rare(images: dict[bytes, ImageBoxes]) -> list[str]:
    """Return what is to be said of classes of which only one image has objects: no part but one can show them."""
    n_images: dict[str, int] = {}
    for boxes in images.values():
        for name in {*boxes.classes}:
            n_images[name] = n_images.get(name, 0) + 1
    rare = sorted(name for name, n in n_images.items() if n == 1)
    if not rare or len(images) < 2:
        return []
    return [f"{counted(len(rare), 'class', 'classes')} of which one image alone has objects: {named(rare)}."]
