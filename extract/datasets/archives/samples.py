"""WebDataset shards: files of one sample share a key, the name up to the first dot: ``000017.jpg``, ``000017.cls``.

Reference: the documentation of WebDataset, "The WebDataset Format". An image's label is what its ``.cls`` says, or a
key of its ``.json``; its ``.txt``, as a rule a caption, is a label where few texts stand for many images.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from itertools import islice
from sys import intern
from typing import cast

from stackbone.cache.errors import DatasetError, ImageError, Malformed, RemoteError
from stackbone.cache.text import counted
from stackbone.extract.containers.container import Member
from stackbone.extract.containers.opening import open_container
from stackbone.extract.containers.place import kind_of
from stackbone.extract.datasets.archives.columns import SampleColumns
from stackbone.extract.datasets.archives.found import Archives, find_archives
from stackbone.extract.datasets.archives.members import Held, Inventory, Named, go_through
from stackbone.extract.datasets.boxes.yolo_config import YAMLS
from stackbone.extract.datasets.folders.extensions import is_image_name
from stackbone.extract.datasets.folders.levels import read_levels
from stackbone.extract.datasets.folders.listing import no_images_message
from stackbone.extract.datasets.folders.notes import say_reading
from stackbone.extract.datasets.folders.reading import Reading
from stackbone.extract.datasets.folders.tree import grow
from stackbone.extract.datasets.folders.walking import METADATA
from stackbone.extract.datasets.kind import Listing, Request, TableColumns
from stackbone.extract.datasets.listing_options import refuse_level_options

_SIDES = (".cls", ".json", ".txt")
_LOOKED_AT = 1000  # members of the first shard, by which samples are known
_MOST_SIDE_BYTES = 1 << 20
_BY_FOLDERS = "No file beside the images says a label, so labels are the names of folders in the archives."


def has_samples(request: Request) -> bool:
    """Return whether a request names tar archives whose images have files of their own beside them."""
    archives = request.once("archives", find_archives)
    if archives is None or any(getattr(kind_of(path), "name", "") == "zip" for path in archives.paths):
        return False
    for path in archives.paths[:3]:
        try:
            container = open_container(os.path.join(archives.root, path))
        except RemoteError:
            raise
        except (OSError, Malformed):
            continue
        names: set[str] = set()
        try:
            names.update(member.name for member in islice(container.members(), _LOOKED_AT))
        except Malformed:
            pass  # what comes before a fault tells as much
        finally:
            container.close()
        is_told = _has_table(names) or any(name.lower().endswith(YAMLS) for name in names)  # as folders are, of YOLO
        return not is_told and _has_sides(filter(is_image_name, names), names)
    return False


def are_samples(held: Named) -> bool:
    """Return whether the images of a tar archive have files of their own beside them, wherever these are stored."""
    if not held.others or getattr(kind_of(held.path), "name", "") == "zip":
        return False
    return _has_sides(held.images, {member.name for member in held.others})


def _has_sides(images: Iterable[str], names: AbstractSet[str]) -> bool:
    return any(side in names for name in images for side in _sides_of(name))


def _has_table(names: Iterable[str]) -> bool:
    return any(name.rpartition("/")[2].lower() in METADATA for name in names)


def list_samples(request: Request) -> Listing:
    """List the images of WebDataset shards, with what the other files of their samples say.

    Where these say no label of any image, folders in the shards do, as in a folder.

    Raises
    ------
    DatasetError
        If there is no image, an archive cannot be read, or labels are at odds with how the cache writes them.
    UsageError
        If a column is named that no sample has, or folders' levels are, and files beside images say labels.
    """
    archives = cast(Archives, request.once("archives", find_archives))
    columns, inventory = SampleColumns(request.columns), Inventory()
    inventory.skip_beside(archives)
    paths: list[str] = []
    folders: list[str] = []
    flaws = _Flaws()
    for held in go_through(archives, request.exclude, inventory):
        for name, row in _rows(held, inventory, flaws):
            paths.append(f"{held.path}/{name}")
            folders.append(intern("/".join(filter(None, (held.folder, name.rpartition("/")[0])))))
            columns.add(row)
    if not paths:
        inventory.refuse_damaged(archives.root)
        raise DatasetError(no_images_message(archives.root, inventory.found))
    said = _read_folders(archives, folders, request, labelled=False).marks
    entries, notes, further, form = columns.read(paths, [said[folder].split for folder in folders])
    if any(label for label, *_ in entries.values()):
        refuse_level_options(replace(request, split_folders="auto"))
    elif request.columns.label == TableColumns().label:
        reading = _read_folders(archives, folders, request, labelled=True)
        labels = dict(zip(paths, (reading.marks[folder].label for folder in folders), strict=True))
        if any(labels.values()) or request.class_level is not None:
            entries = {path: (labels[path], split, group) for path, (_, split, group) in entries.items()}
            notes = [*notes, *filter(None, [archives.note]), _BY_FOLDERS, *say_reading(reading)]
            form = ""
    inventory.found.images = paths
    notes = [*inventory.notes(), *notes, *flaws.notes(len(paths))]
    return Listing(
        archives.title, archives.root, entries, inventory.found.skipped, notes, further=further, label_form=form
    )


@dataclass
class _Tally:
    """How many there are of something, and the first."""

    n: int = 0
    example: str = ""

    def add(self, path: str, n: int = 1) -> None:
        self.n += n
        self.example = self.example or path


@dataclass
class _Flaws:
    """Images without a file that says anything, files without an image, and files that cannot be read."""

    bare: _Tally = field(default_factory=_Tally)
    lone: _Tally = field(default_factory=_Tally)
    broken: _Tally = field(default_factory=_Tally)

    def notes(self, n_images: int) -> Iterator[str]:
        """Yield what to say of them, beside so many images."""
        if 0 < self.bare.n < n_images:
            have = "has" if self.bare.n == 1 else "have"
            yield (
                f"{counted(self.bare.n, 'image')} {have} no file of labels in the same shard, such as "
                f"{self.bare.example!r}, and no label by that: a sample that lies in two shards is not put together."
            )
        if self.lone.n:
            stand = "stands" if self.lone.n == 1 else "stand"
            yield f"{counted(self.lone.n, 'file')} {stand} beside no image, such as {self.lone.example!r}."
        if self.broken.n:
            yield (
                f"{counted(self.broken.n, 'file')} beside images cannot be read, such as {self.broken.example!r}: what "
                "they say is missing."
            )


def _rows(held: Held, inventory: Inventory, flaws: _Flaws) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the images of a shard, as they are stored, with what the files beside them say, by column."""
    said = _all_said(held, inventory, flaws)
    by_key = {_key(stem): stem for stem in said}
    used: set[str] = set()
    for name in _of_samples(held, inventory):
        stem = name.rpartition(".")[0]
        stem = stem if stem in said else by_key.get(_key(name), "")
        if stem:
            used.add(stem)
        else:
            flaws.bare.add(f"{held.path}/{name}")
        yield name, said.get(stem, {})
    if lone := said.keys() - used:
        flaws.lone.add(f"{held.path}/{min(lone)}", len(lone))


def _all_said(held: Held, inventory: Inventory, flaws: _Flaws) -> dict[str, dict[str, object]]:
    """Return what files beside images say, by the name without its extension, and by column."""
    said: dict[str, dict[str, object]] = {}
    for member in held.others:
        if not member.name.lower().endswith(_SIDES):
            inventory.skip(held.path, member.name)
            continue
        try:
            said.setdefault(member.name.rpartition(".")[0], {}).update(_said(held, member))
        except (ImageError, Malformed, ValueError, RecursionError):
            flaws.broken.add(f"{held.path}/{member.name}")
    return said


def _of_samples(held: Held, inventory: Inventory) -> Iterator[str]:
    """Yield the images that are a sample's own: ``17.jpg``, and ``17.mask.png`` only where there is no such."""
    whole = {_key(name) for name in held.images if _is_whole(name)}
    for name in held.images:
        if _is_whole(name) or _key(name) not in whole:
            yield name
        else:
            inventory.found.skip(
                os.path.splitext(name)[1].lower(), "a further image of a sample", f"{held.path}/{name}"
            )


def _is_whole(name: str) -> bool:
    return name.rpartition("/")[2].count(".") == 1


def _key(name: str) -> str:
    """Return what the files of one sample have in common: the path up to the first dot of the name."""
    folder, slash, own = name.rpartition("/")
    return folder + slash + own.partition(".")[0]


def _sides_of(name: str) -> Iterator[str]:
    for stem in {name.rpartition(".")[0], _key(name)}:
        yield from (stem + side for side in _SIDES)


def _said(held: Held, member: Member) -> dict[str, object]:
    """Return what a file beside an image says, by column; raises what its reading does."""
    if (member.size or 0) > _MOST_SIDE_BYTES:
        message = f"it has {member.size:,} bytes"
        raise ValueError(message)
    text = held.container.read(member.name).decode("utf-8-sig")
    kind = member.name.rpartition(".")[2].lower()
    if kind != "json":
        return {kind: text.strip()}
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False).encode()  # an escape may write half a letter, which no file of text holds
    return value if isinstance(value, dict) else {"json": value}


def _read_folders(archives: Archives, folders: Sequence[str], request: Request, *, labelled: bool) -> Reading:
    """Return what the folders say that archives stand for, and those in them."""
    tree = grow(f"{folder}/" if folder else "" for folder in folders)
    splits = request.split_folders != "none"
    level = request.class_level if labelled else None
    return read_levels(archives.root, tree, splits=splits, class_level=level, labelled=labelled)
