"""What a steering saw: the images behind a feature set that was made with labels (see FORMAT.md)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests
from stackbone.cache.errors import CacheError, CorruptFileError, Malformed
from stackbone.cache.hdf5 import writing as hdf5
from stackbone.cache.hdf5.opening import FORMAT_VERSION, CacheFile, corrupt_message, open_checked
from stackbone.cache.places.place import Place, make_room, write_whole
from stackbone.cache.records.division import parse_division
from stackbone.cache.text import counted

FORMAT = "stackbone-seen"
FILE = "seen.h5"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")
_SEEDS = 1 << 63
_DESCRIBED = {"method", "stage", "backbone", "recipe", "division", "seed"}


@dataclass(frozen=True, eq=False)
class SeenRecord:
    """The images whose labels made a steering: to score its features on any of them would be to cheat.

    Attributes
    ----------
    steering
        SHA-256 (hex) of the steering file, as `FeatureSpec.steering`.
    digests
        (n, 32) uint8, sorted and distinct: every image whose label the steering saw, those of pre-tuning and of its
        validation part included.
    description
        JSON-able, for people and for choosing among steerings: ``method``, ``stage``, ``backbone`` (the plain one's
        name), ``recipe`` (one for the steerings of all folds of a run), ``division`` (which part of a dataset it was
        trained on, or None), ``seed``; and what else its writer says.
    """

    steering: str
    digests: Digests
    description: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object, the images as their number."""
        return {"steering": self.steering, "n_images": len(self.digests), **self.description}

    def line(self) -> str:
        """Return one sentence for people."""
        about, division = self.description, self.description["division"] or {}
        shown = [key for key in ("split", "plan", "column", "cv", "fold", "inner", "seed") if key in division]
        part = ", ".join(f"{key} {division[key]}" for key in shown) or "everything"
        return (
            f"steered by {about['method']} of {about['backbone']} (stage {about['stage']}), "
            f"which saw the labels of {counted(len(self.digests), 'image')} ({part})"
        )


def write_seen(folder: Place, record: SeenRecord) -> None:
    """Write the record of a feature set; where the same one is there already, do nothing.

    A writer of steered features calls this before it commits the first shard, so that a crash may leave a record
    without features, never features without their record. A damaged record is replaced.

    Raises
    ------
    CacheError
        If the digests are not (n, 32) uint8, or the file cannot be written.
    NewerVersionError
        If a newer Stackbone wrote the record that is there.
    """
    if record.digests.dtype != np.uint8 or record.digests.shape[1:] != (DIGEST_BYTES,):
        message = f"a record takes (n, 32) uint8 digests, not {record.digests.shape} {record.digests.dtype}"
        raise CacheError(message)
    digests = np.unique(record.digests, axis=0)
    path = folder / FILE
    if _holds(path, SeenRecord(record.steering, digests, record.description)):
        return
    with hdf5.build_in_memory(FORMAT) as (file, memory):
        hdf5.write_text(file, "steering", record.steering)
        hdf5.write_text(file, "description", _as_json(record.description))
        hdf5.write_column(file, "image_sha256", digests)
    content = hdf5.sealed_image(FORMAT, memory)
    make_room(folder)
    write_whole(path, content)


def read_seen(folder: Place, steering: str) -> SeenRecord:
    """Return the record of a feature set whose steering file has the SHA-256 `steering`.

    Raises
    ------
    CacheError
        If there is none.
    CorruptFileError
        If it is damaged, or of another steering.
    NewerVersionError
        If a newer Stackbone wrote it.
    """
    path = folder / FILE
    way_out = (
        f"Run `stackbone extract` with --steering and the file of SHA-256 {steering[:12]}...: it writes {FILE} again"
    )
    try:
        record = load_record(path)
    except FileNotFoundError as exc:
        message = (
            f"the feature set {folder.name} in {folder.parent} was made by a steered backbone and has no {FILE}, the "
            f"record of the images that the steering saw, so no score on its features can be trusted. {way_out}"
        )
        raise CacheError(message) from exc
    except CorruptFileError as exc:
        message = f"{exc}. {way_out}"
        raise CorruptFileError(message) from exc
    if record.steering != steering:
        found = f"it is the record of the steering {record.steering[:12]}..., the features' is {steering[:12]}..."
        message = f"{corrupt_message(path, found)}. {way_out}"
        raise CorruptFileError(message)
    return record


def load_record(path: Place) -> SeenRecord:
    """Return the record in a file, whatever steering it is of.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CorruptFileError, NewerVersionError, CacheError
        As of `read_seen`.
    """
    return load_with_version(path)[0]


def load_with_version(path: Place) -> tuple[SeenRecord, int, int]:
    """Return the record in a file, the version of its format, and its size in bytes; errors as `load_record`."""
    with open_checked(path, FORMAT) as file:
        return _record(file), file.version, file.size


def _record(file: CacheFile) -> SeenRecord:
    digests: Digests = file.column("image_sha256", types="u1", columns=DIGEST_BYTES).read()
    # Fletcher-32 takes the word 0xFFFF for 0x0000, and one digest lost is one leak let through.
    if file.seal is None and hashlib.sha256(digests.tobytes()).hexdigest() != file.text("digests_sha256"):
        message = "its digests are not those that were written"
        raise Malformed(message)
    description = file.json("description")
    if not isinstance(description, dict) or not set(description) >= _DESCRIBED:
        message = f"its description is not a JSON object of {', '.join(sorted(_DESCRIBED))}"
        raise Malformed(message)
    try:
        _check_description(description)
    except CacheError as exc:
        raise Malformed(str(exc)) from exc
    return SeenRecord(file.text("steering"), digests, description)


def _check_description(description: dict[str, Any]) -> None:
    """Raise `CacheError` unless every value is of its type: they are printed and typed as commands."""
    for key in ("method", "stage", "backbone", "recipe"):
        if type(description[key]) is not str or not _PLAIN.fullmatch(description[key]):
            message = f"{key!r} of its description is {str(description[key])[:80]!r}, expected a plain name"
            raise CacheError(message)
    if description["seed"] is not None and (
        type(description["seed"]) is not int or not 0 <= description["seed"] < _SEEDS
    ):
        message = f"the seed of its description is {str(description['seed'])[:80]!r}, expected a whole number or null"
        raise CacheError(message)
    remark = description.get("parent_seen")
    if remark is not None and (type(remark) is not str or not remark.isprintable()):
        message = f"'parent_seen' of its description is {str(remark)[:80]!r}, expected printable text or null"
        raise CacheError(message)
    if description["division"] is not None:
        parse_division(description["division"])


def _holds(path: Place, record: SeenRecord) -> bool:
    """Return whether the file is there, sealed, sound, and says the same."""
    try:
        found, version, _ = load_with_version(path)
    except (FileNotFoundError, CorruptFileError):
        return False
    return (
        version == FORMAT_VERSION
        and found.steering == record.steering
        and _as_json(found.description) == _as_json(record.description)
        and np.array_equal(found.digests, record.digests)
    )


def _as_json(description: dict[str, Any]) -> str:
    return json.dumps(description, sort_keys=True, ensure_ascii=True, allow_nan=False)
