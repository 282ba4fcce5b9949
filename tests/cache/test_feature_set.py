"""Rows are joined to images by digest: in any order, with doubles, over any number of shards, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import CacheError, CorruptFileError, Digests, FeatureSet, FeatureStore, as_keys
from stackbone.cache.places.place import Place
from stackbone.cache.records import shard as shard_module
from stackbone.cache.records.provenance import named_cut
from stackbone.cache.upkeep.compact import compact
from tests.made.caches import SPEC, make_digests, on_disk
from tests.made.checkout import ROOT


def features_of(digests: Digests, dim: int = 40) -> NDArray[np.float32]:
    """Return rows that follow from their digests, so that any row can be checked anywhere."""
    return np.tile(digests, (1, -(-dim // 32)))[:, :dim].astype(np.float32)


@pytest.fixture
def feature_set(tmp_path: Path) -> FeatureSet:
    return FeatureStore(tmp_path / "features").feature_set("resnet50", SPEC)


def fill(feature_set: FeatureSet, digests: Digests, n_shards: int = 3) -> None:
    for part in np.array_split(digests, n_shards):
        feature_set.append(SPEC, part, features_of(part), {"engine": "torch"})


def test_load_joins_by_digest_in_any_order(feature_set: FeatureSet) -> None:
    digests = make_digests(300)
    fill(feature_set, digests)
    asked = digests[np.random.default_rng(1).permutation(300)[:200]]
    np.testing.assert_array_equal(feature_set.load(asked), features_of(asked))


def test_a_stream_gives_every_place_once_with_what_load_gives(feature_set: FeatureSet) -> None:
    fill(feature_set, make_digests(30))
    digests = make_digests(30)[[9, 0, 24, 9, 12]]
    loaded = feature_set.load(digests)
    parts = list(feature_set.stream(digests))
    assert len(parts) == len(feature_set.shards())
    assert sorted(np.concatenate([places for places, _ in parts]).tolist()) == [0, 1, 2, 3, 4]
    for places, features in parts:
        np.testing.assert_array_equal(features, loaded[places])
    with pytest.raises(CacheError, match="lacks 1 of 6 images"):
        list(feature_set.stream(np.concatenate([digests, make_digests(1, seed=77)])))


def test_load_repeats_rows_for_doubles(feature_set: FeatureSet) -> None:
    digests = make_digests(50)
    fill(feature_set, digests)
    asked = digests[np.random.default_rng(2).integers(0, 50, 10_000)]
    np.testing.assert_array_equal(feature_set.load(asked), features_of(asked))


def test_digests_with_zero_bytes_are_told_apart(feature_set: FeatureSet) -> None:
    # NumPy's byte strings drop trailing zeros; a join built on them must not.
    digests = np.zeros((40, 32), np.uint8)
    for i in range(1, 33):
        digests[i, :i] = 1
    digests[33:, 0] = 1
    digests[33:, np.arange(7) + 20] = np.arange(2, 9)
    assert len(np.unique(as_keys(digests))) == len(np.unique(digests, axis=0))
    distinct = np.unique(digests, axis=0)
    fill(feature_set, distinct[::2])
    np.testing.assert_array_equal(
        feature_set.missing(digests), [not (row == distinct[::2]).all(axis=1).any() for row in digests]
    )
    fill(feature_set, distinct[1::2])
    np.testing.assert_array_equal(feature_set.load(digests[::-1]), features_of(digests[::-1]))


def test_keys_sort_as_digests_do() -> None:
    digests = make_digests(1000)
    digests[::7, 8:] = 0
    np.testing.assert_array_equal(
        np.sort(as_keys(digests)).view(np.uint8).reshape(-1, 32), digests[np.lexsort(digests.T[::-1])]
    )


def test_missing_tells_which_images_lack_features(feature_set: FeatureSet) -> None:
    digests = make_digests(30)
    assert feature_set.missing(digests).all()
    fill(feature_set, digests[:20])
    np.testing.assert_array_equal(feature_set.missing(digests), np.arange(30) >= 20)
    assert feature_set.missing(digests[:0]).shape == (0,)


def test_load_of_missing_rows_says_how_many_and_what_to_do(feature_set: FeatureSet) -> None:
    digests = make_digests(30)
    fill(feature_set, digests[:20])
    asked = np.concatenate([digests, digests[25:]])
    with pytest.raises(CacheError, match=rf"{feature_set.id} lacks 15 of 35 images.*stackbone extract"):
        feature_set.load(asked)


def test_load_from_nothing_is_an_error_and_of_nothing_is_empty(feature_set: FeatureSet) -> None:
    with pytest.raises(CacheError, match="lacks 3 of 3"):
        feature_set.load(make_digests(3))
    with pytest.raises(CacheError, match="no shard yet"):
        feature_set.header()
    assert feature_set.digests().shape == (0, 32)
    fill(feature_set, make_digests(6))
    assert feature_set.load(make_digests(0)).shape == (0, 40)


@pytest.mark.parametrize("wanted", [[0, 3, 3, 29], list(range(30)), [7]])
def test_what_is_not_to_be_kept_of_features_is_never_held(feature_set: FeatureSet, wanted: list[int]) -> None:
    digests = make_digests(30)
    for first in (0, 10, 20):
        feature_set.append(SPEC, digests[first : first + 10], features_of(digests[first : first + 10]), {})
    seen: list[int] = []

    def first_two(features: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(len(features))
        return features[:, :2]

    np.testing.assert_array_equal(feature_set.load(digests[wanted], first_two), features_of(digests)[wanted][:, :2])
    assert sum(seen) == len(set(wanted))
    assert len(seen) == 3


@pytest.mark.parametrize("compacted", [False, True])
def test_a_shard_says_which_images_are_cut_short(feature_set: FeatureSet, *, compacted: bool) -> None:
    digests = make_digests(12)
    names = named_cut(digests[row].tobytes().hex() for row in (2, 5))
    feature_set.append(SPEC, digests[:8], features_of(digests[:8]), names)
    feature_set.append(SPEC, digests[8:11], features_of(digests[8:11]), named_cut([digests[11].tobytes().hex()]))
    if compacted:
        compact(feature_set)
    missing, cut = feature_set.look_up(digests)
    assert np.flatnonzero(missing).tolist() == [11]
    assert np.flatnonzero(cut).tolist() == [2, 5]
    assert [each.shape for each in feature_set.look_up(digests[:0])] == [(0,), (0,)]


def test_row_of_the_first_shard_by_name_counts(feature_set: FeatureSet) -> None:
    digests = make_digests(10)
    for i in range(4):
        feature_set.append(SPEC, digests, features_of(digests) + i, {})
    first = shard_module.read_rows(feature_set.shards()[0], feature_set.fingerprint)[1]
    assert feature_set.shards() == sorted(feature_set.folder.iterdir())
    np.testing.assert_array_equal(feature_set.load(digests), first)
    compact(feature_set)
    np.testing.assert_array_equal(feature_set.load(digests), first)


def test_first_row_of_a_shard_counts(feature_set: FeatureSet) -> None:
    digests = make_digests(5)
    rows = np.concatenate([features_of(digests), features_of(digests) + 1])
    feature_set.append(SPEC, np.concatenate([digests, digests]), rows, {})
    np.testing.assert_array_equal(feature_set.load(digests), features_of(digests))


def test_rows_of_another_spec_are_not_taken(feature_set: FeatureSet) -> None:
    digests = make_digests(2)
    with pytest.raises(CacheError, match="do not belong"):
        feature_set.append(replace(SPEC, view="hflip"), digests, features_of(digests), {})
    assert not feature_set.folder.exists()


def test_shard_of_another_spec_copied_in_is_refused(feature_set: FeatureSet, tmp_path: Path) -> None:
    digests = make_digests(9)
    fill(feature_set, digests)
    other_spec = replace(SPEC, view="hflip")
    other = FeatureStore(tmp_path / "other").feature_set("resnet50", other_spec)
    stray = other.append(other_spec, digests, features_of(digests), {})
    copied = feature_set.folder / stray.name
    on_disk(copied).write_bytes(on_disk(stray).read_bytes())
    for use in (feature_set.load, feature_set.missing):
        with pytest.raises(CorruptFileError, match=stray.name):
            use(digests)


def test_shards_of_different_width_are_refused(feature_set: FeatureSet) -> None:
    digests = make_digests(9)
    fill(feature_set, digests)
    feature_set.append(SPEC, digests[:2], features_of(digests[:2], 41), {})
    with pytest.raises(CorruptFileError, match=r"has 4[01] features a row, other shards of .* have 4[01]"):
        feature_set.load(digests)


def test_damaged_shard_stops_a_load(feature_set: FeatureSet) -> None:
    digests = make_digests(9)
    fill(feature_set, digests)
    path = feature_set.shards()[1]
    on_disk(path).write_bytes(on_disk(path).read_bytes()[:-100])
    with pytest.raises(CorruptFileError, match=path.name):
        feature_set.load(digests)


def test_reader_is_undisturbed_by_compaction_between_listing_and_reading(feature_set: FeatureSet) -> None:
    digests = make_digests(60)
    fill(feature_set, digests, 6)
    seen: list[Digests] = []

    def read(path: Place, fingerprint: str) -> Digests:
        if len(seen) == 2:
            compact(feature_set)
        rows = shard_module.read_digests(path, fingerprint)
        seen.append(rows)
        return rows

    found = [rows for _, rows in feature_set.read_each(read)]
    assert len(feature_set.shards()) == 1
    assert set(as_keys(np.concatenate(found)).tolist()) == set(as_keys(digests).tolist())


def test_load_is_undisturbed_by_compaction(feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = make_digests(60)
    fill(feature_set, digests, 6)
    real, calls = shard_module.read_rows, []

    def read(path: Path, fingerprint: str) -> tuple[Digests, NDArray[np.float32]]:
        calls.append(path)
        if len(calls) == 3:
            monkeypatch.setattr(shard_module, "read_rows", real)
            compact(feature_set)
        return real(path, fingerprint)

    monkeypatch.setattr(shard_module, "read_rows", read)
    np.testing.assert_array_equal(feature_set.load(digests), features_of(digests))


def test_link_to_a_vanished_shard_is_an_error_and_no_endless_wait(feature_set: FeatureSet) -> None:
    fill(feature_set, make_digests(3), 1)
    on_disk(feature_set.folder / "part-0.h5").symlink_to("gone.h5")
    with pytest.raises(CorruptFileError, match="link to a file that does not exist"):
        feature_set.digests()


_MEASURE = """
import json, sys
from pathlib import Path
import numpy as np
from stackbone.cache import FeatureStore

def peak():
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) << 10

feature_set = FeatureStore(sys.argv[1]).feature_sets()[0]
digests = np.load(sys.argv[2])
for _ in feature_set.read_each(lambda path, fingerprint: None):
    pass
before = peak()
matrix = feature_set.load(digests)
assert (matrix[:, :32] == digests).all(axis=1)[::997].all()
print(json.dumps([(peak() - before) / matrix.nbytes, matrix.nbytes]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory the Linux way")
def test_load_takes_little_more_memory_than_the_matrix(feature_set: FeatureSet, tmp_path: Path) -> None:
    digests = make_digests(200_000)
    n_shards = 50
    for part in np.array_split(digests, n_shards):
        feature_set.append(SPEC, part, features_of(part, 64), {})
    np.save(tmp_path / "digests.npy", digests[np.random.default_rng(3).permutation(len(digests))])
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(feature_set.folder.parent), str(tmp_path / "digests.npy")],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=True,
    )
    ratio, n_bytes = json.loads(run.stdout)
    assert n_bytes == 200_000 * 64 * 4
    assert ratio < 1.2 + 1 / n_shards
