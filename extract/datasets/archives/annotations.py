"""Archives that hold what folders with annotations would: Pascal VOC, COCO, YOLO, as if they were unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

from stackbone.cache.splits import role_of
from stackbone.cache.text import counted
from stackbone.extract.containers.container import Member
from stackbone.extract.datasets.archives.found import Archives
from stackbone.extract.datasets.archives.members import EXCLUDED, Inventory, Named
from stackbone.extract.datasets.boxes.faults import named
from stackbone.extract.datasets.boxes.yolo_config import YAMLS
from stackbone.extract.datasets.files.annotated import find_annotated, may_be_annotated
from stackbone.extract.datasets.files.archived import ArchivedFiles, Packed
from stackbone.extract.datasets.files.listed import by_folder
from stackbone.extract.datasets.folders.pruning import Exclusion
from stackbone.extract.datasets.kind import Listing, PassedOver, Request
from stackbone.extract.datasets.listing_options import refuse_level_options, refuse_table_options

_ANNOTATIONS = "annotations"


def list_annotated(archives: Archives, held: Sequence[Named], inventory: Inventory, request: Request) -> Listing | None:
    """List the images of archives with what the annotations in them say; None if there are none of a known form.

    The archives count as unpacked into one folder, as those of COCO and Pascal VOC are meant to be; where files of two
    have one path there, as unpacked into folders of their names.

    Parameters
    ----------
    archives, held, inventory
        The archives, what is in them, and what was met there besides. What the user leaves out is no image of the
        listing, and may be an annotation, as in a folder.

    Raises
    ------
    DatasetError, UsageError
        As of the kind; options about tables and levels of folders mean nothing to it.
    """
    if not _may_be_annotated(held):
        return None
    passed: PassedOver | None = None
    for files, doubles in _ways(archives, held, is_whole=not inventory.faults, exclude=request.exclude):
        found = find_annotated(files)
        if isinstance(found, PassedOver):
            passed = passed or found
        elif found is not None:
            refuse_table_options(request, is_packed=True)
            refuse_level_options(request)
            listing = found[1](request.columns.label is not None)
            skipped = [each for each in inventory.found.skipped if each.reason != EXCLUDED]
            return replace(listing, skipped=skipped, notes=[*inventory.notes(), *_doubles(doubles), *listing.notes])
    request.known["annotations"] = passed
    return None


def has_config(held: Named) -> bool:
    """Return whether an archive may be of YOLO's form, whose labels may lie beside the images as captions do."""
    return any(member.name.lower().endswith(YAMLS) for member in _no_images(held))


def _may_be_annotated(held: Sequence[Named]) -> bool:
    """Return whether a file lies where annotations do, by the names alone: to look at files costs more than these.

    Those of Pascal VOC lie in ``annotations`` or beside images, those of COCO there, in a split, or in the folder that
    holds all images, as YOLO's do.
    """
    folders = {  # of files that may be annotations, whether they are XML, in the archive and where this is unpacked
        (is_xml, folder, own)
        for each in held
        for member in _no_images(each)
        if may_be_annotated([member.name])
        for own in [member.name.rpartition("/")[0]]
        for folder in (own, f"{each.folder}/{own}".strip("/"))
        for is_xml in [member.name.lower().endswith(".xml")]
    }
    for is_xml, folder, own in folders:
        last = folder.rpartition("/")[2]
        if last.lower() == _ANNOTATIONS or (not is_xml and (not own or role_of(last))):
            return True
    beside = {own for is_xml, _, own in folders if is_xml}
    wrappers = {own for is_xml, _, own in folders if not is_xml}
    return any(name.rpartition("/")[0] in beside for name in _images(held) if beside) or any(
        all(name.startswith(f"{folder}/") for name in _images(held)) for folder in wrappers
    )


def _images(held: Sequence[Named]) -> Iterator[str]:
    return (name for each in held for name in each.images)


def _no_images(held: Named) -> Iterator[Member]:
    """Yield what an archive holds that may be annotations, whether or not it can be taken out."""
    return chain(held.others, held.excluded, held.lost)


def _ways(
    archives: Archives, held: Sequence[Named], *, is_whole: bool, exclude: Exclusion
) -> Iterator[tuple[ArchivedFiles, list[str]]]:
    """Yield the files of archives as unpacked in one folder and in folders of their own, the likelier way first."""
    unpacked = partial(_unpacked, archives, held, is_whole=is_whole, exclude=exclude)
    flat = unpacked(path_of=lambda each, name: name)
    if len(held) == 1:
        yield flat
        return
    are_double = bool(flat[1])
    if not are_double:
        yield flat
    yield unpacked(path_of=lambda each, name: f"{each.folder}/{name}" if each.folder else name)
    if are_double:
        yield flat


def _unpacked(
    archives: Archives,
    held: Sequence[Named],
    *,
    path_of: Callable[[Named, str], str],
    is_whole: bool,
    exclude: Exclusion,
) -> tuple[ArchivedFiles, list[str]]:
    """Return the files of archives by the paths that they would have, and the paths that several would have."""
    packed: dict[str, Packed] = {}
    twice: list[str] = []
    for each in held:
        lost = {member.name: Packed(each.path, member.name, 0, member.problem) for member in each.lost}
        images = {name: Packed(each.path, name, 0) for name in each.images}
        rest = {
            member.name: Packed(each.path, member.name, member.size or 0)
            for member in chain(each.others, each.excluded)
        }
        for name, found in (lost | images | rest).items():
            path = path_of(each, name)
            if path not in packed or packed[path].problem:
                packed[path] = found
            else:
                twice.append(path)
    files = ArchivedFiles(
        by_folder(packed),
        packed,
        is_whole=is_whole,
        exclude=exclude,
        root=archives.root,
        title=archives.title,
        packed=packed,
    )
    return files, twice


def _doubles(paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    n = counted(len(paths), "file")
    return [f"{n} of a path that a file in an archive before has too, which counts: {named(paths)}."]
