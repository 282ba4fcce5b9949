"""Verification finds every kind of damage, names the file, and sets it aside without deleting a byte."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from stackbone.cache import CacheError, FeatureSet, FeatureStore
from stackbone.cache.records import shard as shard_module
from stackbone.cache.records.shards.content import ShardHeader
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, make_index, on_disk
from tests.made.sealing import reseal

DIGESTS = make_digests(60)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    store = FeatureStore(tmp_path / "features")
    for part in np.array_split(DIGESTS, 6):
        only_set(store).append(SPEC, part, features_of(part), {})
    store.write_dataset(make_index("photos", DIGESTS))
    return store


def only_set(store: FeatureStore) -> FeatureSet:
    return store.feature_set("resnet50", SPEC)


def test_sound_cache_finds_nothing(store: FeatureStore) -> None:
    calls: list[tuple[int, int]] = []
    found = verify(store, repair=True, on_progress=lambda done, total: calls.append((done, total)))
    assert (found.n_shards, found.n_rows, found.n_indexes, found.findings) == (6, 60, 1, [])
    assert found.n_bytes == sum(path.stat().st_size for path in on_disk(store.root).rglob("*.h5"))
    assert calls == [(i, 7) for i in range(1, 8)]
    assert not (store.root / "set-aside").exists()


def test_an_empty_cache_is_sound_and_an_absent_one_is_not(tmp_path: Path) -> None:
    found = verify(FeatureStore(tmp_path))
    assert (found.n_shards, found.n_rows, found.n_indexes, found.findings) == (0, 0, 0, [])
    with pytest.raises(CacheError, match=r"there is no cache at .*absent: name another with --cache"):
        verify(FeatureStore(tmp_path / "absent"))


def _flip_feature(path: Path) -> None:
    with h5py.File(path) as file:
        offset = file["features"].id.get_offset()
    _flip(path, offset)


def _flip_digest(path: Path) -> None:
    with h5py.File(path) as file:
        offset = file["image_sha256"].id.get_offset()
    _flip(path, offset + 5)


def _flip(path: Path, offset: int) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _extend(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def _other_spec(path: Path) -> None:
    spec = replace(SPEC, view="hflip")
    store = FeatureStore(path.parents[2] / "other")
    other = store.feature_set("resnet50", spec).append(spec, DIGESTS[:3], features_of(DIGESTS[:3]), {})
    path.write_bytes(on_disk(other).read_bytes())


def _not_hdf5(path: Path) -> None:
    path.write_text("no HDF5")


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _broken_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("gone.h5")


DAMAGES = [
    _flip_feature,
    _flip_digest,
    _truncate,
    _empty,
    _extend,
    _other_spec,
    _not_hdf5,
    _fifo,
    _folder,
    _broken_link,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shard_is_found_set_aside_and_its_rows_are_missing(
    store: FeatureStore, damage: Callable[[Path], None]
) -> None:
    feature_set = only_set(store)
    path = feature_set.shards()[3]
    lost = shard_module.read_digests(path, SPEC.fingerprint)
    damage(on_disk(path))
    kind, size = on_disk(path).lstat().st_mode, on_disk(path).lstat().st_size

    (finding,) = verify(store).findings
    assert (finding.path, finding.moved_to) == (path, None)
    assert str(path) in finding.problem
    assert os.path.lexists(on_disk(path))

    found = verify(store, repair=True)
    assert (found.n_shards, found.n_rows, found.n_indexes) == (5, 50, 1)
    (finding,) = found.findings
    assert finding.moved_to
    assert not os.path.lexists(on_disk(path))
    assert (on_disk(finding.moved_to).lstat().st_mode, on_disk(finding.moved_to).lstat().st_size) == (kind, size)
    assert json.loads(json.dumps(found.to_dict()))["findings"][0]["moved_to"] == str(finding.moved_to)

    missing = DIGESTS[feature_set.missing(DIGESTS)]
    np.testing.assert_array_equal(np.sort(missing, axis=0), np.sort(lost, axis=0))
    assert verify(store).findings == []
    feature_set.append(SPEC, missing, features_of(missing), {})
    np.testing.assert_array_equal(feature_set.load(DIGESTS), features_of(DIGESTS))


def test_renamed_shard_is_found(store: FeatureStore) -> None:
    path = only_set(store).shards()[0]
    renamed = on_disk(path).rename(on_disk(path).with_name("part-1.h5"))
    (finding,) = verify(store).findings
    assert finding.path == renamed
    assert "name stands for" in finding.problem


def test_shard_of_another_width_than_most_rows_is_found(store: FeatureStore) -> None:
    odd = only_set(store).append(SPEC, DIGESTS[:9], features_of(DIGESTS[:9], 7), {})
    found = verify(store, repair=True)
    assert [finding.path for finding in found.findings] == [odd]
    assert (found.n_shards, found.n_rows) == (6, 60)
    np.testing.assert_array_equal(only_set(store).load(DIGESTS), features_of(DIGESTS))


def test_every_damaged_file_is_found(store: FeatureStore) -> None:
    paths = only_set(store).shards()
    _flip_feature(on_disk(paths[0]))
    _truncate(on_disk(paths[1]))
    _fifo(on_disk(paths[5]))
    index = store.root / "datasets" / "photos.h5"
    _truncate(on_disk(index))
    found = verify(store, repair=True)
    assert [finding.path for finding in found.findings] == [paths[0], paths[1], paths[5], index]
    assert (found.n_shards, found.n_indexes) == (3, 0)
    assert store.dataset_names() == []
    assert "set aside" in "\n".join(found.lines())
    assert len(list(on_disk(store.root / "set-aside").rglob("*.h5.*"))) == 4


@pytest.mark.parametrize("damage", [_truncate, _empty, _not_hdf5, _fifo, _broken_link])
def test_damaged_index_is_found(store: FeatureStore, damage: Callable[[Path], None]) -> None:
    path = store.root / "datasets" / "photos.h5"
    damage(on_disk(path))
    (finding,) = verify(store).findings
    assert finding.path == path
    assert verify(store, repair=True).findings[0].moved_to
    assert verify(store).findings == []


def test_same_file_set_aside_twice_is_kept_twice(store: FeatureStore) -> None:
    path = only_set(store).shards()[0]
    content = on_disk(path).read_bytes()
    for end in (b"x", b"y"):
        on_disk(path).write_bytes(content + end)
        verify(store, repair=True)
    kept = [each.read_bytes() for each in on_disk(store.root / "set-aside").rglob("part-*")]
    assert sorted(kept) == [content + b"x", content + b"y"]


def test_file_that_the_system_cannot_read_is_found_and_left_where_it_is(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = only_set(store).shards()[2]
    inode, real = on_disk(path).stat().st_ino, os.preadv

    def fail(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", fail)
    (finding,) = verify(store, repair=True).findings
    assert (finding.path, finding.moved_to) == (path, None)
    assert os.strerror(errno.EIO) in finding.problem
    assert path.exists()


def test_file_of_a_newer_version_is_found_and_left_where_it_is(store: FeatureStore) -> None:
    path = only_set(store).shards()[0]
    reseal(on_disk(path), version=3)
    (finding,) = verify(store, repair=True).findings
    assert (finding.path, finding.moved_to) == (path, None)
    assert "newer Stackbone" in finding.problem


@pytest.mark.parametrize("damage", [_flip_feature, _truncate, _not_hdf5])
def test_shards_set_aside_while_they_are_merged_are_passed_over(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], None]
) -> None:
    damaged = only_set(store).shards()[4]
    real = shard_module.read_proven

    def repair_first(path: Path, fingerprint: str) -> tuple[ShardHeader, int]:
        if path == damaged and path.exists():
            damage(path)
            monkeypatch.setattr(shard_module, "read_proven", real)
            verify(store, repair=True)
        return real(path, fingerprint)

    monkeypatch.setattr(shard_module, "read_proven", repair_first)
    merged = compact(only_set(store))
    assert (merged.shards_before, merged.shards_after, merged.rows_after) == (5, 1, 50)


def test_shards_merged_away_meanwhile_are_no_finding_and_the_merged_one_is_read(store: FeatureStore) -> None:
    def merge(done: int, _total: int) -> None:
        if done == 2:
            compact(only_set(store))

    found = verify(store, repair=True, on_progress=merge)
    assert found.findings == []
    assert (found.n_shards, found.n_rows, found.n_indexes) == (3, 20 + 60, 1)
