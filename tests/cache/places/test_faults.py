"""A server that fails in the middle of anything loses nothing that was committed, and nothing is silently wrong."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from fsspec import get_filesystem_class

from stackbone.cache import CacheError, CorruptFileError, FeatureStore, StackboneError
from stackbone.cache.corrections.batch import Batch
from stackbone.cache.errors import RemoteError
from stackbone.cache.places.listings import LISTINGS
from stackbone.cache.records.scores import Origin, read_scores, write_scores
from stackbone.cache.remote import failures, server
from stackbone.cache.trainings.checkpoints import load_checkpoint
from stackbone.cache.upkeep import compact as compact_module
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, make_index
from tests.made.servers import Faults, as_endpoint, faulty_proxy, nobody, s3_server

FAULTS = ("busy", "error", "reset", "lost", "half answer", "half upload", "hang")
DIGESTS = make_digests(60)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_server() as address, as_endpoint(address):
        yield address


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(failures, "_LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(server, "_READ_S", 0.3)
    monkeypatch.setattr(compact_module, "TARGET_BYTES", 30 * 8 * 4)


@pytest.fixture
def root() -> str:
    return f"s3://bucket/{uuid.uuid4().hex}"


def fill(root: str, n: int = 60) -> None:
    feature_set = FeatureStore(root).feature_set("resnet50", SPEC)
    for i, part in enumerate(np.array_split(DIGESTS[:n], 6)):
        feature_set.append(SPEC, part, features_of(part), {"run": str(i)})


def check_whole(root: str) -> None:
    """Read everything over a sound connection."""
    LISTINGS.outdate(f"{root}/x/y")
    store = FeatureStore(root)
    (feature_set,) = store.feature_sets()
    LISTINGS.outdate(f"{feature_set.folder}/y")
    np.testing.assert_array_equal(feature_set.load(DIGESTS), features_of(DIGESTS))
    assert verify(store).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_cache_does_all_day_comes_through_a_server_that_fails_now_and_then(
    s3: str, root: str, fault: str
) -> None:
    chance = random.Random(fault)
    faults = Faults(hang_s=0.6)
    rate = 0.05 if fault == "hang" else 0.25
    faults.choose = lambda method, path: fault if chance.random() < rate else None
    with faulty_proxy(s3, faults) as address, as_endpoint(address):
        fill(root)
        store = FeatureStore(root)
        store.write_dataset(make_index("photos", DIGESTS))
        store.add_corrections("photos", Batch(["0.jpg"], ["dog"], ["cat"], DIGESTS[:1], "", "fixes.csv"))
        feature_set = store.feature_set("resnet50", SPEC)
        np.testing.assert_array_equal(feature_set.load(DIGESTS), features_of(DIGESTS))
        assert compact(feature_set).rows_after == 60
        assert verify(store, repair=True).findings == []
        write_scores(store.scores_folder, "ab", Origin("photos", ()), {"p": np.ones((2, 2), np.float32)})
        assert read_scores(store.scores_folder, "ab", 1 << 20) is not None
        assert store.dataset().label[:2] == ["dog", "cat"]
        assert store.undo_corrections("photos") is not None
    assert faults.met
    check_whole(root)
    assert FeatureStore(root).dataset().label == ["cat"] * 60


@pytest.mark.parametrize("fault", FAULTS)
def test_a_write_that_cannot_be_done_says_so_and_leaves_what_was_there(s3: str, root: str, fault: str) -> None:
    fill(root, 50)
    faults = Faults(hang_s=0.4)
    faults.choose = lambda method, path: fault if method == "PUT" else None
    rest = DIGESTS[50:]
    with faulty_proxy(s3, faults) as address, as_endpoint(address):
        feature_set = FeatureStore(root).feature_set("resnet50", SPEC)
        if fault in ("half answer",):  # the answer to a put is its status, which came
            feature_set.append(SPEC, rest, features_of(rest), {})
        else:
            with pytest.raises(CacheError, match=rf"could not write {root}/.*, 7 times") as caught:
                feature_set.append(SPEC, rest, features_of(rest), {})
            assert "\n" not in str(caught.value)
    feature_set = FeatureStore(root).feature_set("resnet50", SPEC)
    LISTINGS.outdate(f"{feature_set.folder}/y")
    np.testing.assert_array_equal(feature_set.load(DIGESTS[:50]), features_of(DIGESTS[:50]))
    feature_set.append(SPEC, rest, features_of(rest), {})  # the same rows have the same name: a half one is replaced
    check_whole(root)


@pytest.mark.parametrize("fault", ["busy", "reset", "half answer"])
def test_a_server_that_is_lost_ends_a_reader_and_is_never_taken_for_an_empty_cache(
    s3: str, root: str, fault: str
) -> None:
    fill(root)
    store = FeatureStore(root)
    store.write_dataset(make_index("photos", DIGESTS))
    faults = Faults(choose=lambda method, path: fault)
    feature_set = store.feature_set("resnet50", SPEC)
    asked = (
        lambda: feature_set.missing(DIGESTS),
        store.feature_sets,
        store.dataset,
        lambda: read_scores(store.scores_folder, "ab", 1 << 20),
        lambda: load_checkpoint(store.scores_folder / "ab.training", "run"),
        lambda: verify(store, repair=True),
        lambda: compact(feature_set),
        lambda: plan_forget(store, ["photos"], unused=False),
    )
    with faulty_proxy(s3, faults) as address, as_endpoint(address):
        for ask in asked:
            LISTINGS.outdate(f"{feature_set.folder}/y")
            with pytest.raises(RemoteError) as caught:
                ask()
            assert "\n" not in str(caught.value)
    check_whole(root)
    assert not (store.root / "set-aside").is_dir()


def test_half_of_an_upload_that_a_server_shows_is_noticed_by_its_writer(
    s3: str, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No S3 does so; others behind fsspec might."""
    kind: Any = get_filesystem_class("s3")
    kind.clear_instance_cache()  # whose methods are made from those of the class as it was
    put, spoilt = kind._pipe_file, [3]

    async def put_half(self: object, path: str, data: bytes, **kwargs: object) -> object:
        spoilt[0] -= 1
        return await put(self, path, data[: len(data) // 2] if spoilt[0] >= 0 else data, **kwargs)

    monkeypatch.setattr(kind, "_pipe_file", put_half)
    fill(root)
    check_whole(root)
    spoilt[0] = 7
    feature_set = FeatureStore(root).feature_set("resnet50", SPEC)
    more = make_digests(4, seed=5)
    with pytest.raises(CacheError, match="could not write"):
        feature_set.append(SPEC, more, features_of(more), {})
    with pytest.raises(CorruptFileError):
        feature_set.load(more)
    feature_set.append(SPEC, more, features_of(more), {})
    np.testing.assert_array_equal(feature_set.load(more), features_of(more))
    kind.clear_instance_cache()


@pytest.mark.slow
def test_a_compaction_that_is_cut_short_anywhere_loses_no_row(s3: str) -> None:
    for n in range(0, 40, 8):
        root = f"s3://bucket/{uuid.uuid4().hex}"
        fill(root)
        faults = Faults()
        faults.cut_after = n
        feature_set = FeatureStore(root).feature_set("resnet50", SPEC)
        with faulty_proxy(s3, faults) as address, as_endpoint(address):
            LISTINGS.outdate(f"{feature_set.folder}/y")
            try:
                compact(feature_set)
            except StackboneError:
                pass
            else:
                assert n > 20
        check_whole(root)


def test_no_bucket_no_server_and_no_key_are_one_line(root: str, s3: str) -> None:
    for ask in (partial(verify, FeatureStore("s3://nowhere/x")), partial(fill, "s3://nowhere/x")):
        with pytest.raises(StackboneError, match="there is no 'nowhere' at the server") as caught:
            ask()
        assert "\n" not in str(caught.value)
    with as_endpoint(nobody()), pytest.raises(StackboneError, match="no server answers there") as caught:
        FeatureStore(root).dataset()
    assert "very-secret" not in str(caught.value)
