"""Power fails between any two system calls, and the disk keeps only what was synced, in any order.

The calls of a real run are recorded, then replayed up to every point. At each point the disk may hold an unsynced
file's bytes or none of them (or zeros, as with delayed allocation), and any subset of the folder changes that no
fsync of the folder has made durable.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError, DatasetIndex, FeatureSet, FeatureStore, FileStamps
from stackbone.cache.records.indexes.index_file import read_index
from stackbone.cache.records.shard import is_intact
from stackbone.cache.upkeep.compact import compact
from tests.made.caches import SPEC, features_of, make_digests

pytestmark = pytest.mark.usefixtures("waiting_for_the_disk")

Entry = tuple[Path, int | None]  # a name, and the number of the file that it has from then on
Call = tuple[str, int, object]  # write, fsync or entry; the file or folder; the bytes or the entries


@dataclass
class Recorder:
    """The system calls of a run, in order; those in `lazy` do nothing and are not recorded."""

    lazy: str = ""
    log: list[Call] = field(default_factory=list)
    numbers: dict[Path, int] = field(default_factory=dict)
    opened: dict[int, Path] = field(default_factory=dict)
    count: Iterator[int] = field(default_factory=itertools.count)

    def number(self, path: Path) -> int:
        if path not in self.numbers:
            self.numbers[path] = next(self.count)
        return self.numbers[path]

    def entry(self, path: Path, *entries: Entry) -> None:
        self.log.append(("entry", self.number(path.parent), entries))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        real_open, real_write, real_fsync, real_close = os.open, os.write, os.fsync, os.close
        real_replace, real_unlink, real_mkdir = os.replace, os.unlink, os.mkdir

        def open_(path: str | Path, flags: int, *args: int, **kwargs: int) -> int:
            descriptor = real_open(path, flags, *args, **kwargs)
            path = Path(path)
            self.opened[descriptor] = path
            if flags & os.O_CREAT:
                self.entry(path, (path, self.number(path)))
            return descriptor

        def write(descriptor: int, content: bytes) -> int:
            n = real_write(descriptor, content)
            self.log.append(("write", self.number(self.opened[descriptor]), bytes(content[:n])))
            return n

        def fsync(descriptor: int) -> None:
            real_fsync(descriptor)
            if self.lazy != ("folder" if self.opened[descriptor].is_dir() else "file"):
                self.log.append(("fsync", self.number(self.opened[descriptor]), None))

        def close(descriptor: int) -> None:
            self.opened.pop(descriptor, None)
            real_close(descriptor)

        def replace(source: Path, target: Path) -> None:
            real_replace(source, target)
            number = self.numbers[Path(target)] = self.numbers.pop(Path(source))
            self.entry(Path(target), (Path(source), None), (Path(target), number))

        def unlink(path: Path, **kwargs: int) -> None:
            real_unlink(path, **kwargs)
            self.entry(Path(path), (Path(path), None))

        def mkdir(path: Path, *args: int, **kwargs: int) -> None:
            real_mkdir(path, *args, **kwargs)
            self.entry(Path(path), (Path(path), self.number(Path(path))))

        for call in (open_, write, fsync, close, replace, unlink, mkdir):
            patch.setattr(os, call.__name__.rstrip("_"), call)


def surviving(log: list[Call]) -> Iterator[dict[Path, bytes]]:
    """Yield every content of the disk that is possible after these calls and a loss of power."""
    written: dict[int, bytes] = {}
    synced: dict[int, bytes] = {}
    pending: list[tuple[int, tuple[Entry, ...]]] = []
    durable: dict[Path, int] = {}
    for call, number, detail in log:
        if call == "write":
            assert isinstance(detail, bytes)
            written[number] = written.get(number, b"") + detail
        elif call == "entry":
            assert isinstance(detail, tuple)
            pending.append((number, detail))
        else:
            synced[number] = written.get(number, b"")
            for entries in [entries for folder, entries in pending if folder == number]:
                _apply(durable, entries)
            pending = [each for each in pending if each[0] != number]
    for kept in itertools.product([False, True], repeat=len(pending)):
        names = dict(durable)
        for (_, entries), keep in zip(pending, kept, strict=True):
            if keep:
                _apply(names, entries)
        for unsynced in (b"", None, b"\0"):
            disk = {}
            for path, number in names.items():
                full, safe = written.get(number, b""), synced.get(number, b"")
                disk[path] = full if unsynced is None else safe + unsynced * (len(full) - len(safe))
            yield disk


def _apply(names: dict[Path, int], entries: tuple[Entry, ...]) -> None:
    for path, number in entries:
        if number is None:
            names.pop(path, None)
        else:
            names[path] = number


def restore(disk: dict[Path, bytes], run: Path, target: Path) -> None:
    """Lay out a surviving disk; a file whose folder did not survive is lost with it."""
    folders = {path for path in disk if path.suffix != ".h5" and not path.name.startswith(".writing-")} | {run}
    for folder in sorted(folders - {run}):
        if folder.parent in folders:
            (target / folder.relative_to(run)).mkdir(parents=True)
    for path in disk.keys() - folders:
        if (target / path.parent.relative_to(run)).is_dir():
            (target / path.relative_to(run)).write_bytes(disk[path])


class Promises(list[int]):
    """The length of the log at the end of each step that promised to be durable."""

    recorder: Recorder

    def keep(self) -> None:
        self.append(len(self.recorder.log))


CheckEveryLoss = Callable[[Callable[[Path, Promises], None], Callable[[Path, int], None], str], int]


@pytest.fixture
def check_every_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckEveryLoss:
    """Record a job, then check every disk that may survive a loss of power during it; return how many there were.

    The check gets the disk and the number of steps that had promised to be durable.
    """

    def check_all(job: Callable[[Path, Promises], None], check: Callable[[Path, int], None], lazy: str = "") -> int:
        run, promises = tmp_path / "run", Promises()
        run.mkdir()
        promises.recorder = recorder = Recorder(lazy)
        with monkeypatch.context() as patch:
            recorder.install(patch)
            job(run, promises)
        seen: set[tuple[int, frozenset[tuple[Path, bytes]]]] = set()
        for k in range(len(recorder.log) + 1):
            steps = sum(length <= k for length in promises)
            for disk in surviving(recorder.log[:k]):
                key = steps, frozenset(disk.items())
                if key not in seen:
                    seen.add(key)
                    restored = tmp_path / f"restored-{len(seen)}"
                    restored.mkdir()
                    restore(disk, run, restored)
                    check(restored, steps)
        return len(seen)

    return check_all


def only_set(root: Path) -> FeatureSet:
    return FeatureStore(root / "cache").feature_set("resnet50", SPEC)


COMMITTED = make_digests(12).reshape(3, 4, 32)


def commit(root: Path, promises: Promises) -> None:
    for part in COMMITTED:
        only_set(root).append(SPEC, part, features_of(part), {})
        promises.keep()


def check_commits(root: Path, steps: int) -> None:
    feature_set = only_set(root)
    assert all(is_intact(path) for path in feature_set.shards())
    lacking = feature_set.missing(COMMITTED.reshape(-1, 32)).reshape(3, 4)
    assert not lacking[:steps].any()
    assert (lacking.all(axis=1) | ~lacking.any(axis=1)).all()
    here = COMMITTED[~lacking.any(axis=1)].reshape(-1, 32)
    if len(here):
        np.testing.assert_array_equal(feature_set.load(here), features_of(here))


def test_power_loss_during_commits_loses_only_the_uncommitted(check_every_loss: CheckEveryLoss) -> None:
    assert check_every_loss(commit, check_commits, "") >= 15


@pytest.mark.parametrize("lazy", ["file", "folder"])
def test_a_forgotten_fsync_would_be_noticed(check_every_loss: CheckEveryLoss, lazy: str) -> None:
    with pytest.raises((AssertionError, CacheError)):
        check_every_loss(commit, check_commits, lazy)


def test_power_loss_while_an_index_is_replaced_leaves_the_old_or_the_new(check_every_loss: CheckEveryLoss) -> None:
    def index(version: int) -> DatasetIndex:
        digests = make_digests(3, version)
        stamps = FileStamps(np.zeros((3, 4), np.int64))
        texts = [f"{version}/{i}.jpg" for i in range(3)]
        return DatasetIndex("photos", "", texts, texts, texts, texts, digests, np.zeros(3, np.uint8), texts, stamps)

    def replace(root: Path, promises: Promises) -> None:
        for version in range(3):
            FeatureStore(root / "cache").write_dataset(index(version))
            promises.keep()

    def check(root: Path, steps: int) -> None:
        path = root / "cache" / "datasets" / "photos.h5"
        if not steps and not path.exists():
            return
        found = read_index(path)
        version = int(found.path[0].split("/")[0])
        assert version in (steps - 1, steps)
        np.testing.assert_array_equal(found.image_sha256, index(version).image_sha256)

    assert check_every_loss(replace, check, "") >= 15


def test_power_loss_during_compaction_loses_no_row(
    check_every_loss: CheckEveryLoss, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = make_digests(10)

    def merge(root: Path, promises: Promises) -> None:
        for part in (digests[:4], digests[2:7], digests[7:]):
            only_set(root).append(SPEC, part, features_of(part), {})
        promises.keep()
        monkeypatch.setattr("stackbone.cache.upkeep.compact.TARGET_BYTES", 5 * 8 * 4)
        assert compact(only_set(root)).shards_after == 2
        promises.keep()

    def check(root: Path, steps: int) -> None:
        feature_set = only_set(root)
        assert all(is_intact(path) for path in feature_set.shards())
        if steps:
            np.testing.assert_array_equal(feature_set.load(digests), features_of(digests))
        if steps == 2:
            assert len(feature_set.shards()) == 2

    assert check_every_loss(merge, check, "") >= 25
