"""Archives that hold what folders with annotations would: Pascal VOC, COCO, YOLO, as if they were unpacked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from stackbone.cache.text import counted
from stackbone.extract.datasets.archives.found import Archives
from stackbone.extract.datasets.archives.members import EXCLUDED, Held, Inventory
from stackbone.extract.datasets.boxes.faults import named
from stackbone.extract.datasets.boxes.yolo_config import YAMLS
from stackbone.extract.datasets.files.annotated import find_annotated, may_be_annotated
from stackbone.extract.datasets.files.archived import ArchivedFiles, Packed
from stackbone.extract.datasets.files.listed import by_folder
from stackbone.extract.datasets.kind import Listing, Request
from stackbone.extract.datasets.listing_options import refuse_level_options, refuse_table_options


def list_annotated(archives: Archives, held: Sequence[Held], inventory: Inventory, request: Request) -> Listing | None:
    """List the images of archives with what the annotations in them say; None if there are none of a known form.

    The archives count as unpacked into one folder, as those of COCO and Pascal VOC are meant to be; where files of two
    have one path there, as unpacked into folders of their names.

    Parameters
    ----------
    archives, held, inventory
        The archives, what is in them, and what was met there besides.

    Raises
    ------
    DatasetError, UsageError
        As of the kind; options about tables and levels of folders mean nothing to it.
    """
    if not may_be_annotated(member.name for each in held for member in each.others):
        return None
    is_whole = not inventory.faults
    flat, twice = _unpacked(archives, held, lambda each, name: name, is_whole=is_whole)
    tried = [(flat, twice)]
    if len(held) > 1:
        apart = _unpacked(
            archives, held, lambda each, name: f"{each.folder}/{name}" if each.folder else name, is_whole=is_whole
        )
        tried.insert(0 if twice else 1, apart)
    for files, doubles in tried:
        if (found := find_annotated(files)) is not None:
            refuse_table_options(request.labels, request.columns)
            refuse_level_options(request)
            listing = found[1](request.columns.label is not None)
            skipped = [each for each in inventory.found.skipped if each.reason != EXCLUDED]
            return replace(listing, skipped=skipped, notes=[*inventory.notes(), *_doubles(doubles), *listing.notes])
    return None


def has_config(held: Held) -> bool:
    """Return whether an archive may be of YOLO's form, whose labels may lie beside the images as captions do."""
    return any(member.name.lower().endswith(YAMLS) for member in held.others)


def _unpacked(
    archives: Archives, held: Sequence[Held], path_of: Callable[[Held, str], str], *, is_whole: bool
) -> tuple[ArchivedFiles, list[str]]:
    """Return the files of archives by the paths that they would have, and the paths that several would have."""
    packed: dict[str, Packed] = {}
    twice: list[str] = []
    for each in held:
        sizes: Mapping[str, int] = {member.name: member.size or 0 for member in each.others}
        for name in (*each.images, *sizes, *each.excluded):
            path = path_of(each, name)
            if path in packed:
                twice.append(path)
            else:
                packed[path] = Packed(each.path, name, sizes.get(name, 0))
    below, root, title = by_folder(packed), archives.root, archives.title
    return ArchivedFiles(below, packed, is_whole=is_whole, root=root, title=title, packed=packed), twice


def _doubles(paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    n = counted(len(paths), "file")
    return [f"{n} of a path that a file in an archive before has too, which counts: {named(paths)}."]
