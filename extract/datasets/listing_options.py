"""Options of a listing: how they are typed, and those that describe what is not there and would have no effect."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.text import typed
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.datasets.folders.reading import LEAF
from stackbone.extract.datasets.kind import DatasetKind, Listing, Request, Skipped, as_words
from stackbone.extract.datasets.kinds.table import TABLES


def refuse_table_options(request: Request, *, is_packed: bool = False) -> None:
    """Raise `UsageError` if a column is named otherwise than by default, or a table of labels is given.

    `is_packed` says that the dataset consists of archives: a table of labels goes with a folder of images alone.
    """
    if request.labels is not None:
        msg = f"--labels {typed(request.labels)} goes with one folder of images. Found a list. Name the folder alone."
        raise UsageError(msg)
    takes_labels = request.path is not None and os.path.isdir(request.path) and not is_packed
    for option, value in request.columns.given.items():
        given = typed(*as_words({option: value}))
        msg = (
            f"{given} describes a table, and the dataset is not one. Expected a file ending in "
            f"{' '.join(TABLES)}. Name that file{', add it with --labels FILE,' if takes_labels else ''} or leave "
            f"{option} out."
        )
        raise UsageError(msg)


def refuse_own_options(kind: DatasetKind | None, request: Request) -> None:
    """Raise `UsageError` if an option is given that means nothing to a kind of dataset."""
    for option, value, what in (
        ("--image-column", request.columns.image, "tables that hold images"),
        ("--every", request.every, "videos"),
    ):
        if value and (kind is None or option not in kind.own_options):
            found = f"{kind.what}" if kind else "something else"
            msg = f"{typed(option, value)} goes with {what}. Found {found}. Leave {option} out."
            raise UsageError(msg)


def refuse_label_options(separator: str, marked: Sequence[str], *, labelled: bool) -> None:
    """Raise `UsageError` if an option says how labels are read, and none are."""
    if not labelled and (separator or marked):
        option = "--label-columns" if marked else "--label-separator"
        msg = (
            f"{option} says how labels are read, and --no-labels (label_column=None) reads none: leave one of them out"
        )
        raise UsageError(msg)


def refuse_idle_options(request: Request) -> None:
    """Raise `UsageError` if an option says how files are listed and the images are in memory, or there is no table."""
    if request.images is None:
        if request.only_listed and request.labels is None:
            msg = (
                "--only-listed goes with a table of labels for a folder. Found none. Add --labels FILE, or leave it "
                "out."
            )
            raise UsageError(msg)
        return
    for option in _given(replace(request, label_separator="")):
        name = option.removeprefix("--").replace("-", "_")
        msg = (
            f"{name}= says how files and tables are listed, and the images are in memory. Expected labels=, splits=, "
            f"groups= and name= beside them. Leave {name}= out."
        )
        raise UsageError(msg)


def asked_words(request: Request, *, labelled: bool) -> list[str]:
    """Return what to type after ``stackbone extract`` to list the same again; nothing of images in memory."""
    if request.images is not None:
        return []
    return [*(request.patterns or request.paths), *as_words(_given(request)), *([] if labelled else ["--no-labels"])]


def _given(request: Request) -> dict[str, object]:
    """Return what a request says beside its images and their marks, by the option that says so."""
    options: dict[str, object] = {
        "--labels": request.labels,
        **request.columns.given,
        "--exclude": list(request.exclude.patterns),
        "--split-folders": request.split_folders if request.split_folders != "auto" else None,
        "--class-level": request.class_level,
        "--only-listed": request.only_listed,
        "--label-separator": request.label_separator,
        "--every": request.every,
    }
    return {option: value for option, value in options.items() if value}


def refuse_level_options(request: Request) -> None:
    """Raise `UsageError` if levels of folders are named."""
    for option, given, default in (
        ("--split-folders", request.split_folders, "auto"),
        ("--class-level", request.class_level, None),
    ):
        if given != default:
            msg = (
                f"{option} {given} says how the names of folders are read, and this dataset is not a folder of class "
                f"folders. Leave {option} out."
            )
            raise UsageError(msg)


def read_class_level(given: int | str | None) -> int | str | None:
    """Return the level as it was meant: a number from 1, `LEAF`, or None."""
    if given is None or given == LEAF:
        return given
    if (isinstance(given, int) or given.isdecimal()) and int(given) >= 1:
        return int(given)
    msg = f"--class-level takes a number from 1, or {LEAF} for the innermost folders, not {given!r}"
    raise UsageError(msg)


def leave_out(listing: Listing, exclusion: Exclusion) -> Listing:
    """Return a listing without the images that are excluded, and with a note on patterns that name nothing."""
    entries = {path: marks for path, marks in listing.entries.items() if not exclusion.covers_path(path)}
    skipped, notes = list(listing.skipped), list(listing.notes)
    if gone := sorted(listing.entries.keys() - entries):
        skipped.append(Skipped("image" if len(gone) == 1 else "images", "excluded", len(gone), gone[0]))
    if not entries:
        msg = (
            f"No images: --exclude {typed(*exclusion.patterns)} leaves out all {len(gone):,}. Expected one or more. "
            "Change it."
        )
        raise DatasetError(msg)
    for pattern in exclusion.unused:
        notes.append(f"--exclude {typed(pattern)} leaves out nothing: no other file or folder has such a name.")
    return replace(listing, entries=entries, skipped=skipped, notes=notes)


def checked_marks(given: Mapping[str, Any], *, in_memory: bool) -> dict[str, Any]:
    """Return labels, splits and groups of images in memory, those that were given; nothing of files.

    Raises
    ------
    UsageError
        If they are no sequences, or are such, and the images are files.
    """
    marks = {name: each for name, each in given.items() if each is not None}
    if in_memory:
        _check_marks(marks)
        return marks
    _refuse_marks(marks)
    return {}


def _check_marks(marks: dict[str, Any]) -> None:
    for name, given in marks.items():
        if isinstance(given, str | bytes | os.PathLike) or not hasattr(given, "__len__"):
            msg = (
                f"{name}= is {given!r}, and the images are in memory. Expected a sequence with a value for each image, "
                f"such as a list. Leave {name}= out if you have none."
            )
            raise UsageError(msg)


def _refuse_marks(marks: dict[str, Any]) -> None:
    for name, given in marks.items():
        if name != "labels" or not isinstance(given, str | os.PathLike):
            instead = "name a table, labels='labels.csv', or leave labels= out" if name == "labels" else "give a table"
            msg = (
                f"{name}= with a value for each image goes with images in memory: an array, or a list of arrays or PIL "
                f"images. Found files: {instead}."
            )
            raise UsageError(msg)
