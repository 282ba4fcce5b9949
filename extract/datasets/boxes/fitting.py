"""Boxes of listed images as the cache keeps them: by what the images are, within the images, in their pixels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.boxes.flat import FlatBoxes, flatten
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.disk.reading import place_in
from stackbone.cache.remote.url import is_url
from stackbone.cache.text import counted
from stackbone.extract.containers.place import split_place
from stackbone.extract.datasets.boxes.faults import OUTSIDE, Faults, named
from stackbone.extract.datasets.boxes.listed import ListedBoxes
from stackbone.extract.datasets.boxes.sizes import Size, sizes_elsewhere, upright_sizes

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
    listed: ListedBoxes | None,
    root: Path,
    paths: Sequence[str],
    digests: Digests,
    old: BoxTable | None,
    measured: Mapping[bytes, tuple[Size, Size]] | None = None,
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
    measured
        Sizes of images, upright and as stored, by digest: of those that were read for their digests anyway.

    Raises
    ------
    RemoteError
        If a server is to be asked for an image, and cannot be.
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
    sizes = _sizes(root, chosen, old, measured or {})
    faults = Faults()
    fitting = {
        key: path for key, path in sorted(chosen.items()) if _is_of_size(listed[path], *sizes[key], path, faults)
    }
    flat = _cut(
        flatten([listed[path] for path in fitting.values()]),
        np.array([sizes[key][0] for key in fitting], np.int64).reshape(-1, 2),
        [*fitting.values()],
        faults,
        are_shares=listed.are_shares,
    )
    digests = np.frombuffer(b"".join(fitting), np.uint8).reshape(-1, DIGEST_BYTES)
    notes = [*_copies(others), *faults.notes(), *_rare(flat)]
    return FittedBoxes(BoxTable(digests, flat, listed.source) if fitting else None, notes)


def _sizes(
    root: Path, chosen: dict[bytes, str], old: BoxTable | None, measured: Mapping[bytes, tuple[Size, Size]]
) -> dict[bytes, tuple[Size, Size]]:
    """Return how large images are, upright and as stored; the latter is that of the former where it is remembered."""
    sizes = {key: measured[key] for key in chosen if key in measured}
    if old is not None:
        for digest, (width, height) in zip(old.digests, old.flat.sizes.tolist(), strict=True):
            key = digest.tobytes()
            if key in chosen and width and height:
                sizes[key] = ((width, height), (width, height))
    rest = {key: path for key, path in chosen.items() if key not in sizes}
    here = {key: path for key, path in rest.items() if not _is_elsewhere(root, path)}
    sizes |= zip(here, upright_sizes(root, list(here.values())), strict=True)
    return sizes | sizes_elsewhere(root, {key: path for key, path in rest.items() if key not in here})


def _is_elsewhere(root: Path, path: str) -> bool:
    """Return whether an image lies in a container, or behind a URL."""
    return is_url(place_in(root, path)) or split_place(os.fspath(root), path) is not None


def _is_of_size(boxes: ImageBoxes, upright: Size, stored: Size, path: str, faults: Faults) -> bool:
    """Return whether an image is as large as its annotation says, if that says it; count it if not."""
    said = (boxes.width, boxes.height)
    if not all(upright):
        faults.of_image(_NO_SIZE, path)
    elif all(said) and said != upright:
        faults.of_image(_NOT_UPRIGHT if said == stored else _OTHER_SIZE, path)
    else:
        return True
    return False


def _cut(
    flat: FlatBoxes, sizes: NDArray[np.int64], paths: Sequence[str], faults: Faults, *, are_shares: bool
) -> FlatBoxes:
    """Return boxes in pixels, cut at the edges of their images, without those that lie outside; count both."""
    rows = np.repeat(np.arange(len(flat)), flat.counts)
    edges = np.tile(sizes, 2)[rows].astype(np.float32)
    whole = flat.corners * edges if are_shares else flat.corners
    corners = np.clip(whole, 0, edges)
    inside = (corners[:, :2] < corners[:, 2:]).all(axis=1)
    for row in rows[~inside].tolist():
        faults.of_box(OUTSIDE, paths[row])
    beyond = inside & (np.abs(corners - whole) > _ROUNDING).any(axis=1)
    faults.cut += [paths[row] for row in rows[beyond].tolist()]
    used, classes = np.unique(flat.classes[inside], return_inverse=True)
    return FlatBoxes(
        counts=np.bincount(rows[inside], minlength=len(flat)).astype(np.int64),
        sizes=sizes,
        corners=corners[inside],
        names=tuple(flat.names[place] for place in used.tolist()),
        classes=classes.reshape(-1).astype(np.int64),
        difficult=flat.difficult[inside],
        crowd=flat.crowd[inside],
    )


def _same(one: ImageBoxes, other: ImageBoxes) -> bool:
    arrays = ("corners", "difficult", "crowd")
    return one.classes == other.classes and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays
    )


def _copies(others: Sequence[str]) -> list[str]:
    if not others:
        return []
    files = counted(len(others), "file")
    return [f"{files} annotated otherwise than an earlier file with the same bytes, which counts: {named(others)}."]


def _rare(flat: FlatBoxes) -> list[str]:
    """Return what is to be said of classes of which only one image has objects: no part but one can show them."""
    rows = np.repeat(np.arange(len(flat)), flat.counts)
    pairs = np.unique(np.stack([flat.classes, rows]), axis=1)
    n_images = np.bincount(pairs[0], minlength=len(flat.names))
    rare = [name for name, n in zip(flat.names, n_images.tolist(), strict=True) if n == 1]
    if not rare or len(flat) < 2:
        return []
    return [f"{counted(len(rare), 'class', 'classes')} of which one image alone has objects: {named(rare)}."]
