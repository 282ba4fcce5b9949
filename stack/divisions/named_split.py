"""The split that a user names: by the name in the dataset's index, by another of its names, or by its folder's."""

from __future__ import annotations

import unicodedata

from stackbone.cache import DatasetIndex, UsageError
from stackbone.cache.splits import canonical_split
from stackbone.cache.text import typed


def find_split(index: DatasetIndex, named: str) -> str:
    """Return the name in the index of a split that a user names.

    Parameters
    ----------
    index
        Of the dataset.
    named
        The name in the index; the name of the split's folder, such as ``val2`` or ``seg_test``; or another name that
        means the same, such as ``val`` for ``validation``.

    Returns
    -------
    str
        `named` itself if the dataset has no such split, which is refused where the images are divided.

    Raises
    ------
    UsageError
        If it names a folder that is only a part of a split.
    """
    splits = {*index.split} - {""}
    if named in splits:
        return named
    folder = unicodedata.normalize("NFC", named)
    inside = [folder in unicodedata.normalize("NFC", path).split("/")[:-1] for path in index.path]
    found = {split for split, is_inside in zip(index.split, inside, strict=True) if is_inside and split}
    if not found:
        found = {split for split in splits if canonical_split(split) == canonical_split(named)}
        return found.pop() if len(found) == 1 else named
    split = min(found)
    rest = sum(each == split and not is_inside for each, is_inside in zip(index.split, inside, strict=True))
    if len(found) > 1:
        return named  # a folder of a class, or of a part of the dataset
    if rest:
        message = (
            f"{named!r} is not all of the split {split!r}: {rest:,} of its images lie in other folders. Type --split "
            f"{typed(split)} to test on all of them, or leave the others out with `stackbone extract --exclude FOLDER`"
        )
        raise UsageError(message)
    return split
