"""Compaction makes shards fewer and changes no row; whatever interrupts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError, CorruptFileError, Digests, FeatureSet, FeatureStore, FileStamps
from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.cache.records.provenance import Provenance, merge_provenance
from stackbone.cache.records.shard import is_intact, read_digests, read_header
from stackbone.cache.upkeep import compact as compact_module
from stackbone.cache.upkeep.compact import Compaction, _regroup, _Rows, compact, remove_feature_set, used_digests
from tests.made.caches import SPEC, features_of, make_digests, on_disk
from tests.made.checkout import ROOT


@pytest.fixture
def feature_set(tmp_path: Path) -> FeatureSet:
    return FeatureStore(tmp_path / "features").feature_set("resnet50", SPEC)


def fill(feature_set: FeatureSet, digests: Digests, n_shards: int) -> None:
    for part in np.array_split(digests, n_shards):
        feature_set.append(SPEC, part, features_of(part), {"engine": "torch"})


def check_rows(feature_set: FeatureSet, digests: Digests) -> None:
    np.testing.assert_array_equal(feature_set.load(digests), features_of(digests))
    assert all(is_intact(path) for path in feature_set.shards())


def test_small_shards_become_one(feature_set: FeatureSet) -> None:
    digests = make_digests(100)
    fill(feature_set, digests, 9)
    assert compact(feature_set) == Compaction(feature_set.id, 9, 1, 100, 100)
    assert len(os.listdir(on_disk(feature_set.folder))) == 1
    check_rows(feature_set, digests)


def test_doubles_are_dropped(feature_set: FeatureSet) -> None:
    digests = make_digests(30)
    for start in (0, 5, 10):
        feature_set.append(SPEC, digests[start : start + 20], features_of(digests[start : start + 20]), {})
    feature_set.append(SPEC, digests[[3, 3, 3]], features_of(digests[[3, 3, 3]]), {})
    assert compact(feature_set) == Compaction(feature_set.id, 4, 1, 63, 30)
    assert len(feature_set.digests()) == 30
    check_rows(feature_set, digests)


def test_doubles_within_one_shard_are_dropped(feature_set: FeatureSet) -> None:
    digests = make_digests(4)
    feature_set.append(SPEC, digests[[0, 1, 0, 2, 3, 3]], features_of(digests[[0, 1, 0, 2, 3, 3]]), {})
    assert compact(feature_set).rows_after == 4
    np.testing.assert_array_equal(feature_set.digests(), digests)


def test_compacting_again_changes_nothing(feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "TARGET_BYTES", 7 * 8 * 4)
    digests = make_digests(50)
    fill(feature_set, digests, 20)
    assert compact(feature_set) == Compaction(feature_set.id, 20, 8, 50, 50)
    before = {path.name: on_disk(path).stat().st_mtime_ns for path in feature_set.shards()}
    again = compact(feature_set)
    assert again == Compaction(feature_set.id, 8, 8, 50, 50)
    assert "nothing to do" in again.line()
    assert {path.name: on_disk(path).stat().st_mtime_ns for path in feature_set.shards()} == before
    check_rows(feature_set, digests)


def test_feature_set_without_rows_is_left_alone(feature_set: FeatureSet) -> None:
    assert compact(feature_set) == Compaction(feature_set.id, 0, 0, 0, 0)
    assert not feature_set.folder.exists()
    on_disk(feature_set.folder).mkdir(parents=True)
    assert compact(feature_set) == Compaction(feature_set.id, 0, 0, 0, 0)


def test_dropped_rows_go_and_all_others_stay(feature_set: FeatureSet) -> None:
    digests = make_digests(40)
    fill(feature_set, digests, 4)
    drop = np.concatenate([np.delete(digests, np.s_[::4], axis=0), make_digests(5, seed=9)])
    assert compact(feature_set, drop=drop) == Compaction(feature_set.id, 4, 1, 40, 10)
    check_rows(feature_set, digests[::4])
    assert feature_set.missing(digests).sum() == 30
    assert compact(feature_set, drop=digests).shards_after == 0
    assert feature_set.shards() == []


def test_half_precision_stays_half(feature_set: FeatureSet) -> None:
    digests = make_digests(10)
    for part in np.array_split(digests, 3):
        feature_set.append(SPEC, part, features_of(part).astype(np.float16), {})
    compact(feature_set)
    assert feature_set.header().dtype == "float16"
    check_rows(feature_set, digests)


def test_full_precision_is_not_lost_beside_half(feature_set: FeatureSet) -> None:
    digests = make_digests(40)
    features = np.random.default_rng(1).standard_normal((40, 8), dtype=np.float32) * 1e6
    features[::2] = features[::2] / 1e6
    features[::2] = features[::2].astype(np.float16)
    for i in range(40):
        row = features[i : i + 1] if i % 2 else features[i : i + 1].astype(np.float16)
        feature_set.append(SPEC, digests[i : i + 1], row, {})
    compact(feature_set)
    np.testing.assert_array_equal(feature_set.load(digests), features)


def test_provenance_is_merged_and_stays_short(feature_set: FeatureSet) -> None:
    for i in range(100):
        digests = make_digests(2, seed=i)
        feature_set.append(SPEC, digests, features_of(digests), {"engine": "torch", "created": f"2025-01-01T{i:02}"})
        if i == 1:
            compact(feature_set)
            assert feature_set.header().provenance["created"] == "2025-01-01T00; 2025-01-01T01"
        if i % 3 == 2:
            compact(feature_set)
    compact(feature_set)
    provenance = feature_set.header().provenance
    assert provenance["engine"] == "torch"
    assert provenance["created"] == (
        "2025-01-01T00; 2025-01-01T01; 2025-01-01T02; ...; 2025-01-01T97; 2025-01-01T98; 2025-01-01T99"
    )


@pytest.mark.parametrize("damage", ["flip", "truncate", "rename", "fifo"])
def test_damaged_shard_stops_it_before_anything_is_removed(feature_set: FeatureSet, damage: str) -> None:
    fill(feature_set, make_digests(40), 4)
    path = feature_set.shards()[2]
    content = bytearray(on_disk(path).read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        on_disk(path).write_bytes(content)
    elif damage == "truncate":
        on_disk(path).write_bytes(content[:-1])
    elif damage == "rename":
        path = on_disk(path).rename(on_disk(path).with_name("part-x.h5"))
    else:
        path.unlink()
        os.mkfifo(on_disk(path))
    before = sorted(os.listdir(on_disk(feature_set.folder)))
    with pytest.raises(CorruptFileError, match=path.name):
        compact(feature_set)
    assert sorted(os.listdir(on_disk(feature_set.folder))) == before


def test_shards_of_different_width_stop_it(feature_set: FeatureSet) -> None:
    digests = make_digests(4)
    feature_set.append(SPEC, digests, features_of(digests), {})
    feature_set.append(SPEC, digests, features_of(digests, 7), {})
    with pytest.raises(CorruptFileError, match="features a row"):
        compact(feature_set)
    assert len(feature_set.shards()) == 2


class Crash(BaseException):
    """A death that no code sees coming."""


@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace", "unlink"])
def test_crash_at_any_call_loses_no_row(feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    monkeypatch.setattr(compact_module, "TARGET_BYTES", 20 * 8 * 4)
    digests = make_digests(50)
    real = getattr(os, call)
    n_crashes = 0
    for k in range(100):
        remove_feature_set(feature_set)
        fill(feature_set, digests[:40], 4)
        fill(feature_set, digests[30:], 2)
        n_calls = 0

        def crash_after(*args: object, k: int = k, **kwargs: object) -> object:
            nonlocal n_calls
            n_calls += 1
            if n_calls > k:
                raise Crash
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, crash_after)
            try:
                compact(feature_set)
            except Crash:
                n_crashes += 1
        check_rows(feature_set, digests)
        compact(feature_set)
        check_rows(feature_set, digests)
        assert len(feature_set.digests()) == 50
        if n_calls <= k:
            break
    assert n_crashes == k > 2


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "unlink"])
def test_failing_disk_is_an_error_that_names_the_feature_set(
    feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    digests = make_digests(20)
    fill(feature_set, digests, 4)

    def fail(*_args: object, **_kwargs: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(CacheError, match=f"{feature_set.id}.*Input/output error"):
            compact(feature_set)
    check_rows(feature_set, digests)


_COMPACT = """
import sys
from stackbone.cache import FeatureStore
from stackbone.cache.upkeep import compact as compact_module

compact_module.TARGET_BYTES = int(sys.argv[2])
for feature_set in FeatureStore(sys.argv[1]).feature_sets():
    print(compact_module.compact(feature_set))
"""


@pytest.mark.parametrize("locks", [True, False])
def test_processes_compacting_at_once_lose_nothing(feature_set: FeatureSet, *, locks: bool) -> None:
    # Without locks, as across machines, one may find shards gone and say so.
    digests = make_digests(600)
    fill(feature_set, digests, 60)
    no_locks = "" if locks else "import fcntl\nfcntl.flock = lambda *_: None\n"
    command = [sys.executable, "-c", no_locks + _COMPACT, str(feature_set.folder.parent)]
    # Targets that differ make shards that differ, the hard case.
    runs = [
        subprocess.Popen([*command, str(target)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for target in (1000, 3000, 64 << 20)
    ]
    for run in runs:
        error = run.communicate(timeout=60)[1]
        assert run.returncode == 0 or (not locks and "vanished: another machine is compacting it" in error), error
    check_rows(feature_set, digests)
    assert len(feature_set.digests()) == 600 or not locks
    assert not list(feature_set.folder.glob(".writing-*"))


@pytest.mark.parametrize("sizes", [(8, 3, 3), (8, 8, 4, 1), (3, 3, 8)])
def test_no_merged_shard_has_the_name_of_one_that_is_there(
    feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    # The first eight rows come out as they went in: under the old name, who merges elsewhere would remove them.
    digests = make_digests(sum(sizes))
    for part in np.split(digests, np.cumsum(sizes)[:-1]):
        fill(feature_set, part, 1)
    header = read_header(feature_set.shards()[0], feature_set.fingerprint)
    monkeypatch.setattr(compact_module, "TARGET_BYTES", 8 * header.dim * 4)
    before = set(feature_set.shards())
    monkeypatch.setattr(compact_module, "_remove", lambda _paths: None)
    compact(feature_set)
    first = set(feature_set.shards())
    compact(feature_set)
    second = set(feature_set.shards()) - first
    assert len(first) > len(before)
    assert second
    for path in first:
        path.unlink()  # as whoever found all of these removes them
    check_rows(feature_set, digests)


def test_rows_added_meanwhile_stay(feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = make_digests(40)
    fill(feature_set, digests[:30], 3)

    def add_then_merge(parts: list[dict[str, str]]) -> Provenance:
        fill(feature_set, digests[30:], 1)
        return merge_provenance(parts)

    monkeypatch.setattr(compact_module, "merge_provenance", add_then_merge)
    compact(feature_set)
    check_rows(feature_set, digests)


@pytest.mark.parametrize("sizes", [[], [1], [3, 3, 3], [10], [1] * 11, [2, 7, 1, 5, 5, 9], [0, 4, 0]])
@pytest.mark.parametrize("rows_each", [1, 3, 4, 100])
def test_regrouping_keeps_rows_in_order_in_full_pieces(sizes: list[int], rows_each: int) -> None:
    digests = make_digests(sum(sizes))
    widths = np.arange(2 * len(digests)).reshape(-1, 2) + 1
    cut = [np.split(each, np.cumsum(sizes)[:-1]) for each in (digests, features_of(digests), widths)]
    parts = [_Rows(*each) for each in zip(*cut, strict=True)]
    pieces = list(_regroup(iter(parts), rows_each))
    assert [len(piece.digests) for piece in pieces[:-1]] == [rows_each] * (len(pieces) - 1)
    assert sum(len(piece.digests) for piece in pieces) == len(digests)
    if pieces:
        assert 1 <= len(pieces[-1].digests) <= rows_each
        np.testing.assert_array_equal(np.concatenate([piece.digests for piece in pieces]), digests)
        told = [piece.sizes for piece in pieces if piece.sizes is not None]
        np.testing.assert_array_equal(np.concatenate(told), widths)
    for piece in pieces:
        np.testing.assert_array_equal(piece.features, features_of(piece.digests))


def test_shards_get_the_target_size(feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "TARGET_BYTES", 12 * 8 * 4 + 5)
    fill(feature_set, make_digests(50), 7)
    compact(feature_set)
    sizes = [read_header(path, feature_set.fingerprint).n_rows for path in feature_set.shards()]
    assert sorted(sizes) == [2, 12, 12, 12, 12]


def test_removed_feature_set_is_gone_with_its_folder(feature_set: FeatureSet) -> None:
    fill(feature_set, make_digests(10), 3)
    assert remove_feature_set(feature_set) == 3
    assert not feature_set.folder.exists()
    assert remove_feature_set(feature_set) == 0


def test_other_files_keep_the_folder_of_a_removed_feature_set(feature_set: FeatureSet) -> None:
    fill(feature_set, make_digests(10), 1)
    on_disk(feature_set.folder / "notes.txt").touch()
    remove_feature_set(feature_set)
    assert os.listdir(on_disk(feature_set.folder)) == ["notes.txt"]


def test_used_digests_are_those_of_every_dataset(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path)
    with pytest.raises(CacheError, match="no dataset"):
        used_digests(store)
    for i, name in enumerate(("a", "b")):
        texts = ["x"] * 3
        stamps = FileStamps(np.zeros((3, 4), np.int64))
        status = np.zeros(3, np.uint8)
        store.write_dataset(
            DatasetIndex(name, "", texts, texts, texts, texts, make_digests(3, i), status, texts, stamps)
        )
    used = {row.tobytes() for row in used_digests(store)}
    assert used == {row.tobytes() for i in range(2) for row in make_digests(3, i)}


def test_new_shards_hold_each_digest_once(feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compact_module, "TARGET_BYTES", 5 * 8 * 4)
    fill(feature_set, np.concatenate([make_digests(20), make_digests(20)[::-1]]), 8)
    compact(feature_set)
    found = np.concatenate([read_digests(path, feature_set.fingerprint) for path in feature_set.shards()])
    assert len(found) == len(np.unique(found, axis=0)) == 20
