"""What one part of a run found out about images: one immutable file (see FORMAT.md)."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.errors import Malformed
from stackbone.cache.hdf5 import writing as hdf5
from stackbone.cache.hdf5.opening import open_checked
from stackbone.cache.hdf5.texts import read_texts, write_texts
from stackbone.cache.places.opened import side_by_side
from stackbone.cache.places.place import Place, files_in, look_afresh, make_room, remove, write_whole

FORMAT = "stackbone-findings"
FOLDER = "findings"
"""Of a cache: a folder for each dataset, by its name."""

READ, FAILED, UNREAD = 0, 1, 2
"""An image was embedded; its bytes cannot be; its file could not be read this time."""

_FILE = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}\.h5")
_TIME = "%Y%m%dT%H%M%S%f"
_TICK = timedelta(microseconds=1)
_MOST_REMEMBERED = 1 << 17


@dataclass(frozen=True)
class Finding:
    """What is known of an image.

    Attributes
    ----------
    status
        `READ`, `FAILED` or `UNREAD`.
    reason
        Why it failed; of one that was read what is to be known of how, or ``""``.
    """

    status: int
    reason: str = ""


def findings_files(cache_root: Place, dataset: str) -> list[Place]:
    """Return the files of a dataset's findings, the earliest first."""
    return [each for each in files_in(cache_root / FOLDER / dataset, "*.h5") if _FILE.fullmatch(each.name)]


def write_findings(cache_root: Place, dataset: str, findings: Mapping[bytes, Finding]) -> Place:
    """Commit what was found out about images, by their digests of 32 bytes, after what is there; return the file.

    Raises
    ------
    CacheError
        If the cache cannot be written.
    """
    with hdf5.build_in_memory(FORMAT) as (file, memory):
        hdf5.write_text(file, "name", dataset)
        write_texts(file, "reason", dataset, [each.reason for each in findings.values()])
        hdf5.write_column(file, "image_sha256", np.frombuffer(b"".join(findings), np.uint8).reshape(-1, DIGEST_BYTES))
        hdf5.write_compressed(file, "status", np.array([each.status for each in findings.values()], np.uint8))
    folder = cache_root / FOLDER / dataset
    make_room(folder)
    look_afresh(folder)  # the last file may be another machine's
    path = folder / f"{_time_after(findings_files(cache_root, dataset)):{_TIME}}-{uuid.uuid4().hex[:8]}.h5"
    write_whole(path, hdf5.sealed_image(FORMAT, memory), never_changes=True)
    return path


def _time_after(files: Sequence[Place]) -> datetime:
    """Return the time that the next file is named by: now, or later where the last was written by a clock ahead."""
    now = datetime.now(UTC)
    for path in reversed(files):
        with suppress(ValueError, OverflowError):  # digits that are no time, as no writer names a file
            return max(now, datetime.strptime(path.name.partition("-")[0], _TIME).replace(tzinfo=UTC) + _TICK)
    return now


def read_with_version(path: Place) -> tuple[dict[bytes, Finding], int, int]:
    """Return the findings of a file by digest, the version of its format, and its size in bytes.

    Raises
    ------
    FileNotFoundError
        If it is gone.
    CorruptFileError, NewerVersionError, CacheError
        As of `cache.hdf5.opening.open_checked`.
    """
    with open_checked(path, FORMAT) as file:
        if file.text("name") != path.parent.name:
            message = f"it is of the dataset {file.text('name')!r}, not of {path.parent.name!r}"
            raise Malformed(message)
        digests = file.column("image_sha256", types="u1", columns=DIGEST_BYTES)
        status = file.column("status", types="u1", may_inflate=True)
        reason = file.column("reason", types="S", may_inflate=True)
        if not len(digests) == len(status) == len(reason):
            message = "its columns are not of one length"
            raise Malformed(message)
        codes = status.read()
        if len(codes) and codes.max() > UNREAD:
            message = f"an image has the status {codes.max()}, which this version of Stackbone does not know"
            raise Malformed(message)
        rows = zip(digests.read(), codes.tolist(), read_texts(reason), strict=True)
        return {digest.tobytes(): Finding(code, text) for digest, code, text in rows}, file.version, file.size


@dataclass
class _Remembered:
    """What a process has read lately: files of findings never change."""

    _read: dict[Place, dict[bytes, Finding]] = field(default_factory=dict)
    _n_findings: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, path: Place) -> dict[bytes, Finding]:
        """Return the findings of a file, none if it is gone; other errors as `read_with_version`."""
        with self._lock:
            if path in self._read:
                return self._read[path]
        try:
            found = read_with_version(path)[0]
        except FileNotFoundError:  # in the index by now
            return {}
        with self._lock:
            if path not in self._read and len(found) <= _MOST_REMEMBERED:
                while self._n_findings + len(found) > _MOST_REMEMBERED:  # the latest goes: see `cache.places.heads`
                    self._n_findings -= len(self._read.popitem()[1])
                self._read[path] = found
                self._n_findings += len(found)
        return found


_REMEMBERED = _Remembered()


def read_findings(cache_root: Place, dataset: str) -> dict[bytes, Finding]:
    """Return what parts of runs found out about a dataset's images, by digest: of each image what was found last.

    Errors as `read_with_version`, but for a file that is gone.
    """
    found: dict[bytes, Finding] = {}
    for _, each in side_by_side(findings_files(cache_root, dataset), _REMEMBERED.of):
        found |= each
    return found


def remove_findings(files: Sequence[Place]) -> None:
    """Remove files of findings, durably; errors as `cache.places.place.remove`, but for a file that is gone."""
    for _ in side_by_side(files, _remove_if_there):
        pass


def _remove_if_there(path: Place) -> None:
    with suppress(FileNotFoundError):  # another run took them into the index, too
        remove(path)


def forget_findings(cache_root: Place, dataset: str) -> None:
    """Remove all findings of a dataset, and their folder; errors as `remove_findings`."""
    remove_findings(findings_files(cache_root, dataset))
    with suppress(OSError):  # there is none, or another program's files are in it
        (cache_root / FOLDER / dataset).rmdir()
