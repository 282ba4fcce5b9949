"""The boxes of a dataset's images in a file of the cache (see FORMAT.md)."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.boxes.flat import FlatBoxes
from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import CacheError, Malformed
from stackbone.cache.hdf5 import writing as hdf5
from stackbone.cache.hdf5.opening import CacheFile, open_checked
from stackbone.cache.hdf5.texts import read_texts, write_texts
from stackbone.cache.places.place import Place, make_room, remove, write_whole

FORMAT = "stackbone-boxes"
FOLDER = "boxes"
"""Of a cache: a file for each dataset whose objects are annotated."""

_SIZES = ("width", "height")
_FLAGS = ("difficult", "crowd")
_REFILL = "`stackbone extract` on the dataset to write its boxes again"


def boxes_path(cache_root: Place, dataset: str) -> Place:
    """Return where the boxes of a dataset lie, if there are any."""
    return cache_root / FOLDER / f"{dataset}.h5"


def write_boxes(cache_root: Place, dataset: str, table: BoxTable) -> Place:
    """Commit the boxes of a dataset in the place of those that are there; return their file.

    Raises
    ------
    CacheError
        If the table is none that a reader takes, or the cache cannot be written.
    """
    flat = table.flat
    try:
        _check(table.digests, flat)
    except Malformed as exc:
        message = f"the boxes of the dataset {dataset!r} cannot be kept: {exc}. Nothing was written; mend the table"
        raise CacheError(message) from exc
    with hdf5.build_in_memory(FORMAT) as (file, memory):
        hdf5.write_text(file, "name", dataset)
        hdf5.write_text(file, "source", table.source)
        hdf5.write_column(file, "image_sha256", table.digests)
        hdf5.write_compressed(file, "n_boxes", flat.counts)
        for i, name in enumerate(_SIZES):
            hdf5.write_compressed(file, name, np.ascontiguousarray(flat.sizes[:, i]))
        write_texts(file, "class_name", dataset, flat.names)
        hdf5.write_column(file, "corners", flat.corners)
        hdf5.write_compressed(file, "class", flat.classes)
        for name in _FLAGS:
            hdf5.write_compressed(file, name, getattr(flat, name).astype(np.uint8))
    path = boxes_path(cache_root, dataset)
    make_room(path.parent)
    write_whole(path, hdf5.sealed_image(FORMAT, memory))
    return path


def read_boxes(path: Place) -> BoxTable:
    """Read the boxes of a dataset.

    Raises
    ------
    FileNotFoundError
        If there are none.
    CorruptFileError, NewerVersionError, CacheError
        As of `cache.hdf5.opening.open_checked`.
    """
    return read_with_version(path)[0]


def read_with_version(path: Place) -> tuple[BoxTable, int, int]:
    """Return the boxes, the version of their file's format, and the file's size in bytes; errors as `read_boxes`."""
    with open_checked(path, FORMAT, refill=_REFILL) as file:
        if file.text("name") != path.stem:
            message = f"it is of the dataset {file.text('name')!r}, not of {path.stem!r}"
            raise Malformed(message)
        digests: Digests = file.column("image_sha256", types="u1", columns=DIGEST_BYTES).read()
        corners: NDArray[np.float32] = file.column("corners", types="f4", columns=4).read()
        n_images, n_boxes = len(digests), len(corners)
        flat = FlatBoxes(
            counts=_column(file, "n_boxes", "i8", n_images),
            sizes=np.stack([_column(file, name, "i8", n_images) for name in _SIZES], axis=1),
            corners=corners,
            names=tuple(read_texts(file.column("class_name", types="S", may_inflate=True))),
            classes=_column(file, "class", "i8", n_boxes),
            **{name: _flags(file, name, n_boxes) for name in _FLAGS},
        )
        _check(digests, flat)
        return BoxTable(digests, flat, file.text("source")), file.version, file.size


def remove_boxes(cache_root: Place, dataset: str) -> None:
    """Remove the boxes of a dataset, durably; nothing where there are none.

    Raises
    ------
    CacheError
        If the folder cannot be written.
    """
    with suppress(FileNotFoundError):
        remove(boxes_path(cache_root, dataset))


def _column(file: CacheFile, name: str, types: str, n: int) -> NDArray[Any]:
    column = file.column(name, types=types, may_inflate=True)
    if len(column) != n:
        message = f"the column {name!r} has {len(column):,} rows, and {n:,} were expected"
        raise Malformed(message)
    return column.read()


def _flags(file: CacheFile, name: str, n: int) -> NDArray[np.bool_]:
    values = _column(file, name, "u1", n)
    if (values > 1).any():
        message = f"the column {name!r} holds other values than 0 and 1"
        raise Malformed(message)
    return values.astype(np.bool_)


def _check(digests: Digests, flat: FlatBoxes) -> None:
    """Raise `Malformed` unless images and boxes are as FORMAT.md says."""
    n_images, n_boxes = len(digests), len(flat.corners)
    keys = [digest.tobytes() for digest in digests]
    if any(first >= second for first, second in pairwise(keys)):
        found = "its digests are not ascending and distinct"
    elif len(flat.counts) != n_images or (flat.counts < 0).any() or (flat.counts > n_boxes).any():
        found = f"its images do not each have from 0 to {n_boxes:,} boxes"
    elif int(flat.counts.sum()) != n_boxes:
        found = f"its images have {int(flat.counts.sum()):,} boxes, and {n_boxes:,} are there"
    elif (flat.sizes < 0).any():
        found = "an image has less than no pixels"
    elif len({*flat.names}) != len(flat.names) or list(flat.names) != sorted(flat.names) or not all(flat.names):
        found = "its names of classes are not sorted and distinct"
    elif any(name.endswith("\0") for name in flat.names):
        found = "a name of a class ends in a zero byte"
    elif len({len(flat.classes), len(flat.difficult), len(flat.crowd), n_boxes}) > 1:
        found = "its columns of boxes are not of one length"
    elif not np.array_equal(np.unique(flat.classes), np.arange(len(flat.names))):
        found = f"its boxes are not of each of its {len(flat.names):,} classes"
    elif not np.isfinite(flat.corners).all() or not (flat.corners[:, :2] < flat.corners[:, 2:]).all():
        found = "a box has no area"
    else:
        return
    raise Malformed(found)
