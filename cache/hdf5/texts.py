"""Columns of text, in file names' bytes as they come: fixed-length strings, written and read piece by piece."""

from __future__ import annotations

from collections.abc import Sequence

import h5py
import numpy as np

from stackbone.cache.errors import CacheError
from stackbone.cache.hdf5.column import Column
from stackbone.cache.hdf5.writing import create_compressed

_PIECE_BYTES = 16 << 20
_KNOWN = 4096


def encode_texts(dataset: str, texts: Sequence[str]) -> list[bytes]:
    """Return texts of a dataset as bytes.

    Raises
    ------
    CacheError
        If one is neither UTF-8 nor a file name.
    """
    # File names on Unix are bytes: those that are not UTF-8 go through unchanged.
    try:
        return [text.encode("utf-8", "surrogateescape") for text in texts]
    except UnicodeEncodeError as exc:
        message = (
            f"the dataset {dataset!r} has a text that is neither UTF-8 nor a file name: {exc.object!r}. Correct it"
        )
        raise CacheError(message) from exc


def write_texts(file: h5py.File, name: str, texts: Sequence[bytes]) -> None:
    """Write a column of texts, as wide as the longest."""
    dtype = h5py.string_dtype("utf-8", max(map(len, texts), default=1) or 1)
    column = create_compressed(file, name, len(texts), dtype)
    # One long path makes every row as wide: whole chunks, but not all of them at once.
    rows = column.chunks[0] * max(1, _PIECE_BYTES // (column.chunks[0] * dtype.itemsize))
    for start in range(0, len(texts), rows):
        column[start : start + rows] = np.array(texts[start : start + rows], dtype)


def read_texts(column: Column) -> list[str]:
    """Return a column of texts; surrogates stand for bytes that are not UTF-8."""
    texts: list[str] = []
    known: dict[bytes, str] = {}  # labels and their like repeat: one string each
    for piece in column.pieces():
        for content in piece.tolist():
            text = known.get(content)
            if text is None:
                text = content.decode("utf-8", "surrogateescape")
                if len(known) < _KNOWN:
                    known[content] = text
            texts.append(text)
    return texts
