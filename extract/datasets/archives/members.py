"""What lies in the archives of a dataset, by the names of their members."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from stackbone.cache.errors import DatasetError, Malformed
from stackbone.cache.text import counted
from stackbone.extract.containers.container import Container, Member, safe_name
from stackbone.extract.containers.opening import open_container
from stackbone.extract.datasets.archives.found import Archives, is_archive
from stackbone.extract.datasets.files.annotated import may_be_annotated
from stackbone.extract.datasets.folders.extensions import (
    NO_IMAGE,
    is_image_name,
    missing_decoder,
    why_not,
    why_not_beside,
)
from stackbone.extract.datasets.folders.pruning import Exclusion, is_system_file, is_system_folder
from stackbone.extract.datasets.folders.walking import Found

EXCLUDED = "excluded"
IN_ARCHIVE = "an archive inside an archive; unpack the outer one"
NO_ANNOTATIONS = "not an image, nor annotations of a known form"
_BESIDE = "not an image; annotations are looked for in the archives"
_MOST_SHOWN = 5


@dataclass
class Named:
    """What an archive holds, by the names of its members.

    Attributes
    ----------
    path, folder
        See `Archives`.
    images
        Names of members that are images by their extensions, in the order in which they are stored.
    others
        Other members that can be read and are not hidden, nor a system's.
    excluded
        Members of either sort that the user leaves out.
    lost
        Members that are no images, nor hidden or a system's, and cannot be taken out: they may be annotations.
    """

    path: str
    folder: str
    images: list[str] = field(default_factory=list)
    others: list[Member] = field(default_factory=list)
    excluded: list[Member] = field(default_factory=list)
    lost: list[Member] = field(default_factory=list)


@dataclass(kw_only=True)
class Held(Named):
    """An archive that is open, and what is in it.

    Attributes
    ----------
    container
        Opened.
    """

    container: Container

    @property
    def named(self) -> Named:
        """What it holds, without what is open: to be kept."""
        return Named(self.path, self.folder, self.images, self.others, self.excluded, self.lost)


@dataclass
class Inventory:
    """What was met in all archives, for people.

    Attributes
    ----------
    found
        Members that are not taken, counted.
    faults
        What is wrong with an archive, by its path, and how many images were taken from it.
    """

    found: Found = field(default_factory=lambda: Found(sorts=defaultdict(Counter)))
    faults: dict[str, tuple[str, int]] = field(default_factory=dict)

    def skip(self, path: str, name: str, place: str = "") -> None:
        """Count a member that is no image by its name; `place` is where it is listed, if not by its archive's path."""
        self.found.skip_file(_why_not(name), f"{path}/{name}", place)

    def skip_beside(self, archives: Archives) -> None:
        """Count what lies in the folder of archives and is none."""
        for path in archives.beside:
            self.found.skip_file(_BESIDE if may_be_annotated([path]) else why_not_beside(path), path)

    def refuse_damaged(self, root: Path) -> None:
        """Raise `DatasetError` if no image was found and archives are damaged; to be asked at the end."""
        if self.faults and not any(n for _, n in self.faults.values()):
            path, (fault, _) = next(iter(self.faults.items()))
            more = f" So are {len(self.faults) - 1:,} more." if len(self.faults) > 1 else ""
            message = (
                f"No images: the archive {str(root / path)!r} is damaged: {fault}.{more} Expected whole tar or zip "
                "archives of images. Get it again, or name another."
            )
            raise DatasetError(message)

    def notes(self) -> Iterator[str]:
        """Yield what to say of archives that are damaged."""
        for path, (fault, n) in list(self.faults.items())[:_MOST_SHOWN]:
            taken = (
                f"the {counted(n, 'image')} before that {'is' if n == 1 else 'are'} taken" if n else "it is left out"
            )
            yield f"The archive {path!r} is damaged: {fault}; {taken}. Get it again, and run again."
        if len(self.faults) > _MOST_SHOWN:
            yield f"{len(self.faults) - _MOST_SHOWN:,} more archives are damaged."


def _why_not(name: str) -> str:
    """Return why a member is not taken; of one that might be annotations it says that these were looked for."""
    if is_archive(name):
        return IN_ARCHIVE
    if may_be_annotated([name]):
        return NO_ANNOTATIONS
    extension = os.path.splitext(name)[1].lower()
    return why_not(extension) or missing_decoder(extension) or NO_IMAGE


def go_through(archives: Archives, exclusion: Exclusion, inventory: Inventory) -> Iterator[Held]:
    """Yield the archives of a dataset, each open until the next is asked for.

    Raises
    ------
    DatasetError
        If an archive cannot be opened at all, for a reason of the system's.
    """
    for path, folder in zip(archives.paths, archives.folders, strict=True):
        place = os.path.join(archives.root, path)
        try:
            container = open_container(place)
        except Malformed as exc:
            inventory.faults[path] = (str(exc), 0)
            continue
        except OSError as exc:
            message = (
                f"The archive {place!r} cannot be read: {exc.strerror or exc}. Expected a readable file. Check it and "
                "its permissions, or leave it out."
            )
            raise DatasetError(message) from exc
        with closing(container):
            held = Held(path=path, folder=folder, container=container)
            try:
                for member in container.members():
                    _sort(held, member, exclusion, inventory)
            except Malformed as exc:
                inventory.faults[path] = (str(exc), len(held.images))
            yield held


def _sort(held: Held, member: Member, exclusion: Exclusion, inventory: Inventory) -> None:
    path, name = f"{held.path}/{member.name}", member.name.rpartition("/")[2]
    sort = os.path.splitext(name)[1].lower() or "no extension"
    is_system = any(is_system_folder(part) for part in member.name.split("/")[:-1]) or is_system_file(name)
    is_hidden = any(part.startswith(".") for part in member.name.split("/"))
    if member.problem:
        inventory.found.skip(sort, member.problem, path)
        if not (is_system or is_hidden or is_image_name(name)) and safe_name(member.name):
            held.lost.append(member)
    elif is_system:
        inventory.found.skip(name, "made by an operating system or a file server", path)
    elif is_hidden:
        inventory.found.skip("hidden", "a name that begins with a dot", path)
    elif exclusion and exclusion.covers_path(path):
        held.excluded.append(member)
        inventory.found.skip(sort, EXCLUDED, path)
    elif is_image_name(name):
        held.images.append(member.name)
    else:
        held.others.append(member)
