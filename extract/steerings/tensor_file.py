"""A safetensors file read once: what is parsed is what was hashed, and nothing is larger than the file itself."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.reading import read_regular

_MOST_BYTES = 64 << 30  # the largest networks of timm take a tenth of it
_LENGTH_BYTES = 8
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "U8": np.dtype("u1")}


def read_content(path: str | os.PathLike[str]) -> bytes:
    """Return all bytes of a regular file; OSError if there is none, or it is far too large."""
    return read_regular(path, _MOST_BYTES)


def parse_tensors(content: bytes, types: Collection[str] = ("F32",)) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return the metadata and the tensors of a safetensors file.

    Parameters
    ----------
    content
        All of its bytes.
    types
        Those that its tensors may have, of F32 and U8.

    Raises
    ------
    ValueError
        If it is no whole safetensors file, or has tensors of other types.
    """
    from safetensors import SafetensorError, deserialize

    try:
        entries: list[tuple[str, Any]] = deserialize(content)  # type: ignore[no-untyped-call]  # proves the header: no tensor reaches beyond the file or into another
    except SafetensorError as exc:
        message = f"it is no whole safetensors file ({exc})"
        raise ValueError(message) from exc
    if other := sorted({entry["dtype"] for _, entry in entries} - set(types)):
        message = f"it holds tensors of the types {other}, the format has {' and '.join(types)}"
        raise ValueError(message)
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    metadata = json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length]).get("__metadata__") or {}
    return metadata, {
        name: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"]) for name, entry in entries
    }
