"""A table of images, opened by its name; what is wrong with it, said with its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from stackbone.cache.errors import DatasetError, Malformed, lost_server
from stackbone.cache.text import typed
from stackbone.extract.containers.kinds.arrow import ArrowRows
from stackbone.extract.containers.kinds.parquet import ParquetRows
from stackbone.extract.containers.opening import open_source
from stackbone.extract.containers.rows import Rows
from stackbone.extract.datasets.columns.layout import ARROW

_POINTER = b"version https://git-lfs"


@contextmanager
def opened(root: Path, path: str) -> Iterator[Rows]:
    """Give an open table, and close it.

    Parameters
    ----------
    root, path
        Where it lies.

    Raises
    ------
    DatasetError
        If it cannot be read or is damaged, also of what happens while it is open.
    StackboneError
        If pyarrow is not installed.
    """
    place = os.path.join(root, path)
    try:
        stream = open_source(place)
        try:
            rows: Rows = (ArrowRows if path.lower().endswith(ARROW) else ParquetRows)(stream, place)
        except BaseException:
            stream.close()
            raise
        try:
            yield rows
        finally:
            rows.close()
    except Malformed as exc:
        raise DatasetError(_damaged(place, path, str(exc))) from exc
    except OSError as exc:
        if lost_server(exc):  # no fault of the table's
            raise
        msg = (
            f"Cannot read {place!r}: {exc.strerror or exc}. Expected a readable table. Check the file and its "
            "permissions, or write it again."
        )
        raise DatasetError(msg) from exc


def _damaged(place: str, path: str, what: str) -> str:
    form = "Arrow" if path.lower().endswith(ARROW) else "Parquet"
    with suppress(OSError), open_source(place) as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            return (
                f"The file {place!r} is the pointer that Git LFS keeps of a file, and not the file. Expected {form}. "
                f"Run `git lfs pull` in {os.path.dirname(place)!r}."
            )
    return (
        f"The file {place!r} is not a complete {form} file: {what.rstrip('.')}. Expected a table written by {form}. "
        f"Write or download it again, or leave it out of its folder's dataset: --exclude {typed('./' + path)}"
    )
