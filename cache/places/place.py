"""A folder of this machine or one on an object store: a cache's files are written, removed and locked the same way."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from stackbone.cache.disk.files import fsync_folder, lock_folder, make_folder, remove_abandoned, write_atomically
from stackbone.cache.errors import CacheError, RemoteError, UsageError
from stackbone.cache.places.listings import LISTINGS
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.remote.listing import RemoteEntry
from stackbone.cache.remote.url import is_chain, is_url, protocol_of, shown

Place = Path | ObjectPath
"""Of a cache, or of a file in it."""

Seen = RemoteEntry | tuple[int, ...]
"""What a server, or the system, says of a file."""

_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # what `Path` leaves of "s3://"


def place_of(name: str | os.PathLike[str] | ObjectPath) -> Place:
    """Return the place that a name stands for: a folder's path, or a URL.

    Raises
    ------
    UsageError
        If it is a URL that lost a slash, as one does that is made a `Path`; if it is URLs one within another, or that
        of a file of another machine.
    """
    if isinstance(name, ObjectPath):
        return name
    if isinstance(name, str) and is_chain(name):
        message = f"{shown(name)} is one URL within another. Give the last one alone: nothing is kept between"
        raise UsageError(message)
    if isinstance(name, str) and is_url(name):
        return _folder_of(name) if protocol_of(name) in ("file", "local") else ObjectPath(name)
    path = Path(name)
    first = name.split("/")[0] if isinstance(name, str) else path.parts[0] if path.parts else ""
    if _COLLAPSED.fullmatch(first) and not path.exists():
        found, way_out = "is a URL with one slash", f"Type both of them; a folder of this name is ./{shown(str(name))}"
        if not isinstance(name, str):
            found, way_out = "was a URL before it was a Path, which drops one of its slashes", "Give the URL as text"
        message = f"{shown(str(path))} {found}. {way_out}"
        raise UsageError(message)
    return path


def _folder_of(url: str) -> Path:
    """Return the folder of this machine that a URL names."""
    host, slash, rest = url.split("://", 1)[1].partition("/")
    if host not in ("", "localhost", ".", "..") and slash:
        message = f"{shown(url)} is a file of the machine {shown(host)!r}. Give its path here, or file:///FOLDER"
        raise UsageError(message)
    from urllib.request import url2pathname  # which takes its time

    return Path(url2pathname(f"/{rest}" if host == "localhost" else f"{host}{slash}{rest}"))


def files_in(folder: Place, pattern: str) -> list[Place]:
    """Return the files below a folder whose names fit a pattern, such as ``*.h5`` or ``*/*.h5``, by name."""
    return sorted(folder.glob(pattern))


def is_there(place: Place) -> bool:
    """Return whether something is at a place, be it a link that leads nowhere."""
    return place.exists() if isinstance(place, ObjectPath) else os.path.lexists(place)


def modified_ns(place: Place) -> int:
    """Return when a file was written; of a link to nowhere or in a ring, which reading it will name, the link."""
    if isinstance(place, ObjectPath):
        return place.entry().modified_ns
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return place.lstat().st_mtime_ns


def bytes_free(place: Place) -> int | None:
    """Return how many bytes the disk of a place has free; None of an object store, which does not say."""
    if isinstance(place, ObjectPath):
        return None
    return shutil.disk_usage(next(each for each in (place, *place.absolute().parents) if each.exists())).free


def make_room(folder: Place) -> None:
    """Create a folder where folders are made at all; errors as `make_folder`."""
    if not isinstance(folder, ObjectPath):
        make_folder(folder)


def write_whole(place: Place, content: bytes | memoryview, *, never_changes: bool = False) -> None:
    """Write a file so that a reader, or a crash at any moment, sees all of it or what was there before.

    On an object store that is one put: the server shows an object once all of it has arrived.

    Parameters
    ----------
    never_changes
        Whether nobody writes other bytes under this name; see `put_object`.

    Raises
    ------
    CacheError
        If it cannot be written.
    """
    if isinstance(place, ObjectPath):
        with _told_by_the_cache():
            place.put(bytes(content), never_changes=never_changes)
    else:
        write_atomically(place, content)


def remove(place: Place) -> None:
    """Remove a file, durably.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    CacheError
        If it cannot be removed.
    """
    try:
        with _told_by_the_cache():
            place.unlink()
        with suppress(FileNotFoundError):  # the folder too, meanwhile
            sync_folder(place.parent)
    except FileNotFoundError:
        raise
    except OSError as exc:
        message = f"could not remove {place}: {exc.strerror or exc}. Check its permissions and run again"
        raise CacheError(message) from exc


def sync_folder(folder: Place) -> None:
    """Make what was removed from a folder, or renamed in it, durable, where that is not so at once."""
    if not isinstance(folder, ObjectPath):
        fsync_folder(folder)


def look_afresh(folder: Place) -> None:
    """Forget what is remembered of a folder and of all below it, before anything that removes what nobody lists."""
    if isinstance(folder, ObjectPath):
        LISTINGS.outdate_below(folder.url)


def seen_at(place: Place) -> Seen:
    """Return what is said of a file, or a link, and changes when it is written; FileNotFoundError if it is gone."""
    if isinstance(place, ObjectPath):
        return place.stat()
    found = place.lstat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def move(place: Place, target: Place, seen: Seen) -> bool:
    """Give a file another name in the same cache, durably; at every moment it has one of them at least.

    Parameters
    ----------
    target
        A name that nobody else writes.
    seen
        What `seen_at` said of it, before it was found to be what is to be moved.

    Returns
    -------
    bool
        Whether it was moved. Where others have written it since it was seen, all is left as it is.

    Raises
    ------
    OSError, CacheError
        If it cannot be moved, or is gone.
    """
    if isinstance(place, ObjectPath):
        return place.rename(cast(ObjectPath, target), cast(RemoteEntry, seen))
    if seen_at(place) != seen:
        return False
    make_room(target.parent)
    place.rename(cast(Path, target))
    sync_folder(target.parent)
    sync_folder(place.parent)
    return True


@contextmanager
def locked(folder: Place) -> Iterator[None]:
    """Hold the folder's lock, where there is one. Nothing depends on it: it saves two from doing the same work."""
    if isinstance(folder, ObjectPath):
        yield
        return
    with lock_folder(folder):
        yield


def remove_left_over(folder: Place) -> int:
    """Remove temporary files of dead writers, and return how many there were; an object store has none."""
    return 0 if isinstance(folder, ObjectPath) else remove_abandoned(folder)


@contextmanager
def _told_by_the_cache() -> Iterator[None]:
    try:
        yield
    except RemoteError as exc:
        raise CacheError(str(exc)) from exc
