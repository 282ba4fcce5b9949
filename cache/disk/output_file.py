"""Files that a user asks for by name, outside the cache: reports, models, results, predictions, figures, steerings."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from stackbone.cache.disk.files import make_folder, write_atomically
from stackbone.cache.errors import CacheError, UsageError
from stackbone.cache.text import typed

_OF_THE_SYSTEM = ("/dev", "/proc", "/sys")  # /dev/stdout is a link there, to a plain file when output is redirected


def check_output(file: Path) -> None:
    """Refuse a place where no file can be put: a folder, or a device or pipe, which a rename would replace.

    Raises
    ------
    UsageError
        If there is such a thing.
    """
    folder = os.path.realpath(file.parent)
    if _is_system(folder):
        message = f"{file} is a system file; choose a file in one of your own folders"
        raise UsageError(message)
    try:
        mode = os.stat(file).st_mode
    except OSError:
        return
    if stat.S_ISDIR(mode):
        message = f"{file} is a folder; name a file in it"
        raise UsageError(message)
    if not stat.S_ISREG(mode):
        message = f"{file} is a device or a pipe, and a file is written whole or not at all: name a plain file"
        raise UsageError(message)


def check_ending(option: str, file: Path, endings: Sequence[str]) -> None:
    """Raise `UsageError` unless a file that an option names has one of some endings, such as ``.csv``."""
    if file.suffix not in endings:
        allowed = " or ".join(endings)
        message = f"{option} writes {allowed}, and {typed(file)} has another ending: name a file that ends in {allowed}"
        raise UsageError(message)


def _is_system(folder: str) -> bool:
    return any(folder == top or folder.startswith(f"{top}/") for top in _OF_THE_SYSTEM) and (
        not folder.startswith("/dev/shm")  # a file system in memory, for anybody's files
    )


def write_output(file: Path, content: bytes | memoryview) -> None:
    """Write a file whole or not at all; a write that fails leaves what was there, and no draft.

    A link in the place of the file is replaced, and what it leads to stays as it is.

    Parameters
    ----------
    file
        Its folder is made if it is not there.
    content
        All of it.

    Raises
    ------
    UsageError
        If no file can be put there; see `check_output`.
    CacheError
        If the file cannot be written.
    """
    check_output(file)
    try:
        make_folder(file.absolute().parent)
        write_atomically(file, content)
    except (CacheError, OSError) as exc:
        cause = exc if isinstance(exc, OSError) else exc.__cause__
        reason = cause.strerror if isinstance(cause, OSError) else None
        message = (
            f"could not write {file}: {reason or exc}. What was there before is as it was. "
            "Free space, check the permissions of the folder, or name another file"
        )
        raise CacheError(message) from exc
