"""What a cache promises holds wherever it lies: in a folder, in memory behind a URL, on a real S3 server."""

from __future__ import annotations

import pickle
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import (
    CacheError,
    CorruptFileError,
    Digests,
    FeatureSet,
    FeatureStore,
    NewerVersionError,
    SeenRecord,
    UsageError,
    default_cache,
    read_seen,
    write_seen,
)
from stackbone.cache.boxes.box_table import box_table
from stackbone.cache.boxes.image_boxes import ImageBoxes
from stackbone.cache.corrections.batch import Batch
from stackbone.cache.findings.found import FAILED, Finding, forget_findings, read_findings, write_findings
from stackbone.cache.hdf5 import opening as opening_module
from stackbone.cache.places import heads as heads_module
from stackbone.cache.places import object_path as path_module
from stackbone.cache.places import opened as opened_module
from stackbone.cache.places.heads import Heads
from stackbone.cache.places.object_path import ObjectPath
from stackbone.cache.places.opened import read_place
from stackbone.cache.places.place import Place, is_there, place_of, write_whole
from stackbone.cache.records.parts import Part, RowForm
from stackbone.cache.records.scores import Origin, read_scores, remove_scores, write_scores
from stackbone.cache.records.seen import FILE
from stackbone.cache.remote.objects import get_object
from stackbone.cache.trainings.checkpoints import load_checkpoint, remove_checkpoint, save_checkpoint
from stackbone.cache.upkeep import compact as compact_module
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.forget import plan_forget
from stackbone.cache.upkeep.set_aside import SET_ASIDE
from stackbone.cache.upkeep.summary import summarise
from stackbone.cache.upkeep.verify import verify
from tests.made.caches import SPEC, features_of, make_digests, make_index
from tests.made.sealing import resealed
from tests.made.servers import as_endpoint, s3_server, web_server

MOST = 1 << 24
STEERED = replace(SPEC, steering="ab" * 32)
MAPS = replace(SPEC, output="pyramid", crop_mode="letterbox", crop_fraction=1.0, input_size=(64, 64))
FORM = RowForm((Part("stride8", 192), Part("stride16", 80)), map_shapes=((8, 8, 3), (4, 4, 5)))


def damage(place: Place) -> None:
    content = bytearray(read_place(place, MOST))
    content[-1] ^= 1
    write_whole(place, bytes(content))


def add(feature_set: FeatureSet, digests: Digests, provenance: str = "a") -> None:
    feature_set.append(SPEC, digests, features_of(digests), {"run": provenance})


class CacheContract:
    """Each test gets an empty cache of its own."""

    @pytest.fixture
    def root(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, root: str) -> FeatureStore:
        return FeatureStore(root)

    @pytest.fixture
    def feature_set(self, store: FeatureStore) -> FeatureSet:
        return store.feature_set("resnet50", SPEC)

    def test_looking_at_an_absent_cache_makes_none(self, store: FeatureStore) -> None:
        assert store.feature_sets() == []
        assert store.dataset_names() == []
        assert store.remove_abandoned() == 0
        with pytest.raises(CacheError, match="no dataset in the cache in"):
            store.dataset()
        with pytest.raises(CacheError, match="there is no cache at") as caught:
            verify(store)
        assert str(store.root) in str(caught.value)
        assert not store.root.is_dir()

    def test_rows_come_back_by_digest_in_any_order(self, store: FeatureStore, feature_set: FeatureSet) -> None:
        digests = make_digests(40)
        assert feature_set.missing(digests).all()
        for part in np.array_split(digests, 5):
            add(feature_set, part)
        assert not feature_set.missing(digests).any()
        assert feature_set.missing(make_digests(3, seed=9)).all()
        wanted = digests[np.random.default_rng(0).permutation(40)]
        np.testing.assert_array_equal(feature_set.load(wanted), features_of(wanted))
        assert [each.id for each in FeatureStore(str(store.root)).feature_sets()] == [feature_set.id]
        assert feature_set.header().dim == 8
        assert len(feature_set.shards()) == 5

    def test_a_shard_larger_than_the_first_piece_comes_back_too(self, feature_set: FeatureSet) -> None:
        digests = make_digests(9_000)  # 288 kB of digests
        feature_set.append(SPEC, digests, features_of(digests, 32), {})
        assert feature_set.header().n_rows == 9_000
        np.testing.assert_array_equal(feature_set.digests(), digests)
        np.testing.assert_array_equal(feature_set.load(digests), features_of(digests, 32))

    def test_the_same_rows_written_twice_are_one_file(self, feature_set: FeatureSet) -> None:
        for _ in range(2):
            add(feature_set, make_digests(5))
        assert len(feature_set.shards()) == 1

    def test_features_that_are_given_join_by_name_and_provenance(self, store: FeatureStore) -> None:
        digests = make_digests(6)
        given = store.add_features("clip", digests, features_of(digests), {"model": "x"})
        store.add_features("clip", digests, features_of(digests), {"model": "x"})
        assert len(given.shards()) == 1
        with pytest.raises(CacheError, match="holds other features"):
            store.add_features("clip", digests, features_of(digests) + 1, {"model": "x"})

    def test_an_index_is_replaced_and_the_latest_is_the_default(self, store: FeatureStore) -> None:
        digests = make_digests(5)
        store.write_dataset(make_index("a", digests))
        store.write_dataset(make_index("photos", digests[:2]))
        store.write_dataset(make_index("photos", digests, labels=["dog"] * 5))
        assert store.dataset("photos").label == ["dog"] * 5
        assert sorted(store.dataset_names()) == ["a", "photos"]
        assert store.dataset().name in ("a", "photos")  # servers tell seconds
        with pytest.raises(UsageError, match="has no dataset 'b'; it has a, photos"):
            store.dataset("b")

    def test_corrections_apply_are_numbered_and_are_taken_back(self, store: FeatureStore) -> None:
        digests = make_digests(3)
        store.write_dataset(make_index("photos", digests))
        for label in ("dog", "fox"):
            store.add_corrections("photos", Batch(["0.jpg"], [label], ["cat"], digests[:1], "", "fixes.csv"))
        assert store.dataset().label == ["fox", "cat", "cat"]
        assert [each.created for each in store.corrections("photos")] == sorted(
            each.created for each in store.corrections("photos")
        )
        undone = store.undo_corrections("photos")
        assert undone is not None
        assert undone.label == ["fox"]
        assert store.dataset().label == ["dog", "cat", "cat"]
        assert store.undo_corrections("photos") is not None
        assert store.undo_corrections("photos") is None
        assert store.dataset().label == ["cat"] * 3

    def test_boxes_come_back_and_go(self, store: FeatureStore) -> None:
        digests = make_digests(2)
        store.write_dataset(make_index("photos", digests))
        no = np.zeros(1, np.bool_)
        image = ImageBoxes(np.array([[1, 2, 3, 4]], np.float32), ("cat",), no, no, 640, 480)
        table = box_table({digests[0].tobytes(): image}, "voc")
        store.write_boxes("photos", table)
        found = store.boxes("photos")
        assert found is not None
        assert found.equals(table)
        store.write_boxes("photos", None)
        store.write_boxes("photos", None)
        assert store.boxes("photos") is None

    def test_findings_of_parts_come_back_and_go(self, store: FeatureStore) -> None:
        digests = make_digests(2)
        told = {digests[0].tobytes(): Finding(FAILED, "cut short")}
        write_findings(store.root, "photos", told)
        write_findings(store.root, "photos", {digests[1].tobytes(): Finding(FAILED, "empty")})
        assert read_findings(store.root, "photos") == {**told, digests[1].tobytes(): Finding(FAILED, "empty")}
        store.write_dataset(make_index("photos", digests))
        assert store.dataset().reason == ["cut short", "empty"]
        forget_findings(store.root, "photos")
        assert read_findings(store.root, "photos") == {}

    def test_the_record_of_a_steering_comes_back(self, store: FeatureStore) -> None:
        folder = store.feature_set("vit_toast", STEERED).folder
        said = {"method": "toast", "stage": "tune", "backbone": "vit", "recipe": "ab", "division": None, "seed": 0}
        with pytest.raises(CacheError, match=r"has no seen\.h5"):
            read_seen(folder, "ab" * 32)
        write_seen(folder, SeenRecord("ab" * 32, make_digests(4), said))
        assert len(read_seen(folder, "ab" * 32).digests) == 4
        assert is_there(folder / FILE)

    def test_scores_are_kept_found_and_forgotten(self, store: FeatureStore) -> None:
        folder, arrays = store.scores_folder, {"p": np.arange(6, dtype=np.float32).reshape(2, 3)}
        assert read_scores(folder, "ab", MOST) is None
        kept = write_scores(folder, "ab", Origin("photos", ("resnet50",)), arrays, ["did not converge"])
        write_scores(folder, "cd", Origin("other", ()), arrays)
        found = read_scores(folder, "ab", MOST)
        assert found is not None
        np.testing.assert_array_equal(found.arrays["p"], arrays["p"])
        assert found.warnings == ["did not converge"]
        assert read_scores(folder, "ab", -65_536) is None  # larger than what is asked for can be
        damage(kept)
        assert read_scores(folder, "ab", MOST) is None
        assert remove_scores(folder, datasets=["photos"]) == 1
        assert read_scores(folder, "cd", MOST) is not None
        assert remove_scores(folder, datasets=["other"]) == 1
        assert remove_scores(folder, datasets=["other"]) == 0

    def test_a_training_is_taken_up_where_it_was_and_never_from_a_damaged_file(self, store: FeatureStore) -> None:
        path = store.scores_folder / "ab.training"
        assert load_checkpoint(path, "run") is None
        for epoch in (1, 2):
            save_checkpoint(path, "run", {"epoch": epoch}, {"w": np.full(3, epoch, np.float32)})
        found = load_checkpoint(path, "run")
        assert found is not None
        assert found[0] == {"epoch": 2}
        np.testing.assert_array_equal(found[1]["w"], np.full(3, 2, np.float32))
        damage(path)
        assert load_checkpoint(path, "run") is None
        remove_checkpoint(path)
        remove_checkpoint(path)
        assert not is_there(path)

    def test_damage_is_found_set_aside_and_refilled(self, store: FeatureStore, feature_set: FeatureSet) -> None:
        digests = make_digests(20)
        for part in np.array_split(digests, 2):
            add(feature_set, part)
        store.write_dataset(make_index("photos", digests))
        assert verify(store).findings == []
        hurt = feature_set.shards()[1]
        damage(hurt)
        with pytest.raises(CorruptFileError, match=r"not a sound cache file|what was sealed") as caught:
            feature_set.load(digests)
        assert str(hurt) in str(caught.value)
        (finding,) = verify(store).findings
        assert (finding.path, finding.moved_to) == (hurt, None)
        (finding,) = verify(store, repair=True).findings
        assert finding.moved_to is not None
        assert finding.moved_to.parent == store.root / SET_ASIDE / feature_set.id
        assert is_there(finding.moved_to)
        assert not is_there(hurt)
        lacking = digests[feature_set.missing(digests)]
        assert len(lacking) == 10
        add(feature_set, lacking)
        np.testing.assert_array_equal(feature_set.load(digests), features_of(digests))
        assert verify(store).findings == []

    def test_a_file_of_another_program_or_a_newer_version_is_refused(self, feature_set: FeatureSet) -> None:
        add(feature_set, make_digests(3))
        write_whole(feature_set.folder / "part-x.h5", b"nothing of ours")
        with pytest.raises(CorruptFileError):
            feature_set.digests()
        write_whole(feature_set.folder / "part-x.h5", b"")
        with pytest.raises(CorruptFileError):
            feature_set.digests()
        shard = read_place(next(each for each in feature_set.shards() if each.name != "part-x.h5"), MOST)
        write_whole(
            feature_set.folder / "part-x.h5", shard.replace(b"stackbone-features 2\n", b"stackbone-features 3\n")
        )
        with pytest.raises(CorruptFileError, match="SHA-256"):  # who changed the version broke the seal
            feature_set.digests()
        write_whole(feature_set.folder / "part-x.h5", resealed(shard, version=3))
        with pytest.raises(NewerVersionError, match="version is 3, this one reads up to 2"):
            feature_set.digests()

    def test_compaction_makes_shards_fewer_and_changes_no_row(
        self, feature_set: FeatureSet, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(compact_module, "TARGET_BYTES", 20 * 8 * 4)
        digests = make_digests(50)
        for i, part in enumerate([*np.array_split(digests, 9), digests[:7]]):
            add(feature_set, part, str(i))
        done = compact(feature_set, drop=digests[45:])
        assert (done.shards_before, done.shards_after, done.rows_before, done.rows_after) == (10, 3, 57, 45)
        np.testing.assert_array_equal(feature_set.load(digests[:45]), features_of(digests[:45]))
        assert feature_set.missing(digests).tolist() == [False] * 45 + [True] * 5
        assert compact(feature_set).shards_after == 3

    def test_forgetting_removes_what_was_named_and_nothing_else(
        self, store: FeatureStore, feature_set: FeatureSet
    ) -> None:
        digests, other = make_digests(10), store.feature_set("vgg19", replace(SPEC, architecture="vgg19.tv_in1k"))
        add(feature_set, digests)
        other.append(replace(SPEC, architecture="vgg19.tv_in1k"), digests, features_of(digests), {})
        store.write_dataset(make_index("photos", digests[:6]))
        store.write_dataset(make_index("more", digests[:3]))
        write_scores(store.scores_folder, "ab", Origin("photos", (other.id,)), {"p": np.ones((1, 1), np.float32)})
        plan = plan_forget(store, ["vgg19", "more"], unused=True)
        assert any("the dataset more" in line for line in plan.lines())
        plan.run()
        assert [each.id for each in store.feature_sets()] == [feature_set.id]
        assert store.dataset_names() == ["photos"]
        assert feature_set.missing(digests).tolist() == [False] * 6 + [True] * 4
        assert read_scores(store.scores_folder, "ab", MOST) is None
        assert verify(store).findings == []

    def test_maps_are_read_image_by_image(self, store: FeatureStore) -> None:
        digests = make_digests(9)
        rows = (digests[:, :1].astype(np.float16) + np.arange(272, dtype=np.float16) / 4).astype(np.float16)
        sizes = digests[:, 1:3].astype(np.int64) + 1
        maps = store.feature_set("resnet50", MAPS)
        for part in (slice(5), slice(5, 9)):
            maps.append(MAPS, digests[part], rows[part], {}, FORM, sizes=sizes[part])
        reader = maps.maps()
        chosen = [7, 2, 2, 0]
        fine, coarse = reader.read(digests[chosen])
        np.testing.assert_array_equal(fine.reshape(4, -1), rows[chosen, :192])
        np.testing.assert_array_equal(coarse.reshape(4, -1), rows[chosen, 192:])
        np.testing.assert_array_equal(reader.sizes(digests), sizes)
        compact(maps)
        np.testing.assert_array_equal(reader.read(digests)[0].reshape(9, -1), rows[:, :192])

    def test_a_summary_names_the_place(self, store: FeatureStore, feature_set: FeatureSet) -> None:
        digests = make_digests(4)
        add(feature_set, digests)
        store.write_dataset(make_index("photos", digests))
        lines = "\n".join(summarise(store).lines())
        assert lines.startswith(f"{store.root}: 1 feature set")
        assert "covers photos" in lines

    def test_a_reader_is_undisturbed_by_compaction_between_listing_and_reading(self, feature_set: FeatureSet) -> None:
        digests = make_digests(30)
        for i, part in enumerate(np.array_split(digests, 6)):
            add(feature_set, part, str(i))
        seen: list[Digests] = []

        def read(path: Place, fingerprint: str) -> Digests:
            from stackbone.cache.records.shard import read_digests

            if len(seen) == 2:
                compact(feature_set)
            seen.append(read_digests(path, fingerprint))
            return seen[-1]

        rows = np.concatenate([found for _, found in feature_set.read_each(read)])
        assert {each.tobytes() for each in rows} == {each.tobytes() for each in digests}

    def test_writers_and_compactions_at_once_lose_no_row(self, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compact_module, "TARGET_BYTES", 30 * 8 * 4)
        digests, errors = make_digests(120), list[BaseException]()
        over = threading.Event()

        def run(work: object) -> None:
            try:
                work()  # type: ignore[operator]
            except BaseException as exc:
                errors.append(exc)

        def write(number: int) -> None:
            mine = FeatureStore(root).feature_set("resnet50", SPEC)
            for part in np.array_split(digests[number * 30 : number * 30 + 60], 8):
                add(mine, part, str(number))
                assert not mine.missing(part).any()

        def merge() -> None:
            while not over.is_set():
                compact(FeatureStore(root).feature_set("resnet50", SPEC))

        writers = [threading.Thread(target=run, args=(lambda i=i: write(i),)) for i in range(3)]
        mergers = [threading.Thread(target=run, args=(merge,)) for _ in range(2)]
        for each in (*mergers, *writers):
            each.start()
        for each in writers:
            each.join()
        over.set()
        for each in mergers:
            each.join()
        assert errors == []
        found = FeatureStore(root).feature_set("resnet50", SPEC)
        np.testing.assert_array_equal(found.load(digests), features_of(digests))
        assert verify(FeatureStore(root)).findings == []

    def test_the_environment_may_name_it_and_it_travels_to_other_processes(
        self, root: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STACKBONE_CACHE", root)
        assert default_cache() == place_of(root) == FeatureStore().root == FeatureStore(FeatureStore().root).root
        assert pickle.loads(pickle.dumps(FeatureStore().root)) == place_of(root)


class TestFolder(CacheContract):
    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return str(tmp_path / "features")


class TestMemory(CacheContract):
    @pytest.fixture
    def root(self) -> str:
        return f"memory://{uuid.uuid4().hex}/features"


@pytest.fixture(scope="module")
def s3() -> Iterator[None]:
    with s3_server() as address, as_endpoint(address):
        yield


class TestS3(CacheContract):
    @pytest.fixture
    def root(self, s3: None) -> str:
        return f"s3://bucket/{uuid.uuid4().hex}/features"


def test_a_cache_on_a_web_server_can_be_read_and_not_written(tmp_path: Path) -> None:
    digests = make_digests(9_000)
    local = FeatureStore(tmp_path / "features")
    local.feature_set("resnet50", SPEC).append(SPEC, digests, features_of(digests, 32), {})
    local.write_dataset(make_index("photos", digests))
    with web_server(tmp_path) as address:
        store = FeatureStore(f"{address}/features")
        (feature_set,) = store.feature_sets()
        np.testing.assert_array_equal(feature_set.load(digests), features_of(digests, 32))
        assert store.dataset().name == "photos"
        assert verify(store, repair=True).findings == []
        with pytest.raises(CacheError, match="the server does not offer it"):
            feature_set.append(SPEC, digests[:1], features_of(digests[:1], 32), {})
        with pytest.raises(CacheError, match="the server does not offer it"):
            write_scores(store.scores_folder, "ab", Origin("photos", ()), {"p": np.ones((1, 1), np.float32)})
        with pytest.raises(CacheError, match="the server does not offer it"):
            plan_forget(store, ["photos"], unused=False).run()
    assert len(local.feature_set("resnet50", SPEC).shards()) == 1


def test_a_cache_on_a_web_server_that_tells_no_lengths_can_be_read(tmp_path: Path) -> None:
    digests = make_digests(9_000)
    local = FeatureStore(tmp_path / "features")
    local.feature_set("resnet50", SPEC).append(SPEC, digests, features_of(digests, 32), {})
    local.write_dataset(make_index("photos", digests))
    rows = np.ones((4, 272), np.float16)
    maps = local.feature_set("resnet50", MAPS)
    shard = maps.append(MAPS, digests[:4], rows, {}, FORM, sizes=np.ones((4, 2), np.int64))
    with web_server(tmp_path, tells_lengths=False) as address:
        store = FeatureStore(f"{address}/features")
        feature_set = store.feature_set("resnet50", SPEC)
        assert not feature_set.missing(digests).any()
        assert feature_set.header().n_rows == 9_000
        np.testing.assert_array_equal(feature_set.load(digests), features_of(digests, 32))
        assert store.dataset().name == "photos"
        assert verify(store, repair=True).findings == []
        reader = store.feature_set("resnet50", MAPS).maps()
        np.testing.assert_array_equal(reader.read(digests[:2])[0].reshape(2, -1), rows[:2, :192])
        damage(shard)  # nothing told that these are the bytes that were proven
        with pytest.raises(CorruptFileError):
            reader.read(digests[:2])


def test_of_a_large_object_of_others_little_is_got(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_module, "_LARGE_BYTES", 1 << 16)
    got: list[int] = []
    real = get_object

    def get(url: str, start: int = 0, end: int | None = None) -> bytes:
        content = real(url, start, end)
        got.append(len(content))
        return content

    monkeypatch.setattr(path_module, "get_object", get)
    store = FeatureStore(f"memory://{uuid.uuid4().hex}/features")
    digests = make_digests(4_000)
    store.write_dataset(make_index("photos", digests))
    assert len(store.dataset("photos")) == 4_000
    assert max(got) > 1 << 16
    place = store.root / "datasets" / "films.h5"
    write_whole(place, b"stackbone? no" + bytes(1 << 18))
    got.clear()
    with pytest.raises(CorruptFileError, match="begins neither with a seal nor as an HDF5 file"):
        store.dataset("films")
    assert max(got) < 100
    monkeypatch.setattr(opening_module, "MAX_FILE_BYTES", 1 << 17)
    got.clear()
    with pytest.raises(CorruptFileError, match=r"more than the 131,072"):
        store.dataset("photos")
    assert max(got) == (1 << 17) + 1


def test_shards_that_are_more_than_fit_in_memory_are_not_all_got_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(f"memory://{uuid.uuid4().hex}/features")
    feature_set, digests = store.feature_set("resnet50", SPEC), make_digests(40)
    for part in np.array_split(digests, 40):
        add(feature_set, part)
    heads = Heads()
    monkeypatch.setattr(opened_module, "HEADS", heads)
    monkeypatch.setattr(heads_module, "_MOST_BYTES", 20 * len(get_object(str(feature_set.shards()[0]))))
    n_got = [0]
    real = get_object

    def get(url: str, start: int = 0, end: int | None = None) -> bytes:
        n_got[0] += 1
        return real(url, start, end)

    monkeypatch.setattr(path_module, "get_object", get)
    feature_set.missing(digests)
    assert n_got == [40]
    for _ in range(10):
        feature_set.missing(digests)
    assert n_got[0] <= 40 + 10 * 21


@pytest.mark.parametrize("n_shards", [1, 12])
def test_of_a_shard_no_more_is_got_than_is_used(n_shards: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(f"memory://{uuid.uuid4().hex}/features")
    feature_set, digests = store.feature_set("resnet50", SPEC), make_digests(40)
    for part in np.array_split(digests, n_shards):
        add(feature_set, part)
    n_got = [0]
    real = get_object

    def get(url: str, start: int = 0, end: int | None = None) -> bytes:
        n_got[0] += 1
        return real(url, start, end)

    monkeypatch.setattr(path_module, "get_object", get)
    feature_set.load(digests)
    assert n_got == [n_shards]
    feature_set.header()
    assert n_got == [n_shards + 1]
    feature_set.missing(digests)
    assert n_got == [2 * n_shards]


def test_a_url_that_was_made_a_path_is_refused() -> None:
    with pytest.raises(UsageError, match="Give the URL as text"):
        FeatureStore(Path("s3://bucket/features"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("s3:/bucket/f", "is a URL with one slash. Type both of them"),
        ("simplecache::s3://bucket/f", "one URL within another"),
        ("zip://a.zip::s3://bucket/f", "one URL within another"),
        ("file://elsewhere/tmp/x", "a file of the machine 'elsewhere'"),
    ],
)
def test_a_slip_in_a_url_makes_no_folder(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        FeatureStore(name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_name_looks_like_a_url_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "f").mkdir(parents=True)
    assert FeatureStore("s3:/f").root == Path("s3:/f")
    assert place_of("./t3:/f") == Path("./t3:/f")


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_url_of_a_file_is_a_folder_of_this_machine(tmp_path: Path, host: str) -> None:
    assert FeatureStore(f"file://{host}{tmp_path}/a%20b").root == tmp_path / "a b"


@pytest.mark.parametrize(
    ("url", "name", "stem", "parent"),
    [
        ("s3://bucket/features/part-1.h5", "part-1.h5", "part-1", "s3://bucket/features"),
        ("S3://bucket/features/", "features", "features", "s3://bucket"),
        ("memory://a/.hidden", ".hidden", ".hidden", "memory://a"),
    ],
)
def test_parts_of_an_object_path(url: str, name: str, stem: str, parent: str) -> None:
    path = ObjectPath(url)
    assert (path.name, path.stem, str(path.parent)) == (name, stem, parent)
    assert path.parent / path.name == path
