"""A batch of corrected labels: one immutable file, so that two writers side by side lose nothing (see FORMAT.md)."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import CacheError, Malformed
from stackbone.cache.hdf5 import writing as hdf5
from stackbone.cache.hdf5.opening import open_checked
from stackbone.cache.hdf5.texts import read_texts, write_texts
from stackbone.cache.labels.forms import FORMS
from stackbone.cache.places.opened import side_by_side
from stackbone.cache.places.place import Place, files_in, look_afresh, make_room, remove, write_whole

FORMAT = "stackbone-corrections"
FOLDER = "corrections"
"""Of a cache: a folder for each dataset, by its name."""

_FILE = re.compile(r"\d{6}-[0-9a-f]{8}\.h5")
_DIGITS = 6
_MOST = 10**_DIGITS - 1
_TEXT_COLUMNS = ("path", "label", "was")
_LABEL_FORM = "label_form"
_REFILL = "`stackbone relabel TABLE` with the table that it came from, to correct its labels again"


@dataclass(frozen=True, eq=False)
class Batch:
    """Labels that one run of `relabel` corrected, a row for each file.

    Attributes
    ----------
    path
        n paths, as the dataset's index had them.
    label
        The corrected labels, as an index holds labels; ``""`` takes a label away.
    was
        The labels that the dataset's own listing had: a correction is of an image and of this label.
    image_sha256
        ``(n, 32) uint8``: an image is known by its bytes, wherever it moves.
    label_form
        As of the index.
    source
        Name of the table that they came from.
    created
        When, in UTC, ISO 8601; where two batches have one number, it tells which one is the later.
    """

    path: list[str]
    label: list[str]
    was: list[str]
    image_sha256: Digests
    label_form: str = ""
    source: str = ""
    created: str = ""

    def __len__(self) -> int:
        return len(self.path)


def batch_files(cache_root: Place, dataset: str) -> list[Place]:
    """Return the files of a dataset's corrections, by number; `read_batches` tells the order of those of one number."""
    folder = cache_root / FOLDER / dataset
    return [each for each in files_in(folder, "*.h5") if _FILE.fullmatch(each.name)]


def write_batch(cache_root: Place, dataset: str, batch: Batch) -> Place:
    """Commit corrections after those that are there; return their file.

    Raises
    ------
    CacheError
        If the cache cannot be written.
    """
    look_afresh(cache_root / FOLDER / dataset)  # the last of them may be another machine's
    last = batch_files(cache_root, dataset)[-1:]
    number = int(last[0].name[:_DIGITS]) + 1 if last else 1
    if number > _MOST:
        message = f"the dataset {dataset!r} has {_MOST:,} batches of corrections: correct its own labels instead"
        raise CacheError(message)
    with hdf5.build_in_memory(FORMAT) as (file, memory):
        hdf5.write_text(file, "name", dataset)
        hdf5.write_text(file, "source", batch.source)
        hdf5.write_text(file, "created", datetime.now(UTC).isoformat(timespec="milliseconds"))
        if batch.label_form:
            hdf5.write_text(file, _LABEL_FORM, batch.label_form)
        for name in _TEXT_COLUMNS:
            write_texts(file, name, dataset, getattr(batch, name))
        hdf5.write_column(file, "image_sha256", batch.image_sha256)
    path = cache_root / FOLDER / dataset / f"{number:0{_DIGITS}d}-{uuid.uuid4().hex[:8]}.h5"
    make_room(path.parent)
    write_whole(path, hdf5.sealed_image(FORMAT, memory), never_changes=True)
    return path


def read_batch(path: Place) -> Batch:
    """Read one batch.

    Raises
    ------
    FileNotFoundError
        If it is gone.
    CorruptFileError, NewerVersionError, CacheError
        As of `cache.hdf5.opening.open_checked`.
    """
    return read_with_version(path)[0]


def read_with_version(path: Place) -> tuple[Batch, int, int]:
    """Return a batch, the version of its file's format, and the file's size in bytes; errors as `read_batch`."""
    with open_checked(path, FORMAT, refill=_REFILL) as file:
        if file.text("name") != path.parent.name:
            message = f"it is of the dataset {file.text('name')!r}, not of {path.parent.name!r}"
            raise Malformed(message)
        digests = file.column("image_sha256", types="u1", columns=DIGEST_BYTES)
        columns = {name: file.column(name, types="S", may_inflate=True) for name in _TEXT_COLUMNS}
        if any(len(column) != len(digests) for column in columns.values()):
            message = "its columns are not of one length"
            raise Malformed(message)
        form = file.text(_LABEL_FORM) if file.has(_LABEL_FORM) else ""
        if form and form not in FORMS:
            message = f"its labels are of the form {form!r}, which this version of Stackbone does not know"
            raise Malformed(message)
        batch = Batch(
            **{name: read_texts(column) for name, column in columns.items()},
            image_sha256=digests.read(),
            label_form=form,
            source=file.text("source"),
            created=file.text("created"),
        )
        return batch, file.version, file.size


def read_batches(cache_root: Place, dataset: str) -> dict[Place, Batch]:
    """Return a dataset's corrections by their files, the earliest first: by number, by when they were made, by name.

    Errors as `read_batch`, but for a file that is gone.
    """
    read = side_by_side(batch_files(cache_root, dataset), _read_if_there)
    found = [(path, batch) for path, batch in read if batch is not None]
    return dict(sorted(found, key=lambda each: (each[0].name[:_DIGITS], each[1].created, each[0].name)))


def _read_if_there(path: Place) -> Batch | None:
    with suppress(FileNotFoundError):  # taken back meanwhile
        return read_batch(path)
    return None


def remove_batch(path: Place) -> None:
    """Remove a file of corrections, durably. Its folder stays: another `relabel` may be about to write into it.

    Raises
    ------
    FileNotFoundError
        If somebody else removed it.
    CacheError
        If the folder cannot be written.
    """
    remove(path)


def remove_batches(cache_root: Place, dataset: str) -> None:
    """Remove all corrections of a dataset, and their folder; errors as `remove_batch`, but for a file that is gone."""
    for path in batch_files(cache_root, dataset):
        with suppress(FileNotFoundError):  # taken back meanwhile
            remove_batch(path)
    with suppress(OSError):  # there is none, or another program's files are in it
        (cache_root / FOLDER / dataset).rmdir()
