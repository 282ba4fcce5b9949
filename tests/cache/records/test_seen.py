"""A record of what a steering saw comes back exactly, or the features that it belongs to are not to be scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import stackbone.cache.records.seen
from stackbone.cache import (
    CacheError,
    CorruptFileError,
    Digests,
    FeatureSet,
    FeatureSpec,
    FeatureStore,
    NewerVersionError,
    SeenRecord,
    read_seen,
    write_seen,
)
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import make_digests, on_disk
from tests.made.checkout import ARCHIVES
from tests.made.sealing import edited, reseal, unsealed, write_checked

STEERING = "c0ffee" + "0" * 58
PLAIN = FeatureSpec("vit", "random(0)", (224, 224), 0.9, "center", "bicubic", (0.5,) * 3, (0.5,) * 3, "model")
SPEC = replace(PLAIN, steering=STEERING)
DESCRIPTION = {
    "method": "toast",
    "stage": "tune",
    "backbone": "vit_base",
    "recipe": "ab" * 32,
    "division": {"cv": 3, "fold": 2, "seed": 0},
    "seed": 0,
}


def make_record(n: int = 5, steering: str = STEERING) -> SeenRecord:
    return SeenRecord(steering, np.unique(make_digests(n), axis=0), DESCRIPTION)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_seen(tmp_path / "vit_toast", make_record())
    return tmp_path / "vit_toast"


def test_a_record_of_version_1_opens() -> None:
    found = read_seen(ARCHIVES / "seen-v1", "cd" * 32)
    assert {digest.tobytes() for digest in found.digests} == {
        hashlib.sha256(b"image %d" % i).digest() for i in range(3)
    }
    assert found.description == {
        "method": "toast",
        "stage": "tune",
        "backbone": "timm:convnext_tiny.fb_in22k",
        "recipe": "07959a8d6168a62cbac3be158b443cdc921d2da85d77d35d2feba0c8664d07d9",
        "division": {"cv": 3, "seed": 0, "fold": 1},
        "seed": 0,
    }


@pytest.mark.parametrize("n", [0, 1, 5, 5000])
def test_a_record_comes_back_as_it_was(tmp_path: Path, n: int) -> None:
    record = make_record(n)
    write_seen(tmp_path / "set", record)
    found = read_seen(tmp_path / "set", STEERING)
    assert (found.steering, found.description) == (STEERING, DESCRIPTION)
    assert (str(found.digests.dtype), found.digests.shape) == ("uint8", (n, 32))
    np.testing.assert_array_equal(found.digests, record.digests)


def test_doubles_and_disorder_are_put_right(tmp_path: Path) -> None:
    digests = make_digests(6)
    write_seen(tmp_path, replace(make_record(), digests=np.concatenate([digests[::-1], digests[:2]])))
    np.testing.assert_array_equal(read_seen(tmp_path, STEERING).digests, np.unique(digests, axis=0))


def test_the_same_record_is_not_written_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stackbone.cache.records.seen, "write_whole", pytest.fail)
    write_seen(folder, make_record())


def test_another_record_replaces_it(folder: Path) -> None:
    write_seen(folder, make_record(9))
    assert len(read_seen(folder, STEERING).digests) == 9
    write_seen(folder, replace(make_record(9), description={**DESCRIPTION, "seed": 1}))
    assert read_seen(folder, STEERING).description["seed"] == 1
    assert [path.name for path in folder.iterdir()] == ["seen.h5"]


def test_what_is_no_digest_is_not_written(tmp_path: Path) -> None:
    wrong: list[Any] = [np.zeros((2, 31), np.uint8), np.zeros((2, 32), np.int64)]
    for digests in wrong:
        with pytest.raises(CacheError, match=r"takes \(n, 32\) uint8"):
            write_seen(tmp_path, replace(make_record(), digests=digests))


def test_its_line_names_method_number_and_part() -> None:
    assert make_record().line() == (
        "steered by toast of vit_base (stage tune), which saw the labels of 5 images (cv 3, fold 2, seed 0)"
    )
    everything = replace(make_record(), description={**DESCRIPTION, "division": None})
    assert everything.line().endswith("(everything)")


# Refusals


def test_an_absent_record_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match=r"has no seen\.h5.*`stackbone extract` with --steering.*c0ffee000000"):
        read_seen(tmp_path, STEERING)


def test_a_record_of_another_steering_is_refused(folder: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"record of the steering c0ffee0.*features' is bad000.*--steering"):
        read_seen(folder, "bad" + "0" * 61)


def _drop_description(file: h5py.File) -> None:
    del file.attrs["description"]


def _other_description(file: h5py.File) -> None:
    del file.attrs["description"]
    file.attrs.create("description", np.array(b"[]", h5py.string_dtype("utf-8", 2)))


def _no_digests(file: h5py.File) -> None:
    del file["image_sha256"]


def _digests_of_another_kind(file: h5py.File) -> None:
    del file["image_sha256"]
    file["image_sha256"] = np.zeros((5, 20), np.uint8)


@pytest.mark.parametrize("spoil", [_drop_description, _other_description, _no_digests, _digests_of_another_kind])
def test_a_record_that_is_not_the_formats_is_refused(folder: Path, spoil: Callable[[h5py.File], None]) -> None:
    with edited(folder / "seen.h5") as file:
        spoil(file)
    with pytest.raises(CorruptFileError, match=r"seen\.h5 is not a sound cache file.*--steering"):
        read_seen(folder, STEERING)


def _one_digest_less(digests: Digests) -> Digests:
    return digests[:-1]


def _one_digest_changed(digests: Digests) -> Digests:
    return np.concatenate([np.zeros((1, 32), np.uint8), digests[1:]])


def _a_word_that_fletcher_32_cannot_tell_apart(digests: Digests) -> Digests:
    digests = digests.copy()
    digests[-1, :2] = 0
    return digests


@pytest.mark.parametrize("change", [_one_digest_less, _one_digest_changed, _a_word_that_fletcher_32_cannot_tell_apart])
def test_a_record_of_version_1_with_other_digests_is_refused(
    tmp_path: Path, change: Callable[[Digests], Digests]
) -> None:
    digests = np.concatenate([make_digests(2), np.full((1, 32), 255, np.uint8)])
    texts = {
        "format": "stackbone-seen",
        "steering": STEERING,
        "description": json.dumps(DESCRIPTION),
        "digests_sha256": hashlib.sha256(digests.tobytes()).hexdigest(),
    }
    for written in (digests, change(digests)):
        with unsealed(tmp_path / "seen.h5", texts) as file:
            write_checked(file, "image_sha256", written)
        if written is digests:
            np.testing.assert_array_equal(read_seen(tmp_path, STEERING).digests, digests)
    with pytest.raises(CorruptFileError, match="not those that were written"):
        read_seen(tmp_path, STEERING)


@pytest.mark.parametrize("word", [b"\0\0", b"\xff\xff", b"ab"])
def test_a_word_changed_in_a_record_is_found(tmp_path: Path, word: bytes) -> None:
    write_seen(tmp_path, replace(make_record(), digests=np.full((3, 32), 254, np.uint8)))
    content = (tmp_path / "seen.h5").read_bytes()
    at = content.index(bytes([254]) * 32)
    (tmp_path / "seen.h5").write_bytes(content[:at] + word + content[at + 2 :])
    with pytest.raises(CorruptFileError, match="not what was sealed"):
        read_seen(tmp_path, STEERING)


def test_a_truncated_record_is_refused_and_written_anew(folder: Path) -> None:
    (folder / "seen.h5").write_bytes((folder / "seen.h5").read_bytes()[:200])
    with pytest.raises(CorruptFileError, match="--steering"):
        read_seen(folder, STEERING)
    write_seen(folder, make_record())
    assert len(read_seen(folder, STEERING).digests) == 5


def test_a_newer_record_is_neither_read_nor_replaced(folder: Path) -> None:
    reseal(folder / "seen.h5", version=3)
    content = (folder / "seen.h5").read_bytes()
    with pytest.raises(NewerVersionError, match="pip install -U"):
        read_seen(folder, STEERING)
    with pytest.raises(NewerVersionError, match="pip install -U"):
        write_seen(folder, make_record(9))
    assert (folder / "seen.h5").read_bytes() == content


# In a cache


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache of a plain and a steered feature set, the latter in two shards."""
    store = FeatureStore(tmp_path / "features")
    digests = make_digests(8)
    rows = np.arange(24, dtype=np.float32).reshape(8, 3)
    store.feature_set("vit_base", PLAIN).append(PLAIN, digests, rows, {})
    steered = store.feature_set("vit_toast", SPEC)
    write_seen(steered.folder, make_record())
    for half in (slice(0, 4), slice(4, 8)):
        steered.append(SPEC, digests[half], rows[half], {})
    return store


def steered_set(store: FeatureStore) -> FeatureSet:
    return store.feature_sets()[1]


def test_a_plain_feature_set_has_no_record(store: FeatureStore) -> None:
    assert store.feature_sets()[0].seen() is None


def test_a_steered_feature_set_has_its_record(store: FeatureStore) -> None:
    seen = steered_set(store).seen()
    assert seen is not None
    np.testing.assert_array_equal(seen.digests, make_record().digests)


def test_a_steered_feature_set_without_record_loads_and_is_not_to_be_scored(store: FeatureStore) -> None:
    (steered_set(store).folder / "seen.h5").unlink()
    assert steered_set(store).load(make_digests(8)).shape == (8, 3)
    with pytest.raises(CacheError, match="no score on its features can be trusted"):
        steered_set(store).seen()


def test_compacting_keeps_the_record(store: FeatureStore) -> None:
    assert compact(steered_set(store)).shards_after == 1
    assert len(read_seen(steered_set(store).folder, STEERING).digests) == 5
    compact(steered_set(store), drop=make_digests(8))
    assert len(read_seen(steered_set(store).folder, STEERING).digests) == 5


def test_forgetting_takes_the_record_along(store: FeatureStore) -> None:
    folder = steered_set(store).folder
    plan_forget(store, ["vit_toast"], unused=False).run()
    assert not folder.exists()
    assert [each.backbone for each in store.feature_sets()] == ["vit_base"]


def test_verify_proves_the_record(store: FeatureStore) -> None:
    found = verify(store)
    assert (found.n_shards, found.n_records, found.n_indexes, found.findings) == (3, 1, 0, [])
    assert "1 record of steerings" in found.lines()[0]
    assert found.to_dict()["n_records"] == 1


def test_verify_sets_a_damaged_record_aside(store: FeatureStore) -> None:
    path = steered_set(store).folder / "seen.h5"
    on_disk(path).write_bytes(on_disk(path).read_bytes()[:-8])
    assert [finding.path for finding in verify(store).findings] == [path]
    assert verify(store, repair=True).findings[0].moved_to is not None
    assert not path.exists()
    (finding,) = verify(store, repair=True).findings
    assert (finding.path, finding.moved_to, "has no seen.h5" in finding.problem) == (path, None, True)
    write_seen(path.parent, make_record())
    assert verify(store).findings == []


@pytest.mark.parametrize("backbone", ["vit_base", "vit_toast"])
def test_verify_finds_a_record_that_is_another_feature_sets(store: FeatureStore, backbone: str) -> None:
    folder = next(each.folder for each in store.feature_sets() if each.backbone == backbone)
    write_seen(folder, make_record(steering="bad" + "0" * 61))
    (finding,) = verify(store).findings
    assert (finding.path, "record of the steering bad000" in finding.problem) == (folder / "seen.h5", True)


def test_a_record_without_shards_is_sound(store: FeatureStore) -> None:
    for path in steered_set(store).shards():
        path.unlink()
    assert verify(store).findings == []


def test_a_summary_says_what_was_seen(store: FeatureStore) -> None:
    plain, steered = summarise(store).feature_sets
    assert plain.to_dict()["seen"] is None
    assert steered.to_dict()["seen"] == {"steering": STEERING, "n_images": 5, **DESCRIPTION}
    (line,) = [line for line in steered.lines() if "steered" in line]
    assert line.endswith("saw the labels of 5 images (cv 3, fold 2, seed 0), file c0ffee000000")


def test_a_summary_says_that_a_record_is_missing(store: FeatureStore) -> None:
    (steered_set(store).folder / "seen.h5").unlink()
    (line,) = [line for line in summarise(store).feature_sets[1].lines() if "steered" in line]
    assert "scores on it are refused" in line
    assert "--steering" in line
