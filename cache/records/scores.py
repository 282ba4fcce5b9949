"""Files of scores that `stack` computed before: a few arrays under a key, sealed (see FORMAT.md).

What is not exactly what `write_scores` writes is not there: nothing in such a file is executed, no size that it names
is believed before the file is known to have it, and the fit that follows replaces it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import CacheError, RemoteError
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.place import Place, files_in, make_room, write_whole

FORMAT = "stackbone-scores"
FORMAT_VERSION = 2
SUFFIX = ".scores"
UNFINISHED = ".training"
"""Of a file beside them that says how far a training has come whose scores are not there yet."""

Arrays = dict[str, NDArray[Any]]

_CHECKSUM = 32  # bytes of a SHA-256
_HEADER_BYTES = 65_536  # at most, its line end among them
_DTYPES: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float64": np.dtype("<f8"), "bool": np.dtype("?")}
_KEYS = {"format", "format_version", "key", "dataset", "feature_sets", "arrays", "warnings"}
_SOLVED_ON = "solved_on"  # only where it was no CPU, so that all other files are as they were
_MOST_AXES = 2
_MOST_WARNINGS = 20
_MOST_NAME = 200  # characters of a device's name


@dataclass(frozen=True, eq=False)
class KeptScores:
    """What a file of scores holds.

    Attributes
    ----------
    arrays
        By name.
    warnings
        What the fit that made them was warned of, a sentence each.
    solved_on
        The device that made them; empty for the CPU.
    """

    arrays: Arrays
    warnings: list[str]
    solved_on: str = ""


@dataclass(frozen=True)
class Origin:
    """What scores hang on, so that `forget` finds them.

    Attributes
    ----------
    dataset
        Whose labels were learnt.
    feature_sets
        Ids of those whose features were.
    """

    dataset: str
    feature_sets: tuple[str, ...]


def write_scores(
    folder: Place,
    key: str,
    origin: Origin,
    arrays: Mapping[str, NDArray[Any]],
    warnings: Sequence[str] = (),
    solved_on: str = "",
) -> Place:
    """Write arrays of at most two axes under a key, whole or not at all, and return the file.

    Parameters
    ----------
    folder
        Made if it is not there.
    key
        Of the fit: hexadecimal digits.
    origin
        What the scores hang on.
    arrays
        By name; float32, float64 or bool.
    warnings
        What the fit was warned of; the first twenty, and 500 characters of each, are kept.
    solved_on
        The device that made them, in words; empty for the CPU.

    Raises
    ------
    CacheError
        If the file cannot be written.
    """
    listed = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "key": key,
        "dataset": origin.dataset,
        "feature_sets": list(origin.feature_sets),
        "arrays": listed,
        "warnings": [text[:500] for text in warnings[:_MOST_WARNINGS]],
        **({_SOLVED_ON: solved_on[:_MOST_NAME]} if solved_on else {}),
    }
    line = json.dumps(header, sort_keys=True).encode() + b"\n"
    parts = [np.ascontiguousarray(each, _DTYPES[each.dtype.name]).tobytes() for each in arrays.values()]
    content = b"".join([line, *parts])
    make_room(folder)
    path = _path(folder, key)
    write_whole(path, hashlib.sha256(content).digest() + content, never_changes=True)  # but to what serves as well
    return path


def read_scores(folder: Place, key: str, most_bytes: int) -> KeptScores | None:
    """Return what was written under a key; None if nothing was, or what is there is not what was written.

    Parameters
    ----------
    folder, key
        As of `write_scores`.
    most_bytes
        That the arrays may have together; of a larger file nothing is read.
    """
    most = _CHECKSUM + _HEADER_BYTES + most_bytes
    found = _read(_path(folder, key), most + 1)
    if found is None or len(found) > most:
        return None
    content = found
    checksum, content = content[:_CHECKSUM], content[_CHECKSUM:]
    end = content.find(b"\n", 0, _HEADER_BYTES) + 1
    header = _parse(content[:end])
    if header is None or header["key"] != key or hashlib.sha256(content).digest() != checksum:
        return None
    arrays: Arrays = {}
    for name, dtype, shape in header["arrays"]:
        count, kind = math.prod(shape), _DTYPES[dtype]
        if name in arrays or count * kind.itemsize > len(content) - end:
            return None
        arrays[name] = np.frombuffer(content, kind, count, end).reshape(shape).copy()  # aligned
        end += count * kind.itemsize
    return KeptScores(arrays, header["warnings"], header.get(_SOLVED_ON, "")) if end == len(content) else None


def remove_scores(folder: Place, *, datasets: Collection[str] = (), feature_sets: Collection[str] = ()) -> int:
    """Remove the scores that hang on any of these, and files that nobody can use; return how many there were.

    Unfinished trainings do not say what they hang on: where anything is named, all of them go, and one that is running
    writes its own again.

    Raises
    ------
    CacheError
        If a file cannot be removed.
    """
    gone = [path for path in files_in(folder, f"*{SUFFIX}") if _hangs_on(path, datasets, feature_sets)]
    if datasets or feature_sets:
        gone += files_in(folder, f"*{UNFINISHED}")
    return sum(_remove(path) for path in gone)


def _hangs_on(path: Place, datasets: Collection[str], feature_sets: Collection[str]) -> bool:
    origin = _origin(path)
    return origin is None or origin.dataset in datasets or not set(feature_sets).isdisjoint(origin.feature_sets)


def _remove(path: Place) -> bool:
    """Remove a file, and return whether it was there."""
    try:
        path.unlink()
    except (FileNotFoundError, IsADirectoryError):  # gone already; not ours
        return False
    except RemoteError:
        raise
    except OSError as exc:
        message = f"could not remove {path}: {exc.strerror or exc}. Check the permissions of the folder"
        raise CacheError(message) from exc
    return True


def _origin(path: Place) -> Origin | None:
    """Return what a file says that its scores hang on; None if it is not a file of scores of this version."""
    found = _read(path, _CHECKSUM + _HEADER_BYTES)
    if found is None:
        return None
    head = found[_CHECKSUM:]
    header = _parse(head[: head.find(b"\n") + 1])
    return None if header is None else Origin(header["dataset"], tuple(header["feature_sets"]))


def _path(folder: Place, key: str) -> Place:
    return folder / f"{key}{SUFFIX}"


def _read(path: Place, most: int) -> bytes | None:
    """Return the first bytes of a regular file, at most so many; None for what is none, such as a link or a pipe.

    They are fewer where the file ends, or cannot be read further: the checksum tells.
    """
    if isinstance(path, ObjectPath):
        try:
            return path.read(0, most)
        except FileNotFoundError:
            return None
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return None
    try:
        return _read_regular(descriptor, most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _read_regular(descriptor: int, most: int) -> bytes:
    parts: list[bytes] = []
    with contextlib.suppress(OSError):  # a disk that fails
        while most > 0 and (part := os.read(descriptor, most)):
            parts.append(part)
            most -= len(part)
    return b"".join(parts)


def _parse(line: bytes) -> dict[str, Any] | None:
    """Return a header all of whose fields are of their kinds; else None."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or set(header) - {_SOLVED_ON} != _KEYS:
        return None
    texts = [header["key"], header["dataset"], header.get(_SOLVED_ON, "")]
    sound = (
        header["format"] == FORMAT
        and type(header["format_version"]) is int
        and header["format_version"] == FORMAT_VERSION
        and all(isinstance(text, str) for text in texts)
        and len(texts[-1]) <= _MOST_NAME
        and isinstance(header["warnings"], list)
        and len(header["warnings"]) <= _MOST_WARNINGS
        and all(isinstance(text, str) for text in header["warnings"])
        and isinstance(header["feature_sets"], list)
        and all(isinstance(each, str) for each in header["feature_sets"])
        and isinstance(header["arrays"], list)
        and all(_is_listed_array(each) for each in header["arrays"])
    )
    return header if sound else None


def _is_listed_array(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != 3:
        return False
    name, dtype, shape = entry
    return (
        isinstance(name, str)
        and isinstance(dtype, str)
        and dtype in _DTYPES
        and isinstance(shape, list)
        and len(shape) <= _MOST_AXES
        and all(type(length) is int and 0 <= length < 2**40 for length in shape)
    )
