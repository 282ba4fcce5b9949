"""The listing of a folder: its images, with what folders and tables beside them say."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stackbone.cache.errors import DatasetError
from stackbone.extract.datasets.folders.extensions import ARCHIVES
from stackbone.extract.datasets.folders.levels import read_levels
from stackbone.extract.datasets.folders.metadata import apply_metadata
from stackbone.extract.datasets.folders.notes import say_reading
from stackbone.extract.datasets.folders.reading import Reading
from stackbone.extract.datasets.folders.tree import grow
from stackbone.extract.datasets.folders.walking import Found, walk
from stackbone.extract.datasets.kind import Listing, Request
from stackbone.extract.datasets.listing_options import refuse_table_options
from stackbone.extract.images.formats import decodable_extensions

_MOST_SHOWN = 5


def list_folder(request: Request) -> Listing:
    """List the images below a folder, with splits and classes from the folders' names and from tables beside them.

    Raises
    ------
    DatasetError
        The folder cannot be read or holds no image; or labels are asked for, and it cannot be told what its folders
        are, or a table is damaged.
    UsageError
        An option names a table's column, and there is no table, or it lacks that column.
    """
    root = Path(request.paths[0])
    return list_found(root, walk(root, request.exclude), request)


def list_found(
    root: Path,
    found: Found,
    request: Request,
    *,
    tables: Path | None = None,
    folders: Mapping[str, str] | None = None,
) -> Listing:
    """List images that were found, with splits and classes from the names of folders and from tables beside them.

    Parameters
    ----------
    root
        Absolute folder or archive that they were found in.
    found
        The images and tables.
    tables
        Folder that the tables' paths are relative to, if not `root`.
    folders
        Of each image the folder whose names say its split and class, if not the one in which it lies.

    Raises
    ------
    DatasetError, UsageError
        As of `list_folder`.
    """
    if not found.images:
        raise DatasetError(no_images_message(root, found))
    if not found.tables:
        refuse_table_options(request, is_packed=tables is not None)
    splits = request.split_folders != "none"
    labelled = request.columns.label is not None
    above = folders or {path: path.rpartition("/")[0] for path in found.images}
    tree = grow(f"{folder}/" if folder else "" for folder in above.values())
    reading = read_levels(root, tree, splits=splits, class_level=request.class_level, labelled=labelled)
    marks = {path: (mark.label, mark.split, "") for path, mark in reading.marks.items()}
    entries = {path: marks[above[path]] for path in found.images}
    applied = apply_metadata(tables or root, entries, found.tables, request.columns)
    spoken_for = applied.spoken_for if folders is None else _spoken_for(applied.spoken_for, folders)
    reading = replace(reading, spoken_for=spoken_for)
    notes = [*_unreadable(found), *_barren(found, reading), *say_reading(reading), *applied.notes]
    form = applied.label_form
    return Listing(root.name, root, applied.entries, found.skipped, notes, further=applied.further, label_form=form)


def _spoken_for(places: Sequence[str], folders: Mapping[str, str]) -> list[str]:
    """Return the folders all of whose images lie in places of which tables say the labels, as `folders` has them."""
    known = set(places)
    spoken: dict[str, bool] = {}
    for path, folder in folders.items():
        ends = [at + 1 for at, letter in enumerate(path) if letter == "/"]
        is_known = bool(known) and ("" in known or any(path[:end] in known for end in ends))
        spoken[folder] = spoken.get(folder, True) and is_known
    if all(spoken.values()):
        return [""]
    return [f"{folder}/" for folder, is_known in spoken.items() if is_known and folder]


def _unreadable(found: Found) -> Iterator[str]:
    for folder, reason in sorted(found.unreadable.items())[:_MOST_SHOWN]:
        yield (
            f"The folder {folder.rstrip('/')!r} cannot be read ({reason}), so its images are left out. Give yourself "
            "read and execute permission on it, and run again."
        )
    if len(found.unreadable) > _MOST_SHOWN:
        yield f"{len(found.unreadable) - _MOST_SHOWN:,} more folders cannot be read, so their images are left out."


def _barren(found: Found, reading: Reading) -> Iterator[str]:
    """Say which folders would be classes or splits if any file in them had been taken."""
    full = {f"{node.path}/" if node.path else "" for node in reading.tree.walk()}
    sorts: dict[str, Counter[str]] = defaultdict(Counter)
    for folder, counts in found.sorts.items():
        below = folder
        while folder not in full:
            below, folder = folder, folder[: folder.rstrip("/").rfind("/") + 1]
        if below not in full and folder.rstrip("/") in reading.above_classes:
            sorts[below] += counts
    if sorts:
        said = [
            f"{folder.rstrip('/')!r} ({_say_sorts(found, folder, counts)})" for folder, counts in sorted(sorts.items())
        ]
        more = f" and {len(said) - _MOST_SHOWN} more" if len(said) > _MOST_SHOWN else ""
        yield f"No image was taken from {', '.join(said[:_MOST_SHOWN])}{more}: none of these folders is a class."


def _say_sorts(found: Found, folder: str, counts: Counter[str]) -> str:
    said = [f"{count:,} {sort}" for sort, count in counts.most_common(_MOST_SHOWN)]
    hidden = sum(path.startswith(folder) for path in found.unreadable)
    said += [f"{hidden:,} {'folder' if hidden == 1 else 'folders'} that cannot be read"] if hidden else []
    return ", ".join(said) or "empty"


def no_images_message(root: Path, found: Found) -> str:
    """Return what to say of a folder or archive that no image was found in."""
    looked_for = f"Looked, in all its subfolders, for files ending in {' '.join(decodable_extensions())}."
    skipped = found.skipped
    if not skipped:
        return f"No images: {str(root)!r} is empty. {looked_for} Check the path, or name another folder."
    said = "; ".join(f"{each.count:,} {each.sort} ({each.reason})" for each in skipped[:_MOST_SHOWN])
    if len(skipped) > _MOST_SHOWN:
        said += f"; {sum(each.count for each in skipped[_MOST_SHOWN:]):,} more"
    sorts = {each.sort for each in skipped}
    if sorts & {".csv", ".tsv", ".parquet"}:
        advice = "Point to the folder that holds the images, or give the table file itself"
    elif sorts & ARCHIVES:
        advice = "Point to the folder that holds the images, or unpack the archive first"
    else:
        advice = "Point to the folder that holds the images, or convert the files to JPEG or PNG"
    return f"No images in {str(root)!r}; found instead: {said}. {looked_for} {advice}."
