"""Files that appear whole or not at all, and folders that survive a loss of power."""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from stackbone.cache.errors import CacheError

try:
    import fcntl
except ImportError:  # Windows has no flock; there, only the age of a temporary file tells
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = ".writing-"
_ABANDONED_AFTER_S = 24 * 3600
_ATTEMPTS = 10


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write `content` to `path` so that a reader, or a crash at any moment, sees all of it or nothing.

    The bytes go to a sibling temporary file, which is fsynced and renamed; then the folder is fsynced. The
    writer holds a lock on the temporary file, so that `remove_abandoned` can tell it from a dead writer's.

    Raises
    ------
    CacheError
        If the folder is not writable or the disk is full. The temporary file is removed.
    """
    for attempts_left in reversed(range(_ATTEMPTS)):
        temporary = path.with_name(f"{_TEMPORARY}{uuid.uuid4()}")
        try:
            _write_and_rename(temporary, path, content)
            fsync_folder(path.parent)
        except BaseException as exc:
            with contextlib.suppress(OSError):
                temporary.unlink()
            # Someone who cannot see our lock (on another machine, or in the moment before we took it) cleaned it away.
            if isinstance(exc, FileNotFoundError) and attempts_left and path.parent.is_dir():
                continue
            if isinstance(exc, OSError):
                message = (
                    f"could not write {path}: {exc.strerror or exc}. What was committed before is kept. "
                    "Free space or make the folder writable, or name another (of the cache with --cache), and run again"
                )
                raise CacheError(message) from exc
            raise
        return


def _write_and_rename(temporary: Path, path: Path, content: bytes | memoryview) -> None:
    descriptor = _create_locked(temporary)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        _flush_to_disk(descriptor)
        if fcntl is not None:
            temporary.replace(path)  # while the lock says that we live
    finally:
        os.close(descriptor)
    if fcntl is None:
        temporary.replace(path)  # Windows renames closed files only


def _create_locked(temporary: Path) -> int:
    """Return the descriptor of a new file, with a lock that says that its writer lives."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(temporary, flags, 0o666)
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks: age decides there
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


@contextlib.contextmanager
def mark_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty file that lies in a folder meanwhile, for other machines to tell whether they see this folder.

    If this process dies, `remove_abandoned` removes it.

    Raises
    ------
    CacheError
        If it cannot be created.
    """
    mark = folder / f"{_TEMPORARY}{uuid.uuid4()}"
    try:
        descriptor = _create_locked(mark)
    except OSError as exc:
        message = f"could not write to {folder}: {exc.strerror or exc}. Free space or make it writable, and run again"
        raise CacheError(message) from exc
    try:
        yield mark
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            mark.unlink()


def _flush_to_disk(descriptor: int) -> None:
    """Call fsync, and on macOS also empty the drive's own cache, which fsync does not do there."""
    os.fsync(descriptor)
    if hasattr(fcntl, "F_FULLFSYNC"):
        with contextlib.suppress(OSError):  # network drives do not know it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


def make_folder(path: Path) -> None:
    """Create `path` and its parents, each entry fsynced into the folder above it.

    Raises
    ------
    CacheError
        If it cannot be created or is not a folder.
    """
    if os.path.isdir(path):
        return
    try:
        if path.parent != path:
            make_folder(path.parent)
        path.mkdir(exist_ok=True)
        fsync_folder(path.parent)
    except OSError as exc:
        message = f"could not create the folder {path}: {exc.strerror or exc}. Name another, or make room for it"
        raise CacheError(message) from exc


def fsync_folder(path: Path) -> None:
    """Make the folder's own entries durable, where the platform lets a folder be opened."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as exc:
        if exc.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):  # some network file systems fsync files only
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Wait for the folder's own lock and hold it, where the file system has locks.

    There is no lock file to clean up: the system frees the lock when its holder ends, however it ends.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_abandoned(folder: Path) -> int:
    """Remove the temporary files in `folder` whose writers are dead; return how many there were."""
    removed = 0
    for path in _temporary_files(folder):
        with contextlib.suppress(OSError):  # gone already, or not ours to remove: harmless where it lies
            removed += _remove_if_abandoned(path)
    return removed


def _temporary_files(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_TEMPORARY) and entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _remove_if_abandoned(path: Path) -> bool:
    """Remove a temporary file if no living writer holds its lock; where there are no locks, if it is a day old."""
    # Not O_RDONLY: NFS locks exclusively only what may be written. It may be a link or a pipe by now.
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if fcntl is None:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        if time.time() - os.fstat(descriptor).st_mtime < _ABANDONED_AFTER_S:
            return False
    finally:
        os.close(descriptor)
    path.unlink()
    return True
