"""Tables of images behind a URL; their paths are relative to its folder, or URLs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import BinaryIO

from stackbone.cache.errors import DatasetError, StackboneError
from stackbone.cache.remote.url import shown
from stackbone.extract.containers.opening import open_source
from stackbone.extract.datasets.columns.meaning import NOTES
from stackbone.extract.datasets.kind import Listing, Request
from stackbone.extract.datasets.kinds.table import gathered, read_cells
from stackbone.extract.datasets.remote.root import remote_root

_MOST_BYTES = 2 << 30


def list_table(request: Request, url: str, title: str) -> Listing:
    """List the images of a table behind a URL.

    Raises
    ------
    StackboneError
        As of `read_table`.
    """
    folder, _, name = url.rpartition("/")
    root = remote_root(folder)
    with tempfile.TemporaryDirectory(prefix="stackbone-") as place:
        file = Path(place) / name
        with open_source(url) as stream:
            file.write_bytes(copied(stream, shown(url)))
        try:
            cells = read_cells(file, request.columns)
            table = gathered(file, root, request.columns, cells)
        except StackboneError as exc:
            raise type(exc)(str(exc).replace(str(file), shown(url))) from exc
    notes = [*request.known.get(NOTES, ()), *table.notes]
    return Listing(title, root, table.entries, notes=notes, further=table.further, label_form=table.label_form)


def copied(stream: BinaryIO, name: str) -> bytes:
    """Return the bytes of a table; `DatasetError` if they are too many."""
    content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        msg = (
            f"The table {name!r} has more than {_MOST_BYTES >> 20:,} MiB. Expected fewer. Split it, or copy it to this "
            "machine."
        )
        raise DatasetError(msg)
    return content
