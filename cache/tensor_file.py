"""Safetensors files with a header of our own: steerings, checkpoints of trainings, models. Reading one runs no code.

A file is read once and as a whole: what is parsed is what was hashed, and nothing is larger than the file itself. The
checksum in its header covers the rest of the header and every tensor. It tells damage, not an author.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.output_file import write_output
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.opened import read_place
from stackbone.cache.places.place import Place, write_whole

_MOST_BYTES = 64 << 30  # the largest networks of timm take a tenth of it
_LENGTH_BYTES = 8
_DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "U8": np.dtype("u1")}

Tensors = Mapping[str, NDArray[Any]]


def write_tensors(file: Place, tensors: Tensors, header: Mapping[str, str]) -> str:
    """Write a file whole or not at all.

    Equal tensors under an equal header of one entry give equal bytes; safetensors writes several entries in any order.

    Returns
    -------
    str
        SHA-256 (hex) of the file.

    Raises
    ------
    UsageError, CacheError
        As of `write_output`.
    """
    from safetensors.numpy import save

    content = save({name: np.asarray(array, order="C") for name, array in tensors.items()}, dict(header))
    if isinstance(file, ObjectPath):
        write_whole(file, content)
    else:
        write_output(file, content)
    return hashlib.sha256(content).hexdigest()


def read_content(file: str | os.PathLike[str] | ObjectPath) -> bytes:
    """Return all bytes of a regular file; OSError if there is none, or it is far too large."""
    return read_place(file, _MOST_BYTES)


def parse_tensors(content: bytes, types: Collection[str] = ("F32",)) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return the header of a safetensors file, and its tensors in the order of their names.

    Parameters
    ----------
    content
        All of its bytes.
    types
        Those that its tensors may have, of F16, F32 and U8.

    Raises
    ------
    ValueError
        If it is not a whole safetensors file, or has tensors of other types.
    """
    from safetensors import SafetensorError, deserialize

    read: Any = deserialize  # which has no types
    try:
        entries = read(content)  # proves the layout: no tensor reaches beyond the file or into another
    except SafetensorError as exc:
        message = f"it is not a whole safetensors file ({exc})"
        raise ValueError(message) from exc
    other = {name: entry["dtype"] for name, entry in entries if entry["dtype"] not in types}
    if other:
        message = (
            f"its tensors {sorted(other)} are of the types {sorted(set(other.values()))}, "
            f"the format has {' and '.join(types)}"
        )
        raise ValueError(message)
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length]).get("__metadata__") or {}
    return header, {
        name: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in sorted(entries, key=lambda each: str(each[0]))
    }


def checksum(texts: Iterable[str], tensors: Tensors, *, with_types: bool = False) -> str:
    """Return a SHA-256 (hex) over texts of a header, and name, shape and bytes of every tensor.

    Parameters
    ----------
    with_types
        Whether it covers the names of the tensors' types too.
    """
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(json.dumps([name, *([array.dtype.str] if with_types else []), array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def is_newer(version: object, known: int) -> bool:
    """Return whether a version in a header, a number or its text, is above the newest that is known."""
    if isinstance(version, str):
        is_number = version.isdecimal() and version.isascii() and len(version) < 10
        return is_number and int(version) > known
    return type(version) is int and version > known


def header_json(value: object) -> str:
    """Return JSON for a header, the same text for the same value.

    It is ASCII: class names may hold bytes of folder names that are not UTF-8, which safetensors would refuse.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)
