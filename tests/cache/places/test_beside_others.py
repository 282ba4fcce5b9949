"""What another machine writes or removes between two requests of ours stays written, or removed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import fsspec
import pytest

from stackbone.cache import FeatureStore
from stackbone.cache.corrections.batch import Batch
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.opened import read_place
from stackbone.cache.records.seen import FILE
from stackbone.cache.remote import failures
from stackbone.cache.remote.listing import stat_remote
from stackbone.cache.upkeep.compact import remove_feature_set
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, make_index

DIGESTS = make_digests(20)
Request = Callable[..., Any]


class OtherMachine:
    """Reads and writes the objects of a cache in memory, and does so between the requests of this process."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.files: Any = fsspec.filesystem("memory", use_listings_cache=False)
        self._patch, self._kind = patch, type(self.files)
        self.n_asked = 0

    def put(self, url: str, content: bytes) -> None:
        self.files.store.pop(url.removeprefix("memory:/"), None)
        with self.files.open(url.removeprefix("memory:/"), "wb") as file:
            file.write(content)

    def after(self, method: str, name: str, do: Callable[[], object], *, is_lost: bool = False) -> None:
        """Let something be done once, after the first request of a kind for an object; its answer may be lost."""
        real: Request = getattr(self._kind, method)

        def ask(files: object, path: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - of any method
            answer = real(files, path, *args, **kwargs)
            if path.endswith(name):
                self.n_asked += 1
                if self.n_asked == 1:
                    do()
                    if is_lost:
                        message = "the answer is lost"
                        raise ConnectionError(message)
            return answer

        self._patch.setattr(self._kind, method, ask)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> OtherMachine:
    monkeypatch.setattr(failures, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(failures, "_LONGEST_WAIT_S", 0.01)
    return OtherMachine(monkeypatch)


@pytest.fixture
def store() -> FeatureStore:
    return FeatureStore(f"memory://{uuid.uuid4().hex}/features")


def index_bytes(name: str, label: str, n: int = 20) -> bytes:
    """Return the index that another machine would write."""
    elsewhere = FeatureStore(f"memory://{uuid.uuid4().hex}/features")
    elsewhere.write_dataset(make_index(name, DIGESTS[:n], labels=[label] * n))
    return read_place(elsewhere.root / "datasets" / f"{name}.h5", 1 << 20)


@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("n", [5, 20])
def test_an_index_is_never_put_again_over_that_of_another_machine(
    store: FeatureStore, other: OtherMachine, n: int, *, is_first: bool, is_lost: bool
) -> None:
    place = f"{store.root}/datasets/photos.h5"
    if not is_first:
        store.write_dataset(make_index("photos", DIGESTS[:3]))
    newer = index_bytes("photos", "newer", n)
    other.after("pipe_file", "photos.h5", lambda: other.put(place, newer), is_lost=is_lost)
    store.write_dataset(make_index("photos", DIGESTS, labels=["older"] * 20))
    assert store.dataset("photos").label == ["newer"] * n
    assert other.n_asked == 1


@pytest.mark.parametrize("is_first", [False, True])
def test_an_index_that_did_not_arrive_is_put_again(store: FeatureStore, other: OtherMachine, *, is_first: bool) -> None:
    place = f"{store.root}/datasets/photos.h5"
    if not is_first:
        store.write_dataset(make_index("photos", DIGESTS[:3]))
    before = None if is_first else read_place(ObjectPath(place), 1 << 20)

    def undo() -> None:
        other.files.rm_file(place.removeprefix("memory:/"))
        if before:
            other.files.store.update(kept)

    kept = {name: file for name, file in other.files.store.items() if name.endswith("photos.h5")}
    other.after("pipe_file", "photos.h5", undo, is_lost=True)
    store.write_dataset(make_index("photos", DIGESTS, labels=["ours"] * 20))
    assert other.n_asked == 2
    assert store.dataset("photos").label == ["ours"] * 20


def test_half_of_an_index_that_arrived_is_put_again(store: FeatureStore, other: OtherMachine) -> None:
    place = f"{store.root}/datasets/photos.h5"
    store.write_dataset(make_index("photos", DIGESTS[:3]))
    ours = index_bytes("photos", "ours")
    other.after("pipe_file", "photos.h5", lambda: other.put(place, ours[: len(ours) // 2]))
    store.write_dataset(make_index("photos", DIGESTS, labels=["ours"] * 20))
    assert store.dataset("photos").label == ["ours"] * 20


def test_a_shard_that_is_merged_away_at_once_was_written(store: FeatureStore, other: OtherMachine) -> None:
    feature_set = store.feature_set("resnet50", SPEC)
    folder = f"{feature_set.folder}"

    def merge_away() -> None:
        for path in other.files.find(folder.removeprefix("memory:/")):
            other.files.rm_file(path)

    other.after("pipe_file", ".h5", merge_away)
    feature_set.append(SPEC, DIGESTS, features_of(DIGESTS), {})
    assert other.n_asked == 1
    assert feature_set.shards() == []


def test_what_another_machine_writes_after_a_removal_whose_answer_was_lost_stays(
    store: FeatureStore, other: OtherMachine
) -> None:
    for name in ("photos", "more"):
        store.write_dataset(make_index(name, DIGESTS[:3]))
    again = index_bytes("photos", "again")
    plan = plan_forget(store, ["photos"], unused=False)
    other.after("rm_file", "photos.h5", lambda: other.put(f"{store.root}/datasets/photos.h5", again), is_lost=True)
    plan.run()
    assert other.n_asked == 1
    assert store.dataset("photos").label == ["again"] * 20


def test_a_removal_whose_request_was_lost_is_made_again(store: FeatureStore, other: OtherMachine) -> None:
    store.write_dataset(make_index("photos", DIGESTS[:3]))
    place = next(name for name in other.files.store if name.endswith(f"{store.root}/datasets/photos.h5"[9:]))
    file = other.files.store[place]
    other.after("rm_file", "photos.h5", lambda: other.files.store.update({place: file}), is_lost=True)
    plan_forget(store, ["photos"], unused=False).run()
    assert other.n_asked == 2
    assert store.dataset_names() == []


def test_rows_of_a_dataset_that_another_machine_has_just_committed_are_not_unused(
    store: FeatureStore, other: OtherMachine
) -> None:
    feature_set = store.feature_set("resnet50", SPEC)
    feature_set.append(SPEC, DIGESTS, features_of(DIGESTS), {})
    store.write_dataset(make_index("photos", DIGESTS[:5]))
    plan = plan_forget(store, [], unused=True)
    assert plan.lines() == [f"15 rows of {feature_set.id} that no dataset lists"]
    other.put(f"{store.root}/datasets/more.h5", index_bytes("more", "cat"))
    assert not plan_forget(store, [], unused=True).unused
    assert plan.run() == {"removed": []}
    assert not feature_set.missing(DIGESTS).any()


def test_the_record_of_a_feature_set_that_another_machine_has_just_begun_stays(
    store: FeatureStore, other: OtherMachine
) -> None:
    feature_set = store.feature_set("resnet50", SPEC)
    elsewhere = FeatureStore(f"memory://{uuid.uuid4().hex}/features").feature_set("resnet50", SPEC)
    shard = elsewhere.append(SPEC, DIGESTS, features_of(DIGESTS), {})
    other.put(f"{feature_set.folder}/{FILE}", b"of a steering")
    assert feature_set.shards() == []
    after = read_place(shard, 1 << 20)
    other.after("ls", feature_set.id, lambda: other.put(f"{feature_set.folder}/{shard.name}", after))
    assert remove_feature_set(feature_set) == 0
    assert [each.name for each in feature_set.shards()] == [shard.name]
    assert stat_remote(f"{feature_set.folder}/{FILE}").size == 13


def test_the_last_corrections_are_taken_back_even_if_another_machine_has_just_added_them(
    store: FeatureStore, other: OtherMachine
) -> None:
    def add(to: FeatureStore, label: str) -> Any:  # noqa: ANN401 - a place
        return to.add_corrections("photos", Batch(["0.jpg"], [label], ["cat"], DIGESTS[:1], "", "fixes.csv"))

    elsewhere = FeatureStore(f"memory://{uuid.uuid4().hex}/features")
    for each in (store, elsewhere):
        each.write_dataset(make_index("photos", DIGESTS))
        add(each, "dog")
    assert store.dataset().label[0] == "dog"  # remembers the listing
    add(elsewhere, "fox")
    last = elsewhere.root / "corrections" / "photos"
    path = max(last.glob("*.h5"))
    other.put(f"{store.root}/corrections/photos/{path.name}", read_place(path, 1 << 20))
    undone = store.undo_corrections("photos")
    assert undone is not None
    assert undone.label == ["fox"]


def damaged(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def test_a_sound_index_in_the_place_of_a_damaged_one_is_not_set_aside(store: FeatureStore, other: OtherMachine) -> None:
    place, sound = f"{store.root}/datasets/photos.h5", index_bytes("photos", "sound")
    other.put(place, damaged(sound))
    other.after("cat_file", "photos.h5", lambda: other.put(place, sound))
    assert verify(store, repair=True).findings == []
    assert store.dataset("photos").label == ["sound"] * 20


@pytest.mark.parametrize("n", [3, 20])
def test_a_sound_index_that_comes_while_a_damaged_one_is_set_aside_stays(
    store: FeatureStore, other: OtherMachine, n: int
) -> None:
    place, sound = f"{store.root}/datasets/photos.h5", index_bytes("photos", "sound", n)
    other.put(place, damaged(index_bytes("photos", "other")))
    other.after("cp_file", "photos.h5", lambda: other.put(place, sound))
    (finding,) = verify(store, repair=True).findings
    assert finding.moved_to is None
    assert "it was written meanwhile" in finding.line()
    assert store.dataset("photos").label == ["sound"] * n
    assert not (store.root / "set-aside").is_dir()
    assert verify(store).findings == []
