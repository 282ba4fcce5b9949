"""The identity of an image: SHA-256 of its encoded bytes, remembered between runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from stat import S_ISREG
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.reading import open_regular, sha256_of
from stackbone.cache.errors import lost_server
from stackbone.cache.progress import Steps

DIGEST_BYTES = 32
_FILES_IN_FLIGHT = 1024  # bounds the memory that waiting tasks take on a million files
# A file changed again within its clock's tick keeps its time stamp, and the coarsest clock in use (FAT) ticks
# every 2 s. So a stamp that was younger than this when the file was hashed proves nothing later on.
_RACY_NS = 3_000_000_000

_Stamp = tuple[int, int, int, int]
_NO_STAMP: _Stamp = (-1, -1, -1, -1)

Digests = NDArray[np.uint8]
"""(n, 32) uint8, one SHA-256 a row; all zero where a file could not be read."""


def as_keys(digests: Digests) -> NDArray[np.bytes_]:
    """Return (n,) 32-byte keys that sort and compare as the digests do (no copy where rows are contiguous)."""
    return np.ascontiguousarray(digests).view(f"S{DIGEST_BYTES}").reshape(-1)


@dataclass(frozen=True)
class FileStamps:
    """What the file system says about files; equal stamps mean unchanged bytes.

    Attributes
    ----------
    values
        (n, 4) int64: size in bytes, modification and status-change times in nanoseconds, inode. A row that
        proves nothing (an unreadable file, or one that changed just before it was hashed) has size -1.
    """

    values: NDArray[np.int64]

    def unchanged(self, other: FileStamps) -> NDArray[np.bool_]:
        """Return (n,) bool: True where both rows prove that the bytes are the same."""
        proven: NDArray[np.bool_] = (self.values[:, 0] >= 0) & (self.values == other.values).all(axis=1)
        return proven

    def alike(self, now: FileStamps) -> NDArray[np.bool_]:
        """Return (n,) bool: True where nothing tells that the bytes are others now.

        More than `unchanged`: also where a file had changed just before it was hashed, and all else is as it was.
        """
        held = self.values[:, 0] >= 0
        same = self.values == now.values
        found: NDArray[np.bool_] = (now.values[:, 0] >= 0) & (same[:, 0] | ~held) & same[:, 1:].all(axis=1)
        return found


@dataclass(frozen=True)
class FileDigests:
    """Digests of a list of files, with what to remember for the next run.

    Attributes
    ----------
    digests
        (n, 32) uint8.
    stamps
        Their `FileStamps`.
    reasons
        ``""``, or why the file could not be read.
    n_hashed
        How many files were read; the others were remembered.
    """

    digests: Digests
    stamps: FileStamps
    reasons: list[str]
    n_hashed: int


class Inside(Protocol):
    """What knows images that lie inside files: many in each, with the stamps of that file."""

    def file_of(self, path: str) -> str:
        """Return the file that an image lies in; the same path of an image that is a file."""
        ...

    def digests(self, file: str, paths: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        """Yield the path of each image that is wanted of a file, with its SHA-256, or why it cannot be read."""
        ...

    def stamps(self, files: Sequence[str]) -> tuple[FileStamps, list[str]]:
        """Return the stamps of files as they are now, and for each ``""`` or why it has none."""
        ...

    def sha256(self, file: str) -> bytes:
        """Return the SHA-256 of an image that is a file of its own; `OSError` if it cannot be read."""
        ...

    def is_dated(self, file: str) -> bool:
        """Return whether time alone tells that a file changed, as on this machine, and no mark of its content."""
        ...


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sha256_file(path: str | os.PathLike[str]) -> bytes:
    """Return the SHA-256 of a file's bytes (32 bytes), read in blocks of 1 MiB."""
    with open_regular(path) as stream:
        return sha256_of(stream.fileno())


def list_digests(
    paths: Sequence[str],
    remembered: Mapping[str, int],
    old_digests: Digests,
    old_stamps: FileStamps,
    *,
    root: str = "",
    inside: Inside | None = None,
    on_progress: Steps | None = None,
) -> FileDigests:
    """Return the digests of `paths`, reading only files whose stamps changed since they were remembered.

    Parameters
    ----------
    paths
        Images to digest; those of one file that `inside` knows follow one another.
    remembered
        Row of each known path in `old_digests` and `old_stamps`.
    root
        Folder that `paths` are relative to.
    inside
        Knows images that are no files of their own; without it all are.
    on_progress
        Called with (files hashed, files to hash).
    """
    reasons = [""] * len(paths)
    started_ns = time.time_ns()
    files = paths if inside is None else list(map(inside.file_of, paths))
    if inside is None:
        stamps = _fill_stamps(files, reasons, root)
    else:
        found, reasons = inside.stamps(files)
        stamps = found.values
    digests = np.zeros((len(paths), DIGEST_BYTES), np.uint8)
    rows = np.fromiter((remembered.get(path, -1) for path in paths), np.int64, len(paths))
    known = np.flatnonzero(rows >= 0)
    same = FileStamps(old_stamps.values[rows[known]]).unchanged(FileStamps(stamps[known]))
    kept = known[same]
    digests[kept] = old_digests[rows[kept]]

    is_changed = ~np.fromiter(map(bool, reasons), np.bool_, len(reasons))
    is_changed[kept] = False
    to_hash = np.flatnonzero(is_changed)
    for done, (i, digest) in enumerate(_hash_all(paths, files, root, inside, to_hash, reasons), start=1):
        if digest:
            digests[i] = np.frombuffer(digest, np.uint8)
        else:
            stamps[i, 0] = -1  # or the next run would take the zero digest for the file's
        if on_progress:
            on_progress(done, len(to_hash))
    racy = to_hash[stamps[to_hash, 1:3].max(axis=1, initial=0) > started_ns - _RACY_NS]
    if inside is not None:
        dated = (not stamps[i, 3] or inside.is_dated(files[i]) for i in map(int, racy))
        racy = racy[np.fromiter(dated, np.bool_, len(racy))]
    stamps[racy, 0] = -1
    return FileDigests(digests, FileStamps(stamps), reasons, len(to_hash))


def read_stamps(files: Sequence[str], root: str = "") -> tuple[FileStamps, list[str]]:
    """Return the stamps of files as they are now, and for each ``""`` or why it has none."""
    reasons = [""] * len(files)
    return FileStamps(_fill_stamps(files, reasons, root)), reasons


def _fill_stamps(files: Sequence[str], reasons: list[str], root: str = "") -> NDArray[np.int64]:
    """Return the stamps of each file, (n, 4) int64; one that follows itself is asked for once."""
    stamps = np.empty((len(files), 4), np.int64)
    before, found, reason = None, _NO_STAMP, ""
    for start in range(0, len(files), _FILES_IN_FLIGHT):
        piece = []
        for i, file in enumerate(files[start : start + _FILES_IN_FLIGHT], start):
            if file != before:
                before = file
                found, reason = _stamp_of(os.path.join(root, file) if root else file)
            if reason:
                reasons[i] = reason
            piece.append(found)
        stamps[start : start + len(piece)] = _signed(piece)
    return stamps


def _stamp_of(path: str) -> tuple[_Stamp, str]:
    """Return the stamp of a file, and why there is none."""
    try:
        stat = os.stat(path)
    except (OSError, ValueError) as exc:  # ValueError: a name that no file can have
        return _NO_STAMP, getattr(exc, "strerror", None) or str(exc)
    if not S_ISREG(stat.st_mode):  # opening a pipe or a device would wait for ever
        return _NO_STAMP, "is not a regular file"
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino), ""


def _signed(stamps: list[_Stamp]) -> NDArray[np.int64]:
    """Return numbers as signed 64-bit ones of the same low bits: inodes are unsigned, years beyond 2262 do not fit."""
    try:
        return np.array(stamps, np.int64)
    except OverflowError:
        return np.array([[(each + (1 << 63)) % (1 << 64) - (1 << 63) for each in row] for row in stamps], np.int64)


def _hash_all(
    paths: Sequence[str],
    files: Sequence[str],
    root: str,
    inside: Inside | None,
    rows: NDArray[np.intp],
    reasons: list[str],
) -> Iterator[tuple[int, bytes]]:
    if inside is None:
        yield from _hash_files(paths, lambda path: sha256_file(os.path.join(root, path)), rows, reasons)
        return
    # Numbers one by one here and below: lists of a million take 40 MB.
    is_inside = np.fromiter((files[i] != paths[i] for i in map(int, rows)), np.bool_, len(rows))
    yield from _hash_files(paths, inside.sha256, rows[~is_inside], reasons)
    for file, own in groupby(map(int, rows[is_inside]), key=files.__getitem__):
        row_of = {paths[i]: i for i in own}
        for path, found in inside.digests(file, list(row_of)):
            i = row_of[path]
            if isinstance(found, str):
                reasons[i] = found
            yield i, b"" if isinstance(found, str) else found


def _hash_files(
    paths: Sequence[str], sha256: Callable[[str], bytes], rows: NDArray[np.intp], reasons: list[str]
) -> Iterator[tuple[int, bytes]]:
    def hash_one(i: int) -> tuple[int, bytes]:
        try:
            return i, sha256(paths[i])
        except OSError as exc:
            if lost_server(exc):  # no fault of the image's
                raise
            reasons[i] = exc.strerror or str(exc)
            return i, b""

    with ThreadPoolExecutor(max_workers=min(8, usable_cores() + 2)) as pool:
        for start in range(0, len(rows), _FILES_IN_FLIGHT):
            yield from pool.map(hash_one, rows[start : start + _FILES_IN_FLIGHT].tolist())
