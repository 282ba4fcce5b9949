"""Images in memory, from Python: an array of them, or a list of arrays or PIL images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stackbone.cache.errors import UsageError
from stackbone.cache.labels.sets import SETS
from stackbone.extract.datasets.kind import DatasetKind, Entries, Listing, Request
from stackbone.extract.datasets.label_sets import read_sets
from stackbone.extract.datasets.tables.cells import LIST_MARK, list_text
from stackbone.extract.datasets.tables.marks import read_marks
from stackbone.extract.images.arrays import Arrays, check_images

_FEWEST_DIGITS = 6
_LISTS = (list, tuple, set, frozenset)


def _read(request: Request) -> Listing:
    images = request.images
    check_images(images)
    n = len(images)
    width = max(_FEWEST_DIGITS, len(str(n - 1)))  # so that sorted paths are in the order of the images
    columns, notes, form = [], [], ""
    for name, key in (("labels", "label"), ("splits", "split"), ("groups", "group")):
        given = request.marks.get(name)
        lists = key == "label" and given is not None and any(isinstance(each, _LISTS) for each in given)
        texts = _column(given, name, n, [f"array/{row:0{width}}" for row in (0, n - 1)])
        # Whoever gives values and not text says by None and NaN which are missing.
        cells, said = read_marks(key, f"{name}=", texts, keep_na=True)
        if lists:
            cells, form = read_sets(cells, LIST_MARK, "labels="), SETS
        columns.append(cells)
        notes += said
    entries: Entries = {f"array/{row:0{width}}": marks for row, marks in enumerate(zip(*columns, strict=True))}
    return Listing("arrays", Path(), entries, notes=notes, arrays=Arrays(images), label_form=form)


def _column(values: Sequence[object] | None, name: str, n: int, ends: list[str]) -> list[str]:
    if values is None:
        return [""] * n
    if len(values) != n:
        message = (
            f"{name}= has {len(values):,} values for {n:,} images. Expected one for each, in their order "
            f"({ends[0]} to {ends[1]}), and None for an image without."
        )
        raise UsageError(message)
    if any(isinstance(value, np.ndarray) and value.ndim for value in values):
        or_several = " or, of several labels, a list of their names" if name == "labels" else ""
        message = (
            f"{name}= holds arrays. Expected a text or number for each image{or_several}, such as that of "
            "`array.tolist()`. Convert them."
        )
        raise UsageError(message)
    return [_text(value) for value in values]


def _text(value: object) -> str:
    """Return a mark as text, '' for None and NaN; 3.0 is 3, as in tables, and a list the cell of one."""
    if isinstance(value, _LISTS):
        return list_text([_text(each) for each in value])
    if value is None or value != value:  # NaN alone is not itself
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


KIND = DatasetKind(
    name="arrays",
    what="from Python, an array of images or a list of arrays or PIL images",
    recognises=lambda request: request.images is not None,
    read=_read,
    place=35,
)
