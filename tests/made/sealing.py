"""Cache files changed as an attacker or another tool would: edited by h5py, their seals renewed afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from stackbone.cache.hdf5.seal import BLOCK_BYTES, Seal, parse_seal, sealed

LAYOUT = ("v110", "v110")


def seal_of(path: Path) -> Seal:
    """Return the seal of a file."""
    return parse_seal(memoryview(path.read_bytes())[:BLOCK_BYTES])


def reseal(path: Path, *, kind: str | None = None, version: int | None = None) -> None:
    """Give a file a seal that holds for its present bytes, at the place of the one that it has."""
    path.write_bytes(resealed(path.read_bytes(), kind=kind, version=version))


def resealed(content: bytes, *, kind: str | None = None, version: int | None = None) -> bytes:
    """Return a file's bytes with a seal that holds for them, at the place of the one that they have."""
    old = parse_seal(memoryview(content)[:BLOCK_BYTES])
    return sealed(kind or old.kind, version or old.version, content[BLOCK_BYTES:], old.start, old.length)


@contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """Yield a sealed file to be changed, and seal it again."""
    with h5py.File(path, "r+", libver=LAYOUT) as file:
        yield file
    reseal(path)


def write_fixed(file: h5py.File, name: str, text: str) -> None:
    """Add a root attribute as the format has it: a string of fixed length."""
    file.attrs.create(name, np.array(text.encode(), h5py.string_dtype("utf-8", max(1, len(text.encode())))))


@contextmanager
def unsealed(path: Path, attributes: Mapping[str, str]) -> Iterator[h5py.File]:
    """Yield a new file of format version 1, to be filled."""
    with h5py.File(path, "w", libver=LAYOUT) as file:
        for name, text in {"format_version": "1", **attributes}.items():
            write_fixed(file, name, text)
        yield file


def write_checked(file: h5py.File, name: str, values: object, *, rows: int = 2, **options: object) -> None:
    """Add a dataset as version 1 has it: in chunks of some rows, each with a Fletcher-32 checksum."""
    array = np.asarray(values)
    shape = array.shape[1:]
    options = {"fletcher32": True, **options}
    file.create_dataset(
        name, data=array, chunks=(min(rows, max(1, len(array))), *shape), maxshape=(None, *shape), **options
    )
