"""Check that a cache is sound, and set aside what is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from stackbone.cache.boxes import box_file
from stackbone.cache.corrections import batch as corrections
from stackbone.cache.errors import CacheError, CorruptFileError
from stackbone.cache.feature_set import FeatureSet
from stackbone.cache.findings import found as findings
from stackbone.cache.hdf5.opening import FORMAT_VERSION, corrupt_message
from stackbone.cache.places.place import Place, files_in, is_there
from stackbone.cache.progress import Steps
from stackbone.cache.records import shard
from stackbone.cache.records.indexes.index_file import read_with_version
from stackbone.cache.records.parts import RowForm
from stackbone.cache.records.seen import FILE, load_record, load_with_version, read_seen
from stackbone.cache.store import FeatureStore
from stackbone.cache.text import counted
from stackbone.cache.upkeep.set_aside import Damage, damage_of

_KINDS = ("shard", "record", "index", "corrections", "boxes", "findings")
_NO_ROWS = (0, RowForm())


@dataclass(frozen=True)
class Verification:
    """What `verify` read and found.

    Attributes
    ----------
    n_shards, n_rows, n_indexes, n_records, n_corrections, n_boxes, n_part_findings
        Sound files, and rows in sound shards (doubles included); records are those of what steerings saw, corrections
        those of labels, boxes those of datasets' objects, findings those of parts of runs.
    n_unsealed
        Sound indexes and records of format version 1, which have no SHA-256; a shard's name is one in any version.
    n_bytes
        Bytes read and proven.
    findings
        A `Damage` for each damaged file.
    """

    n_shards: int
    n_rows: int
    n_indexes: int
    n_records: int
    n_corrections: int
    n_boxes: int
    n_part_findings: int
    n_unsealed: int
    n_bytes: int
    findings: list[Damage]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        findings = [
            {
                "path": str(f.path),
                "problem": f.problem,
                "moved_to": str(f.moved_to) if f.moved_to else None,
                "not_moved": f.not_moved or None,
            }
            for f in self.findings
        ]
        return {
            "n_shards": self.n_shards,
            "n_rows": self.n_rows,
            "n_indexes": self.n_indexes,
            "n_records": self.n_records,
            "n_corrections": self.n_corrections,
            "n_boxes": self.n_boxes,
            "n_part_findings": self.n_part_findings,
            "n_unsealed": self.n_unsealed,
            "n_bytes": self.n_bytes,
            "findings": findings,
        }

    def lines(self) -> list[str]:
        """Return lines for people."""
        records = f", {counted(self.n_records, 'record')} of steerings" if self.n_records else ""
        records += f", {counted(self.n_corrections, 'file')} of corrected labels" if self.n_corrections else ""
        records += f", {counted(self.n_boxes, 'file')} of boxes" if self.n_boxes else ""
        records += f", {counted(self.n_part_findings, 'file')} of what parts found out" if self.n_part_findings else ""
        sound = (
            f"sound: {counted(self.n_shards, 'shard')} with {counted(self.n_rows, 'row')} and "
            f"{counted(self.n_indexes, 'dataset index', 'dataset indexes')}"
            f"{records}, {self.n_bytes / 1e6:,.1f} MB read"
        )
        lines = [damage.line() for damage in self.findings]
        if self.n_unsealed:
            lines.append(
                f"{counted(self.n_unsealed, 'index or record file uses', 'index or record files use')} format version "
                "1, whose 32-bit checksums can miss damage. `stackbone extract` on the dataset rewrites them"
            )
        if any(f.moved_to and f.path.parent.parent.name != corrections.FOLDER for f in self.findings):
            lines.append("run `stackbone extract` on the dataset to refill what the files set aside held")
        return [sound, *lines]


def verify(store: FeatureStore, *, repair: bool = False, on_progress: Steps | None = None) -> Verification:
    """Check every file of a cache: seal and name against bytes, every checksum, spec, shapes, finite features.

    Parameters
    ----------
    repair
        Move damaged files into ``set-aside/`` (nothing is deleted); the next `extract` refills what is missing.
    on_progress
        Called with (files checked, files in all).

    Raises
    ------
    CacheError
        If there is no cache, or its shards vanish again and again.
    """
    store.check_there()
    looks = _Looks(on_progress)
    sets = store.feature_sets()
    indexes = files_in(store.root / "datasets", "*.h5")
    recorded = [each for each in sets if _is_steered(each) or is_there(each.folder / FILE)]
    batches = files_in(store.root / corrections.FOLDER, "*/*.h5")
    boxes = files_in(store.root / box_file.FOLDER, "*.h5")
    told = files_in(store.root / findings.FOLDER, "*/*.h5")
    looks.n_all = sum(len(each.shards()) for each in sets) + len([*recorded, *indexes, *batches, *boxes, *told])
    for each in sets:
        # What `compact` put in the place of shards that vanish is looked at in their place.
        for _ in each.read_each(partial(looks.look, "shard", _check_shard), n_at_once=1):
            pass
    for each in recorded:
        with suppress(FileNotFoundError):
            looks.look("record", partial(_check_record, each), each.folder / FILE)
    for path in indexes:
        with suppress(FileNotFoundError):  # forgotten meanwhile
            looks.look("index", _check_index, path)
    for path in batches:
        with suppress(FileNotFoundError):  # taken back meanwhile
            looks.look("corrections", _check_corrections, path)
    for path in boxes:
        with suppress(FileNotFoundError):  # forgotten meanwhile
            looks.look("boxes", _check_boxes, path)
    for path in told:
        with suppress(FileNotFoundError):  # in the index by now
            looks.look("findings", _check_findings, path)
    odd = _odd_rows(looks.sound["shard"])
    sound = {path: n_rows for path, (_, n_rows, _) in looks.sound["shard"].items() if path not in odd}
    found = [
        damage_of(store.root, path, problem, repair=repair, check=looks.checks.get(path, partial(_raise, problem)))
        for path, problem in {**looks.problems, **odd}.items()
    ]
    return Verification(
        n_shards=len(sound),
        n_rows=sum(sound.values()),
        n_indexes=len(looks.sound["index"]),
        n_records=len(looks.sound["record"]),
        n_corrections=len(looks.sound["corrections"]),
        n_boxes=len(looks.sound["boxes"]),
        n_part_findings=len(looks.sound["findings"]),
        n_unsealed=looks.n_unsealed,
        n_bytes=looks.n_bytes,
        findings=[each for each in found if each],
    )


_Sound = tuple[int, int, tuple[int, RowForm]]
"""The version of a sound file's format, its rows, and of a shard their length and what they consist of."""


class _Looks:
    """The results of checking each file."""

    def __init__(self, on_progress: Steps | None) -> None:
        self.sound: dict[str, dict[Place, _Sound]] = {kind: {} for kind in _KINDS}
        self.problems: dict[Place, CacheError] = {}
        self.checks: dict[Place, Callable[[], object]] = {}
        self.n_bytes = self.n_all = self.n_unsealed = self._n_done = 0
        self._on_progress = on_progress

    def look(self, kind: str, check: Callable[..., tuple[_Sound, int]], path: Place, *args: str) -> None:
        """Check a file and keep what is found; FileNotFoundError if it is gone."""
        try:
            sound, n_bytes = check(path, *args)
            self.sound[kind][path] = sound
            self.n_bytes += n_bytes
            self.n_unsealed += kind != "shard" and sound[0] < FORMAT_VERSION
        except CacheError as exc:
            self.problems[path], self.checks[path] = exc, partial(check, path, *args)
        self._n_done += 1
        if self._on_progress:
            self._on_progress(self._n_done, max(self.n_all, self._n_done))


def _raise(problem: CacheError) -> None:
    """Find the same again of a shard whose rows are odd among the others: a shard never changes."""
    raise problem


def _check_shard(path: Place, fingerprint: str) -> tuple[_Sound, int]:
    header, n_bytes = shard.read_proven(path, fingerprint)
    return (FORMAT_VERSION, header.n_rows, (header.dim, header.form)), n_bytes


def _check_index(path: Place) -> tuple[_Sound, int]:
    index, version, n_bytes = read_with_version(path)
    return (version, len(index), _NO_ROWS), n_bytes


def _check_corrections(path: Place) -> tuple[_Sound, int]:
    batch, version, n_bytes = corrections.read_with_version(path)
    return (version, len(batch), _NO_ROWS), n_bytes


def _check_boxes(path: Place) -> tuple[_Sound, int]:
    table, version, n_bytes = box_file.read_with_version(path)
    return (version, len(table), _NO_ROWS), n_bytes


def _check_findings(path: Place) -> tuple[_Sound, int]:
    found, version, n_bytes = findings.read_with_version(path)
    return (version, len(found), _NO_ROWS), n_bytes


def _is_steered(feature_set: FeatureSet) -> bool:
    try:
        return feature_set.header().spec.steering is not None
    except CacheError:  # no shard yet, or a damaged one, which is a finding of its own
        return False


def _check_record(feature_set: FeatureSet, path: Place) -> tuple[_Sound, int]:
    """Return what a sound record holds; where a shard tells the steering, it must be that one's."""
    try:
        steering = feature_set.header().spec.steering
    except CacheError:
        steering = load_record(path).steering
    if steering is None:
        of = load_record(path).steering[:12]
        found = f"it is the record of the steering {of}..., and the features are a plain backbone's"
        raise CorruptFileError(corrupt_message(path, found))
    try:
        read_seen(feature_set.folder, steering)
    except CacheError:
        if not feature_set.shards() and not is_there(path):  # forgotten meanwhile, as a whole
            raise FileNotFoundError(path) from None
        raise
    record, version, n_bytes = load_with_version(path)
    return (version, len(record.digests), _NO_ROWS), n_bytes


def _odd_rows(shards: Mapping[Place, _Sound]) -> dict[Place, CacheError]:
    """Return the shards whose rows are not as long, or not of the same parts, as most rows of their feature set."""
    n_rows: dict[Place, Counter[tuple[int, RowForm]]] = {}
    for path, (_, n, kind) in shards.items():
        n_rows.setdefault(path.parent, Counter())[kind] += n
    usual = {folder: kinds.most_common(1)[0][0] for folder, kinds in n_rows.items()}
    return {
        path: CorruptFileError(_odd_message(path, kind[0], usual[path.parent][0]))
        for path, (_, _, kind) in shards.items()
        if kind != usual[path.parent]
    }


def _odd_message(path: Place, dim: int, usual: int) -> str:
    if dim == usual:
        return f"{path} has rows of other parts than most of its feature set"
    return f"{path} has {dim} features a row, most of its feature set has {usual}"
