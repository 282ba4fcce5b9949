"""Prove that a cache is sound, and set aside what is not."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cache import shard
from cache.errors import CacheError, CorruptFileError
from cache.feature_set import FeatureSet
from cache.files import fsync_folder, make_folder
from cache.hdf5 import corrupt_message
from cache.index import read_index
from cache.seen import FILE, load_record, read_seen
from cache.store import FeatureStore

SET_ASIDE = "set-aside"


@dataclass(frozen=True)
class Finding:
    """A file that is not sound.

    Attributes
    ----------
    path
        Where it lay.
    problem
        What is wrong with it.
    moved_to
        Where it was set aside; None if it was left in place.
    """

    path: Path
    problem: str
    moved_to: Path | None = None


@dataclass(frozen=True)
class Verification:
    """What `verify` read and found.

    Attributes
    ----------
    n_shards, n_rows, n_indexes, n_records
        Sound files, and rows in sound shards (doubles included); records are those of what steerings saw.
    n_bytes
        Bytes read and proven.
    findings
        A `Finding` for each damaged file.
    """

    n_shards: int
    n_rows: int
    n_indexes: int
    n_records: int
    n_bytes: int
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        findings = [
            {"path": str(f.path), "problem": f.problem, "moved_to": str(f.moved_to) if f.moved_to else None}
            for f in self.findings
        ]
        return {
            "n_shards": self.n_shards,
            "n_rows": self.n_rows,
            "n_indexes": self.n_indexes,
            "n_records": self.n_records,
            "n_bytes": self.n_bytes,
            "findings": findings,
        }

    def lines(self) -> list[str]:
        """Return it for people."""
        records = f", {self.n_records:,} records of steerings" if self.n_records else ""
        sound = (
            f"sound: {self.n_shards:,} shards with {self.n_rows:,} rows and {self.n_indexes:,} dataset indexes"
            f"{records}, {self.n_bytes / 1e6:,.1f} MB read"
        )
        lines = [
            f"DAMAGED: {f.problem}" + (f" [set aside as {f.moved_to}]" if f.moved_to else "") for f in self.findings
        ]
        if any(f.moved_to for f in self.findings):
            lines.append("run `stackbone extract` on the dataset to refill what the files set aside held")
        return [sound, *lines]


def verify(
    store: FeatureStore, *, repair: bool = False, on_progress: Callable[[int, int], None] | None = None
) -> Verification:
    """Check every file of a cache: name against bytes, every checksum, spec, shapes, finite features.

    Parameters
    ----------
    repair
        Move damaged files into ``set-aside/`` (nothing is deleted); the next `extract` refills what is missing.
    on_progress
        Called with (files checked, files in all).

    Raises
    ------
    CacheError
        If there is no cache, or a damaged file cannot be moved.
    """
    if not store.root.is_dir():
        message = f"there is no cache at {store.root}: name another with --cache, or run `stackbone extract` first"
        raise CacheError(message)
    sets = store.feature_sets()
    looks: list[tuple[str, Path, Callable[[], tuple[int, int]]]] = [
        ("shard", path, partial(_check_shard, path, each.fingerprint)) for each in sets for path in each.shards()
    ]
    recorded = [each for each in sets if _is_steered(each) or (each.folder / FILE).exists()]
    looks += [("record", each.folder / FILE, partial(_check_record, each)) for each in recorded]
    looks += [("index", path, partial(_check_index, path)) for path in sorted((store.root / "datasets").glob("*.h5"))]
    shapes: dict[str, dict[Path, tuple[int, int]]] = {"shard": {}, "record": {}, "index": {}}
    problems: dict[Path, CacheError] = {}
    n_bytes = 0
    for done, (kind, path, look) in enumerate(looks, start=1):
        try:
            shape = look()
            n_bytes += path.lstat().st_size
            shapes[kind][path] = shape
        except FileNotFoundError:
            pass  # merged away by `compact`, or forgotten, in the meantime
        except CacheError as exc:
            problems[path] = exc
        if on_progress:
            on_progress(done, len(looks))
    odd = _odd_dimensions(shapes["shard"])
    sound = {path: shape for path, shape in shapes["shard"].items() if path not in odd}
    problems |= odd
    return Verification(
        n_shards=len(sound),
        n_rows=sum(n_rows for n_rows, _ in sound.values()),
        n_indexes=len(shapes["index"]),
        n_records=len(shapes["record"]),
        n_bytes=n_bytes,
        findings=[_finding(store.root, path, problem, repair=repair) for path, problem in problems.items()],
    )


def _check_shard(path: Path, fingerprint: str) -> tuple[int, int]:
    """Return the shape of a sound shard's features."""
    _, features = shard.read_rows(path, fingerprint)
    try:
        intact = shard.is_intact(path)
    except FileNotFoundError:
        raise
    except OSError as exc:
        message = f"could not read {path}: {exc.strerror or exc}. See to its disk or its network, and run again"
        raise CacheError(message) from exc
    if not intact:
        message = (
            f"{path} does not have the bytes that its name promises: it was changed after it was written, or renamed"
        )
        raise CorruptFileError(message)
    n_rows, dim = features.shape
    return n_rows, dim


def _check_index(path: Path) -> tuple[int, int]:
    return len(read_index(path)), 0


def _is_steered(feature_set: FeatureSet) -> bool:
    try:
        return feature_set.header().spec.steering is not None
    except CacheError:  # no shard yet, or a damaged one, which is a finding of its own
        return False


def _check_record(feature_set: FeatureSet) -> tuple[int, int]:
    """Return the shape of a sound record's digests; where a shard tells the steering, it must be that one's."""
    path = feature_set.folder / FILE
    try:
        steering = feature_set.header().spec.steering
    except CacheError:
        steering = load_record(path).steering
    if steering is None:
        found = f"it is the record of the steering {load_record(path).steering[:12]}..., the features are plain ones"
        raise CorruptFileError(corrupt_message(path, found))
    n_images, width = read_seen(feature_set.folder, steering).digests.shape
    return n_images, width


def _odd_dimensions(shapes: dict[Path, tuple[int, int]]) -> dict[Path, CacheError]:
    """Return the shards whose rows are not as long as most rows of their feature set."""
    n_rows: dict[Path, Counter[int]] = {}
    for path, (n, dim) in shapes.items():
        n_rows.setdefault(path.parent, Counter())[dim] += n
    usual = {folder: dims.most_common(1)[0][0] for folder, dims in n_rows.items()}
    return {
        path: CorruptFileError(f"{path} has {dim} features a row, most of its feature set has {usual[path.parent]}")
        for path, (_, dim) in shapes.items()
        if dim != usual[path.parent]
    }


def _finding(root: Path, path: Path, problem: CacheError, *, repair: bool) -> Finding:
    # What the system could not read may be sound: only what was read and found wrong is moved.
    moved_to = _set_aside(root, path) if repair and isinstance(problem, CorruptFileError) else None
    return Finding(path, str(problem), moved_to)


def _set_aside(root: Path, path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%S")
    target = root / SET_ASIDE / path.parent.name / f"{path.name}.{stamp}-{uuid.uuid4().hex[:8]}"
    make_folder(target.parent)
    try:
        path.rename(target)
        fsync_folder(target.parent)
        fsync_folder(path.parent)
    except OSError as exc:
        message = f"could not set {path} aside: {exc.strerror or exc}. Move it out of the cache by hand"
        raise CacheError(message) from exc
    return target
