"""HDF5 files built in memory, in the one layout that `cache.hdf5.structure` reads back, and sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import CacheError, Malformed
from stackbone.cache.hdf5.opening import FORMAT_VERSION, MAX_FILE_BYTES, MAX_TEXT_BYTES, read_memory
from stackbone.cache.hdf5.seal import BLOCK_BYTES, seal_of

_LAYOUT = ("v110", "v110")  # the same bytes from any HDF5 since 1.10
_CHUNK_BYTES = 1 << 20


@contextmanager
def build_in_memory(kind: str) -> Iterator[tuple[h5py.File, BytesIO]]:
    """Yield an HDF5 file of a kind and the memory it is written to; once it is closed, `sealed_image` takes both.

    Writing to disk is then one plain write, whose failure (a full disk) HDF5 never sees. Not by HDF5's own driver for
    memory: before HDF5 2.0 `H5Fget_file_image` spoils the checksum of this layout's superblock.
    """
    memory = BytesIO()
    with h5py.File(memory, "w", libver=_LAYOUT, userblock_size=BLOCK_BYTES) as file:
        write_text(file, "format", kind)
        write_text(file, "format_version", str(FORMAT_VERSION))
        yield file, memory


def place(file: h5py.File, name: str) -> tuple[int, int]:
    """Return where the values of a dataset in one piece lie in the file, and their bytes."""
    return file[name].id.get_offset(), file[name].id.get_storage_size()


def sealed_image(kind: str, memory: BytesIO, body: tuple[int, int] = (BLOCK_BYTES, 0)) -> memoryview:
    """Seal a file made by `build_in_memory` and closed since where it lies in memory, and return its bytes.

    Parameters
    ----------
    body
        The `place` that is sealed apart from all else, so that all else can be read without it.

    Raises
    ------
    CacheError
        If it is longer than a reader accepts, or the HDF5 library lays files out in a way that no reader knows.
    """
    content = memory.getbuffer()
    content[:BLOCK_BYTES] = seal_of(kind, FORMAT_VERSION, content[BLOCK_BYTES:], *body)
    if len(content) > MAX_FILE_BYTES:
        message = f"a cache file takes at most {MAX_FILE_BYTES:,} bytes, not {len(content):,}. Nothing was written"
        raise CacheError(message)
    try:
        read_memory(content, kind)
    except Malformed as exc:
        message = (
            f"HDF5 {h5py.version.hdf5_version} lays cache files out in a way that Stackbone would not read again "
            f"({exc}). Nothing was written. Install another version of h5py, and report this one"
        )
        raise CacheError(message) from exc
    return content


def write_column(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """Add a dataset in one piece."""
    file.create_dataset(name, data=values)


def write_compressed(file: h5py.File, name: str, values: NDArray[Any]) -> None:
    """Add a dataset and its values, compressed; see `create_compressed`."""
    create_compressed(file, name, len(values), values.dtype)[:] = values


def create_compressed(file: h5py.File, name: str, n_rows: int, dtype: np.dtype[Any]) -> h5py.Dataset:
    """Add a 1-D dataset in deflated chunks of about 1 MiB; return it to be filled."""
    rows = max(1, min(n_rows, _CHUNK_BYTES // max(1, dtype.itemsize)))
    return file.create_dataset(
        name,
        shape=(n_rows,),
        dtype=dtype,
        chunks=(rows,),
        maxshape=(None,),
        shuffle=True,
        compression="gzip",
        compression_opts=1,
    )


def write_text(file: h5py.File, name: str, text: str) -> None:
    """Add a root attribute as a fixed-length UTF-8 string.

    Raises
    ------
    CacheError
        If it is longer than a reader accepts.
    """
    content = text.encode("utf-8", "surrogateescape")
    if len(content) > MAX_TEXT_BYTES:
        message = (
            f"the {name} of a cache file takes at most {MAX_TEXT_BYTES:,} bytes, not {len(content):,} "
            f"({text[:60]!r}...). Nothing was written; shorten it"
        )
        raise CacheError(message)
    dtype = h5py.string_dtype("utf-8", max(1, len(content)))
    file.attrs.create(name, np.array(content, dtype=dtype))
