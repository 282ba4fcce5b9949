"""What is forgotten is what was named, and never a row that a dataset still needs."""

from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import CacheError, DatasetIndex, Digests, FeatureSpec, FeatureStore, FileStamps, UsageError
from stackbone.cache.records.scores import UNFINISHED, Origin, write_scores
from stackbone.cache.upkeep.forget import plan_forget
from tests.made.caches import on_disk

N = 12


def spec(architecture: str) -> FeatureSpec:
    return FeatureSpec(architecture, "random(0)", (224, 224), 0.875, "center", "bicubic", (0.5,) * 3, (0.5,) * 3, "avg")


def all_digests() -> Digests:
    return np.random.default_rng(0).integers(0, 256, (N, 32), dtype=np.uint8)


def list_dataset(store: FeatureStore, name: str, digests: Digests) -> None:
    n = len(digests)
    store.write_dataset(
        DatasetIndex(
            name=name,
            root="/photos",
            path=[f"{i}.jpg" for i in range(n)],
            label=[""] * n,
            split=[""] * n,
            group=[""] * n,
            image_sha256=digests,
            status=np.zeros(n, np.uint8),
            reason=[""] * n,
            stamps=FileStamps(np.full((n, 4), -1, np.int64)),
        )
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache of two feature sets of 12 rows, and two datasets of the first 5 and the next 4 of them."""
    store = FeatureStore(tmp_path / "features")
    digests = all_digests()
    features = np.arange(N * 3, dtype=np.float32).reshape(N, 3)
    for name in ("resnet50", "vgg19"):
        store.feature_set(name, spec(name)).append(spec(name), digests, features, {})
    list_dataset(store, "first", digests[:5])
    list_dataset(store, "second", digests[5:9])
    return store


def held(store: FeatureStore) -> dict[str, list[bool]]:
    return {each.backbone: (~each.missing(all_digests())).tolist() for each in store.feature_sets()}


def test_nothing_is_removed_before_run(store: FeatureStore) -> None:
    plan = plan_forget(store, ["vgg19"], unused=True)
    assert plan.lines() == [
        f"the feature set {store.feature_sets()[1].id} with 12 rows",
        f"3 rows of {store.feature_sets()[0].id} that no dataset lists",
    ]
    assert held(store) == {"resnet50": [True] * N, "vgg19": [True] * N}


def test_a_feature_set_goes_by_backbone_or_by_id(store: FeatureStore) -> None:
    identity = store.feature_sets()[0].id
    plan_forget(store, [identity], unused=False).run()
    assert list(held(store)) == ["vgg19"]
    plan_forget(store, ["vgg19"], unused=False).run()
    assert held(store) == {}
    assert store.dataset_names()


def test_unused_rows_go_and_used_ones_stay_as_they_were(store: FeatureStore) -> None:
    plan_forget(store, [], unused=True).run()
    assert held(store) == {name: [True] * 9 + [False] * 3 for name in ("resnet50", "vgg19")}
    rows = store.feature_sets()[0].load(all_digests()[:9])
    np.testing.assert_array_equal(rows, np.arange(27, dtype=np.float32).reshape(9, 3))


def test_a_forgotten_dataset_keeps_its_features_unless_unused_ones_go_too(store: FeatureStore) -> None:
    plan_forget(store, ["second"], unused=False).run()
    assert store.dataset_names() == ["first"]
    assert all(held(store)["resnet50"])


def test_a_dataset_and_its_rows_go_together(store: FeatureStore) -> None:
    plan_forget(store, ["second"], unused=True).run()
    assert store.dataset_names() == ["first"]
    assert held(store)["vgg19"] == [True] * 5 + [False] * 7


def test_rows_are_not_unused_for_want_of_any_dataset(store: FeatureStore) -> None:
    with pytest.raises(CacheError, match="no dataset would stay"):
        plan_forget(store, ["first", "second"], unused=True)
    assert all(held(store)["resnet50"])


def test_a_damaged_index_stops_it_before_anything_is_removed(store: FeatureStore) -> None:
    on_disk(store.root / "datasets" / "second.h5").write_bytes(b"no longer HDF5")
    with pytest.raises(CacheError, match=r"second\.h5"):
        plan_forget(store, [], unused=True)
    assert all(held(store)["resnet50"])


@pytest.mark.parametrize(("names", "words"), [([], "--unused"), (["resnet"], "resnet50-")])
def test_what_is_not_there_is_refused_with_what_is(store: FeatureStore, names: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_forget(store, names, unused=False)


def test_rows_that_a_dataset_lists_since_the_plan_are_kept(store: FeatureStore) -> None:
    plan = plan_forget(store, [], unused=True)
    list_dataset(store, "third", all_digests()[9:11])
    new = np.full((1, 32), 7, np.uint8)
    made = spec("vgg19")
    store.feature_set("vgg19", made).append(made, new, np.ones((1, 3), np.float32), {})
    told = plan.run()["removed"]
    assert told == [f"1 row of {each.id} that no dataset lists" for each in store.feature_sets()]
    assert held(store) == {name: [True] * 11 + [False] for name in ("resnet50", "vgg19")}
    assert not store.feature_sets()[1].missing(new).any()


def keep_scores(store: FeatureStore, key: str, dataset: str, *feature_sets: str) -> Path:
    arrays = {"scores": np.ones((2, 3), np.float32), "probability": np.array(0, np.bool_)}
    return on_disk(write_scores(store.scores_folder, key, Origin(dataset, feature_sets), arrays))


@pytest.mark.parametrize(
    ("names", "left"),
    [(["resnet50"], ["b", "d"]), (["first"], ["c", "d"]), (["vgg19", "second"], ["a"])],
    ids=["a backbone", "a dataset", "both"],
)
def test_scores_go_with_what_they_hang_on(store: FeatureStore, names: list[str], left: list[str]) -> None:
    resnet, vgg = (each.id for each in store.feature_sets())
    files = [
        keep_scores(store, "a", "first", resnet),
        keep_scores(store, "b", "first", vgg),
        keep_scores(store, "c", "second", vgg, resnet),
        keep_scores(store, "d", "second", vgg),
    ]
    if "second" in names:
        files = files[:1]
    plan_forget(store, names, unused=False).run()
    assert [path.stem for path in sorted(on_disk(store.scores_folder).iterdir())] == left
    assert all(path.exists() == (path.stem in left) for path in files)


@pytest.mark.parametrize("names", [["resnet50"], ["first"]])
def test_unfinished_trainings_go_with_the_first_forget(store: FeatureStore, names: list[str]) -> None:
    file = keep_scores(store, "d", "second", store.feature_sets()[1].id)
    unfinished = file.with_name(f"abc{UNFINISHED}")
    unfinished.write_bytes(b"half")
    plan_forget(store, [], unused=True).run()
    assert unfinished.exists()
    plan_forget(store, names, unused=False).run()
    assert not unfinished.exists()
    assert file.exists()


def test_scores_that_nobody_can_use_go_with_the_first_forget(store: FeatureStore) -> None:
    kept = keep_scores(store, "a", "second", store.feature_sets()[1].id)
    folder = kept.parent
    (folder / "b.scores").write_bytes(b"of an earlier version")
    (folder / "c.scores").symlink_to(kept)
    (folder / "d.scores").mkdir()
    (folder / "notes.txt").write_text("not ours")
    plan_forget(store, ["first"], unused=False).run()
    assert sorted(path.name for path in folder.iterdir()) == ["a.scores", "d.scores", "notes.txt"]
