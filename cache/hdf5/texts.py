"""Columns of text, in file names' bytes as they come: fixed-length strings, written and read piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h5py
import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import CacheError
from stackbone.cache.hdf5.coded_texts import CodedTexts, Texts
from stackbone.cache.hdf5.column import Column
from stackbone.cache.hdf5.writing import create_compressed

_PIECE_BYTES = 4 << 20
_PIECE_ROWS = 1 << 16
_FEW = 1 << 16  # different texts, which cost little however few rows share them
_LEAST_ROWS_EACH = 1.25  # from which codes take less than the texts that they save


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


def write_texts(file: h5py.File, name: str, dataset: str, texts: Sequence[str]) -> None:
    """Write a column of texts of a dataset, as wide as the longest; errors as `encode_texts`."""
    if isinstance(texts, CodedTexts):
        used = set(texts.used())
        names = encode_texts(dataset, [each if code in used else "" for code, each in enumerate(texts.names)])

        def of_rows(rows: slice) -> NDArray[np.bytes_]:
            codes, row_of = np.unique(texts.codes[rows], return_inverse=True)
            return np.array([names[code] for code in codes.tolist()])[row_of]

        _write(file, name, len(texts), max(map(len, names), default=0), of_rows)
    else:
        # Encoded twice, for the width and piece by piece: of a million paths all together would take 100 MB.
        pieces = (
            encode_texts(dataset, texts[start : start + _PIECE_ROWS]) for start in range(0, len(texts), _PIECE_ROWS)
        )
        width = max((len(each) for piece in pieces for each in piece), default=0)
        _write(file, name, len(texts), width, lambda rows: np.array(encode_texts(dataset, texts[rows])))


def _write(file: h5py.File, name: str, n_rows: int, width: int, piece: Callable[[slice], NDArray[np.bytes_]]) -> None:
    dtype = h5py.string_dtype("utf-8", max(1, width))
    column = create_compressed(file, name, n_rows, dtype)
    # One long path makes every row as wide: whole chunks, but not all of them at once.
    rows = column.chunks[0] * max(1, _PIECE_BYTES // (column.chunks[0] * dtype.itemsize))
    for start in range(0, n_rows, rows):
        column[start : start + rows] = piece(slice(start, start + rows)).astype(dtype)


def read_texts(column: Column) -> list[str]:
    """Return a column of texts that differ; surrogates stand for bytes that are not UTF-8."""
    texts = [""] * len(column)
    start = 0
    for piece in column.pieces():
        texts[start : start + len(piece)] = [_decoded(content) for content in piece.tolist()]
        start += len(piece)
    return texts


def read_coded(column: Column) -> Texts:
    """Return a column of texts of which many are equal, as `CodedTexts`; as a list where nearly all differ."""
    known: dict[bytes, int] = {}
    codes = np.empty(len(column), np.uint32)
    start = 0
    for piece in column.pieces():
        # Equal texts come in runs, since images are listed folder by folder.
        starts = np.flatnonzero(np.concatenate([[True], piece[1:] != piece[:-1]])) if len(piece) else np.arange(0)
        numbers = [known.setdefault(content, len(known)) for content in piece[starts].tolist()]
        codes[start : start + len(piece)] = np.repeat(numbers, np.diff(starts, append=len(piece)))
        start += len(piece)
        if len(known) > max(_FEW, max(start, len(column) / 2) / _LEAST_ROWS_EACH):
            return read_texts(column)
    return CodedTexts([_decoded(content) for content in known], codes)


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
