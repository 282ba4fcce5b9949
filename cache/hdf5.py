"""HDF5 files built in memory and read with suspicion.

Reading trusts nothing that a file says about itself: links must be plain, layouts must be chunked and inside the
file, filters must be the ones the format names, and no more memory is allocated than the file's size warrants.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from stat import S_ISREG
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cache.errors import CacheError, CorruptFileError, NewerVersionError

_MAX_ATTRIBUTE_BYTES = 60_000  # what an HDF5 object header holds; a longer attribute is none of ours
_MAX_ATTRIBUTES_BYTES = 16 << 20  # of all attributes together; HDF5 loads one whole before its size can be asked
_MAX_CHUNK_BYTES = 64 << 20
_MAX_INFLATION = 1100  # deflate cannot shrink data by more than 1032:1
_PLAIN_FILTERS = {h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_FILTERS = _PLAIN_FILTERS | {h5py.h5z.FILTER_DEFLATE}
# Files of the 1.10 layout carry a checksum in every piece of metadata; older layouts do not.
_LAYOUT = ("v110", "v110")
_SUPERBLOCK = 3


@contextmanager
def build_in_memory() -> Iterator[tuple[h5py.File, BytesIO]]:
    """Yield an HDF5 file and the memory that it is written to, which holds all its bytes once it is closed.

    Writing to disk is then one plain write, whose failure (a full disk) HDF5 never sees. Not by HDF5's own driver for
    memory: before HDF5 2.0 `H5Fget_file_image` spoils the checksum of this layout's superblock.
    """
    memory = BytesIO()
    with h5py.File(memory, "w", libver=_LAYOUT) as file:
        yield file, memory


def write_column(file: h5py.File, name: str, values: NDArray[Any], *, compress: bool) -> None:
    """Add a dataset and its values; see `create_column`."""
    create_column(file, name, values.shape, values.dtype, compress=compress)[:] = values


def create_column(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], *, compress: bool
) -> h5py.Dataset:
    """Add a dataset, chunked to about 1 MiB and with a Fletcher-32 checksum per chunk; return it to be filled."""
    row_bytes = max(1, dtype.itemsize * int(np.prod(shape[1:])))
    rows = max(1, min(shape[0], (1 << 20) // row_bytes))
    return file.create_dataset(
        name,
        shape=shape,
        dtype=dtype,
        chunks=(rows, *shape[1:]),
        maxshape=(None, *shape[1:]),
        fletcher32=True,
        shuffle=compress,
        compression="gzip" if compress else None,
        compression_opts=1 if compress else None,
    )


def write_text(file: h5py.File, name: str, text: str) -> None:
    """Add a root attribute as a fixed-length UTF-8 string.

    Raises
    ------
    CacheError
        If it is longer than a reader accepts.
    """
    content = text.encode("utf-8", "surrogateescape")
    if len(content) > _MAX_ATTRIBUTE_BYTES:
        message = (
            f"the {name} of a cache file takes at most {_MAX_ATTRIBUTE_BYTES:,} bytes, not {len(content):,} "
            f"({text[:60]!r}...). Nothing was written; shorten it"
        )
        raise CacheError(message)
    dtype = h5py.string_dtype("utf-8", max(1, len(content)))
    file.attrs.create(name, np.array(content, dtype=dtype))


@contextmanager
def open_checked(path: Path, kind: str, version: int) -> Iterator[h5py.File]:
    """Open a file of the cache, after a look at its kind and version.

    Raises
    ------
    CorruptFileError
        If it is no HDF5 file, is damaged, or is of another kind or version. Errors of the HDF5 library while
        the file is open are translated too.
    NewerVersionError
        If a newer Stackbone wrote it.
    CacheError
        If the system could not read it: no permission, a failing disk or network.
    FileNotFoundError
        If it is gone.
    """
    try:
        _check_regular(path)
        with h5py.File(path, "r", locking=False) as file:
            _check_layout(file)
            found = read_text(file, "format")
            if found != kind:
                message = f"its format is {found!r}, not {kind!r}"
                raise _Refused(message)
            found_version = read_text(file, "format_version")
            if found_version.isdecimal() and int(found_version) > version:
                message = (
                    f"{path} was written by a newer Stackbone: its format version is {found_version}, this one reads "
                    f"{version}. Upgrade with `pip install -U stackbone`, or name another cache with --cache"
                )
                raise NewerVersionError(message)
            if found_version != str(version):
                message = f"its format version is {found_version!r}, not {version}"
                raise _Refused(message)
            yield file
    except FileNotFoundError:
        raise
    except PermissionError as exc:
        message = f"{path} may not be read by this user. Make it readable, or name another cache with --cache"
        raise CacheError(message) from exc
    except _Refused as exc:
        raise CorruptFileError(corrupt_message(path, str(exc))) from exc
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError) as exc:
        if not path.exists():  # HDF5 has other words for a file that went while it was opened
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from exc
        if isinstance(exc, OSError) and exc.errno:
            message = (
                f"could not read {path}: {os.strerror(exc.errno)}. The file itself may be sound. "
                "See to its permissions, its disk or its network, and run again"
            )
            raise CacheError(message) from exc
        raise CorruptFileError(corrupt_message(path, f"HDF5 could not read it ({exc})")) from exc


def _check_regular(path: Path) -> None:
    """Refuse what could block on opening, and a link to nowhere, which no writer will bring back."""
    try:
        regular = S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        if path.is_symlink():
            message = "it is a link to a file that does not exist"
            raise _Refused(message) from None
        raise
    if not regular:
        message = "it is not a regular file"
        raise _Refused(message)


def _check_layout(file: h5py.File) -> None:
    version = file.id.get_create_plist().get_version()[0]
    if version != _SUPERBLOCK:
        message = f"its superblock has version {version}, not {_SUPERBLOCK}, so its metadata has no checksums"
        raise _Refused(message)
    size = h5py.h5o.get_info(file.id).meta_size.attr.heap_size
    if size > _MAX_ATTRIBUTES_BYTES:
        message = f"its attributes take {size:,} bytes, more than {_MAX_ATTRIBUTES_BYTES:,}"
        raise _Refused(message)


def corrupt_message(path: Path, found: str) -> str:
    """Return the error text for a damaged file: what, where, and the next step."""
    return (
        f"{path} is not a sound cache file: {found}. Nothing was read from it. "
        "Run `stackbone verify --repair` to set it aside, then `stackbone extract` to refill what it held"
    )


def read_text(file: h5py.File, name: str) -> str:
    """Return a root attribute written by `write_text`, refusing any other kind before reading it."""
    key = name.encode()
    if not h5py.h5a.exists(file.id, key):
        message = f"it lacks the attribute {name!r}"
        raise _Refused(message)
    attribute = h5py.h5a.open(file.id, key)
    dtype = attribute.dtype
    if attribute.shape != () or dtype.kind != "S" or dtype.itemsize > _MAX_ATTRIBUTE_BYTES:
        message = (
            f"the attribute {name!r} is no fixed-length string of at most {_MAX_ATTRIBUTE_BYTES:,} bytes "
            f"(type {dtype}, shape {attribute.shape})"
        )
        raise _Refused(message)
    content = np.zeros((), dtype)
    attribute.read(content)
    return bytes(content[()]).decode("utf-8", "surrogateescape")


def checked_column(
    file: h5py.File, name: str, *, types: str, columns: int | None = None, compressed: bool = False
) -> h5py.Dataset:
    """Return a dataset whose declaration is plausible; nothing of its content is read.

    Parameters
    ----------
    types
        Allowed NumPy types, such as ``"f2 f4"``; ``"S"`` allows strings of any length.
    columns
        Expected second dimension; None for a 1-D dataset, -1 for any but 0.
    compressed
        Whether deflate is allowed, so that reading may take far more memory than the file's size.
    """
    key = name.encode()
    if not file.id.links.exists(key):
        message = f"it lacks the dataset {name!r}"
        raise _Refused(message)
    if file.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        message = f"{name!r} is a link to elsewhere; the format allows datasets of the file itself only"
        raise _Refused(message)
    dataset = file[name]
    problem = _implausible(dataset, types, columns, _FILTERS if compressed else _PLAIN_FILTERS)
    if problem:
        message = f"the dataset {name!r} {problem}"
        raise _Refused(message)
    return dataset


def _implausible(dataset: Any, types: str, columns: int | None, allowed: set[int]) -> str:  # noqa: ANN401 - any object
    if not isinstance(dataset, h5py.Dataset):
        return "is a group"
    if not {dataset.dtype.kind, dataset.dtype.str[1:]} & set(types.split()):
        return f"has type {dataset.dtype}"
    if len(dataset.shape) != (1 if columns is None else 2) or not _is_width(dataset.shape, columns):
        return f"has shape {dataset.shape}"
    if dataset.is_virtual or dataset.external or dataset.chunks is None:
        return "is not stored in chunks inside the file"
    properties = dataset.id.get_create_plist()
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if not filters <= allowed:
        return f"uses filters that the format does not allow here ({sorted(filters - allowed)})"
    if h5py.h5z.FILTER_FLETCHER32 not in filters:
        return "has no checksums"
    if int(np.prod(dataset.chunks, dtype=object)) * dataset.dtype.itemsize > _MAX_CHUNK_BYTES:
        return f"has chunks of {dataset.chunks}, over {_MAX_CHUNK_BYTES >> 20} MiB"
    declared = int(np.prod(dataset.shape, dtype=object)) * dataset.dtype.itemsize
    stored = min(dataset.id.get_storage_size(), dataset.file.id.get_filesize())  # its chunks could share bytes
    inflation = _MAX_INFLATION if h5py.h5z.FILTER_DEFLATE in filters else 1
    if declared > stored * inflation:
        return f"declares {declared:,} bytes and stores {stored:,}"
    return ""


def _is_width(shape: tuple[int, ...], columns: int | None) -> bool:
    return columns is None or (shape[1] > 0 if columns < 0 else shape[1] == columns)


class _Refused(Exception):
    pass
