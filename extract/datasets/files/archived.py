"""The files in archives, as if all of these were unpacked into one folder."""

from __future__ import annotations

import errno
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from stackbone.cache.disk.reading import MOST_IMAGE_BYTES
from stackbone.cache.errors import ImageError, Malformed, lost_server
from stackbone.extract.containers.container import Container
from stackbone.extract.containers.opening import open_container
from stackbone.extract.datasets.files.files import WithheldError, too_large
from stackbone.extract.datasets.files.listed import ListedFiles

_HELD_BYTES = 256 << 20  # of what is wanted in one go: files lie in an archive in another order than they are asked for
_MOST_BYTES = 4 << 30


class Packed(NamedTuple):
    """Where a file lies: the path of its archive, its name there, its size in bytes, and why it is not given, if so."""

    archive: str
    name: str
    size: int
    problem: str = ""


@dataclass(frozen=True)
class ArchivedFiles(ListedFiles):
    """See `Files`.

    Attributes
    ----------
    root
        Folder that the archives' paths are relative to.
    title
        Of the archives.
    packed
        Each file, by its path in the folder that the archives would be unpacked into.
    """

    root: Path = Path()
    title: str = ""
    packed: Mapping[str, Packed] | None = None

    def listed(self, path: str) -> str:
        """Return ``ARCHIVE/MEMBER``."""
        found = self._found[self.prefix + path]
        return f"{found.archive}/{found.name}"

    def place(self, path: str = "") -> Path:
        """Return the path of a file with that of its archive before it; of a folder that of an archive with it."""
        whole = self._whole(path)
        if whole in self._found:
            return self.root / self.listed(path)
        inner = f"{whole}/" if whole else ""
        found = next((each for name, each in self._found.items() if name.startswith(inner)), None)
        if found is None:
            return self.root / whole
        return self.root / found.archive / whole if found.name.startswith(inner) else self.root / found.archive

    def exists(self, path: str) -> bool:
        """Return whether there is anything, or may be behind a link to a folder."""
        return super().exists(path) or self._at(path) is not None

    def streams(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, BinaryIO | OSError]]:
        """Yield files, all bytes of each in memory."""
        for path, found in self._parts(paths, most, lambda content: content, most):
            yield path, found if isinstance(found, OSError) else io.BytesIO(found)

    def ends(self, paths: Sequence[str], size: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the first and the last bytes of files; each archive is read once."""
        yield from self._parts(paths, MOST_IMAGE_BYTES, lambda content: content[:size] + content[-size:], 2 * size)

    def contents(self, paths: Sequence[str], most: int) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the bytes of files; each archive is read once for every 256 MiB that are wanted of it, or of others.

        So much is in memory, or one file. What comes after 4 GiB is refused: nobody writes annotations of that size.
        """
        yield from self._parts(paths, most, lambda content: content, most, _MOST_BYTES)

    def _parts(
        self,
        paths: Sequence[str],
        most: int,
        part_of: Callable[[bytes], bytes],
        most_kept: int,
        most_in_all: float = math.inf,
    ) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield a part of each file, of so many bytes at most, or why not: it has more than `most`, perhaps."""
        together: list[str] = []
        held = in_all = 0
        for path in paths:
            found = self._at(path)
            size = 0 if found is None or found.problem or found.size > most else min(found.size, most_kept)
            in_all += size
            is_refused = size > 0 and in_all > most_in_all
            if held + size > _HELD_BYTES or is_refused:
                yield from self._at_once(together, most, part_of)
                together, held = [], 0
            if is_refused:
                why = f"comes after the {most_in_all:,} bytes that are read of such files in one go"
                yield path, WithheldError(errno.EFBIG, why)
            else:
                together.append(path)
                held += size
        yield from self._at_once(together, most, part_of)

    def _at_once(
        self, paths: Sequence[str], most: int, part_of: Callable[[bytes], bytes]
    ) -> Iterator[tuple[str, bytes | OSError]]:
        said: dict[str, bytes | OSError] = {}
        wanted: dict[str, dict[str, str]] = {}  # archive to names in it, and the path of each
        for path in paths:
            found = self._at(path)
            if found is None:
                said[path] = FileNotFoundError(errno.ENOENT, "is not there")
            elif found.problem:
                said[path] = WithheldError(errno.EIO, found.problem)
            elif found.size > most:
                said[path] = too_large(found.size, most)
            else:
                wanted.setdefault(found.archive, {})[found.name] = path
        for archive, names in wanted.items():
            for name, content in _read(os.path.join(self.root, archive), names):
                said[names[name]] = part_of(content) if isinstance(content, bytes) else content
        yield from ((path, said[path]) for path in paths)

    def _at(self, path: str) -> Packed | None:
        """Return where a file lies; of one below what is not given, a link to a folder perhaps, where that does."""
        whole = self.prefix + path
        if (found := self._found.get(whole)) is not None:
            return found
        above = (self._found.get(whole[:at]) for at, letter in enumerate(whole) if letter == "/")
        return next((each for each in above if each is not None and each.problem), None)

    @property
    def _found(self) -> Mapping[str, Packed]:
        return cast(Mapping[str, Packed], self.packed)


def _read(place: str, names: Mapping[str, str]) -> Iterator[tuple[str, bytes | OSError]]:
    """Yield members of an archive with their bytes, or why there are none."""
    missing = dict.fromkeys(names)
    fault: OSError | None = None
    try:
        with closing(open_container(place)) as container:
            try:
                for name, content in container.stream(names.keys()):
                    del missing[name]
                    yield name, content
            except Malformed as exc:
                fault = _damaged(exc)
            for name in missing:
                yield name, fault or _why_not(container, name)
    except OSError as exc:
        if lost_server(exc):
            raise
        yield from ((name, exc) for name in missing)
    except Malformed as exc:
        yield from ((name, _damaged(exc)) for name in missing)


def _why_not(container: Container, name: str) -> OSError:
    """Return why a member was passed over."""
    try:
        container.read(name)
    except (ImageError, Malformed) as exc:
        return OSError(errno.EIO, str(exc))
    return OSError(errno.EIO, "it could be read the second time only; run again")


def _damaged(exc: Malformed) -> OSError:
    return OSError(errno.EIO, f"its archive is damaged: {exc}")
