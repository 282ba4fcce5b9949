"""Annotations of Pascal VOC that are found and passed over, and what to type for them to be read."""

from __future__ import annotations

import glob
import unicodedata
from collections.abc import Collection, Sequence

from stackbone.cache.text import counted, typed
from stackbone.extract.datasets.boxes.faults import named
from stackbone.extract.datasets.files.files import Files, names_in
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.kind import PassedOver, as_words

_MOST_TYPED = 5  # patterns; to type more than these is no way out


def passed_over(files: Files, folders: Sequence[str], n: int, example: str, left_out: Sequence[str]) -> PassedOver:
    """Return what to say of annotations that are passed over, since their images are fewer than others.

    Parameters
    ----------
    files, folders
        Of the dataset, and those in which images have annotations.
    n, example
        How many images have one, and the path of one.
    left_out
        Images elsewhere, which the user does not leave out.
    """
    patterns = _patterns(files, folders, left_out)
    them, own = ("it", "the image and its annotation") if n == 1 else ("them", "these images and their annotations")
    way_out = (
        f"To read {them} and leave those out, add {typed(*as_words({'--exclude': patterns}))}."
        if len(patterns) <= _MOST_TYPED
        else f"To read {them}, move {own} to another folder, and name that."
    )
    what = "image has an annotation" if n == 1 else "images have annotations"
    return PassedOver(
        f"{n:,} {what} in the form of Pascal VOC (such as {example!r}), passed over since "
        f"{counted(len(left_out), 'image')} elsewhere would be left out: {named(left_out)}. {way_out}"
    )


def _patterns(files: Files, folders: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Return patterns that exclude some images, by the highest folders that hold nothing else, and no annotated one."""
    above = {""} | {folder[:at] for each in folders for folder in [f"{each}/"] for at in _slashes(folder)}
    kept = {
        unicodedata.normalize("NFC", part)
        for folder in folders
        for name in names_in(files, folder, is_image_name).files
        for part in files.listed(f"{folder}/{name}".lstrip("/")).split("/")
    }
    patterns: dict[str, None] = {}
    for path in paths:
        end = next((at for at in _slashes(path) if path[:at] not in above), len(path))
        n_below = path.count("/", end)
        parts = files.listed(path).split("/")
        patterns[_pattern(parts[: len(parts) - n_below], kept)] = None
    return [*patterns]


def _slashes(path: str) -> list[int]:
    return [at for at, letter in enumerate(path) if letter == "/"]


def _pattern(parts: Sequence[str], kept: Collection[str]) -> str:
    """Return what excludes a file or folder: its name alone if nothing that is kept has it, else its whole path."""
    name = parts[-1]
    if name.startswith("-") or unicodedata.normalize("NFC", name) in kept:
        return glob.escape("./" + "/".join(parts))
    return glob.escape(name)
