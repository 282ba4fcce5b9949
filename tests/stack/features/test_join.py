"""Labels and features meet by digest, each image once, with everything that must stay together in one group."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import (
    FAILED,
    CacheError,
    DatasetIndex,
    FeatureSpec,
    FeatureStore,
    FileStamps,
    StackError,
    UsageError,
)
from stackbone.cache.feature_set import FeatureSet
from stackbone.cache.records.indexes.listed import Listed
from stackbone.cache.records.parts import Part, RowForm
from stackbone.cache.records.shard import PATTERN
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.folds.groups import join_groups
from tests.made.caches import on_disk

N, DIM = 12, 4
LABELS = [f"class {i % 2}" for i in range(N)]


def made_spec(architecture: str, precision: str = "fp32", steering: str | None = None) -> FeatureSpec:
    half = (0.5, 0.5, 0.5)
    size = (224, 224)
    return FeatureSpec(
        architecture, "random(0)", size, 0.875, "center", "bicubic", half, half, "avg", precision, steering=steering
    )


def made_digests(n: int = N) -> NDArray[np.uint8]:
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n))
    return np.frombuffer(content, np.uint8).reshape(n, 32).copy()


def made_index(labels: list[str], digests: NDArray[np.uint8] | None = None) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"{i % 3}/{i}.jpg" for i in range(n)],
        label=labels,
        split=[""] * n,
        group=[""] * n,
        image_sha256=made_digests(n) if digests is None else digests,
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )


def made_features(seed: int, n: int = N) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def add(
    store: FeatureStore, spec: FeatureSpec, x: NDArray[np.float32], digests: NDArray[np.uint8] | None = None
) -> FeatureSet:
    feature_set = store.feature_set(spec.architecture, spec)
    feature_set.append(spec, made_digests(len(x)) if digests is None else digests, x, {})
    return feature_set


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache with one dataset and two backbones, committed in shuffled order."""
    store = FeatureStore(tmp_path / "features")
    for seed, name in enumerate(("resnet50", "vgg19")):
        order = np.random.default_rng(seed).permutation(N)
        add(store, made_spec(name), made_features(seed)[order], made_digests()[order])
    store.write_dataset(made_index(LABELS))
    return store


def together(joined: Joined) -> list[list[int]]:
    """Return the rows of the index that share a group, for every group of several."""
    assert joined.groups is not None
    members = [joined.rows[joined.groups == group].tolist() for group in np.unique(joined.groups)]
    return [rows for rows in members if len(rows) > 1]


def test_rows_of_all_blocks_are_the_same_images(store: FeatureStore) -> None:
    joined = join_features(store)
    assert joined.rows.tolist() == list(range(N))
    assert joined.labels.tolist() == LABELS
    assert joined.paths == joined.index.path
    np.testing.assert_array_equal(joined.digests, made_digests())
    for seed, name in enumerate(("resnet50", "vgg19")):
        np.testing.assert_array_equal(joined.blocks[name], made_features(seed))
    assert joined.groups is None
    assert joined.notes == []


def test_copies_count_once_and_with_two_labels_not_at_all(store: FeatureStore) -> None:
    digests = made_digests()
    digests[[4, 6]] = digests[0]  # one label, three files
    digests[3] = digests[2]  # two labels
    store.write_dataset(made_index(LABELS, digests))
    joined = join_features(store)
    assert joined.rows.tolist() == [0, 1, 5, 7, 8, 9, 10, 11]
    assert joined.left_out == {"unlabelled": 0, "failed": 0, "doubles": 2, "conflicting": 2}
    np.testing.assert_array_equal(joined.blocks["vgg19"], made_features(1)[joined.rows])


def test_of_copies_the_one_under_test_is_kept(store: FeatureStore) -> None:
    digests = made_digests()
    digests[0] = digests[10]
    splits = ["train"] * 8 + ["test"] * 4
    store.write_dataset(replace(made_index(LABELS, digests), split=splits))
    assert join_features(store, split="test").rows.tolist() == list(range(1, N))
    assert join_features(store, split="test").splits.tolist() == splits[1:]
    assert 10 not in join_features(store, split="train").rows


def test_unlabelled_and_failed_images_are_counted_and_left_out(store: FeatureStore) -> None:
    index = made_index(["", *LABELS[1:]])
    index.status[1] = FAILED
    store.write_dataset(index)
    joined = join_features(store)
    assert joined.rows.tolist() == list(range(2, N))
    assert joined.left_out == {"unlabelled": 1, "failed": 1, "doubles": 0, "conflicting": 0}


def test_a_group_column_is_used_without_being_asked_for(store: FeatureStore) -> None:
    groups = ["ann", "bob", "ann", "", "bob", *[""] * 7]
    store.write_dataset(replace(made_index(LABELS), group=groups))
    joined = join_features(store)
    assert together(joined) == [[0, 2], [1, 4]]
    assert together(join_features(store, group_by="group")) == [[0, 2], [1, 4]]
    assert joined.n_groups == 10
    alone = join_features(store, group_by="none")
    assert (alone.groups, alone.n_groups) == (None, None)


def test_a_folder_is_a_group_where_asked_for(store: FeatureStore) -> None:
    joined = join_features(store, group_by="folder")
    assert together(joined) == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_copies_in_two_groups_join_them(store: FeatureStore) -> None:
    digests = made_digests()
    digests[5] = digests[1]  # bob's and eve's folders hold one picture
    groups = ["ann", "bob", "ann", "bob", "eve", "eve", *[""] * 6]
    labels = [*LABELS[:5], LABELS[1], *LABELS[6:]]
    store.write_dataset(replace(made_index(labels, digests), group=groups))
    joined = join_features(store)
    assert joined.left_out["doubles"] == 1
    assert together(joined) == [[0, 2], [1, 3, 4]]


def test_near_duplicates_join_where_every_backbone_agrees(store: FeatureStore) -> None:
    alike = [made_features(seed) for seed in (0, 1)]
    for x in alike:
        x[7] = 2 * x[1]  # brighter, in the same direction
    alike[0][5] = alike[0][4]  # one backbone only
    for name, x in zip(("alexnet", "xception"), alike, strict=True):
        add(store, made_spec(name), x)
    joined = join_features(store, backbones=["alexnet", "xception"], near=0.999)
    assert together(joined) == [[1, 7]]
    store.write_dataset(replace(made_index(LABELS), group=["ann", "bob", "ann", *[""] * 5, "bob", *[""] * 3]))
    joined = join_features(store, backbones=["alexnet", "xception"], near=0.999)
    assert together(joined) == [[0, 2], [1, 7, 8]]
    joined = join_features(store, backbones=["alexnet", "xception"], near=0.999, group_by="none")
    assert together(joined) == [[1, 7]]


def test_an_impossible_cosine_is_refused(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match=r"1\.5.*0\.98"):
        join_features(store, near=1.5)


def test_grouping_without_groups_names_the_options(store: FeatureStore) -> None:
    with pytest.raises(StackError, match=r"'photos' names no groups.*--group-column.*--group-by folder"):
        join_features(store, group_by="group")
    with pytest.raises(UsageError, match=r"takes auto, group.*not 'patient'.*--group-column patient"):
        join_features(store, group_by="patient")


def test_groups_of_unlabelled_images_alone_are_no_groups(store: FeatureStore) -> None:
    index = replace(made_index(["", *LABELS[1:]]), group=["ann", *[""] * (N - 1)])
    store.write_dataset(index)
    assert join_features(store).groups is None


def test_a_dataset_of_conflicting_images_alone_is_refused_in_words(store: FeatureStore) -> None:
    digests = made_digests()
    digests[1::2] = digests[::2]
    store.write_dataset(made_index(LABELS, digests))
    with pytest.raises(StackError):
        join_features(store, group_by="folder")


def test_no_label_at_all_says_how_many_images_there_are(store: FeatureStore) -> None:
    store.write_dataset(made_index([""] * N))
    with pytest.raises(StackError, match=r"no labelled image \(12 listed\)"):
        join_features(store)


def test_steered_features_without_a_record_of_what_was_seen_are_refused(store: FeatureStore) -> None:
    steered = add(store, made_spec("xception", steering="0" * 64), made_features(2))
    for backbones in (None, ["xception"], [steered.id]):
        with pytest.raises(StackError, match=rf"{steered.id}.*has no seen\.h5.*--steering.*--backbones"):
            join_features(store, backbones=backbones)
    assert list(join_features(store, backbones=["resnet50", "vgg19"]).blocks) == ["resnet50", "vgg19"]


def test_two_feature_sets_of_one_backbone_are_told_apart_by_id(store: FeatureStore) -> None:
    half = add(store, made_spec("vgg19", "bf16"), made_features(7))
    whole = store.feature_set("vgg19", made_spec("vgg19"))
    everything = join_features(store)
    assert set(everything.blocks) == {"resnet50", half.id, whole.id}
    np.testing.assert_array_equal(everything.blocks[half.id], made_features(7))
    np.testing.assert_array_equal(everything.blocks[whole.id], made_features(1))
    assert set(join_features(store, backbones=["vgg19"]).blocks) == {half.id, whole.id}
    chosen = join_features(store, backbones=[half.id, half.id])
    assert {name: each.id for name, each in chosen.feature_sets.items()} == {"vgg19": half.id}


def test_the_order_asked_for_is_the_order_of_the_blocks(store: FeatureStore) -> None:
    assert list(join_features(store, backbones=["vgg19", "resnet50", "vgg19"]).blocks) == ["vgg19", "resnet50"]


def test_unknown_backbone_names_those_that_are_there(store: FeatureStore) -> None:
    with pytest.raises(UsageError, match=r"no features of 'resnet'; it has resnet50, vgg19; did.*--backbones resnet"):
        join_features(store, backbones=["resnet"])
    empty = FeatureStore(store.root / "empty")
    empty.write_dataset(made_index(LABELS))
    with pytest.raises(UsageError, match="it has none"):
        join_features(empty, backbones=["resnet"])
    with pytest.raises(StackError, match="the cache has none"):
        join_features(empty)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("resnet50,vgg16,xception", r"'vgg16' or 'xception'; it has .*--backbones vgg16,xception .*to add them"),
        ("resnet51", r"'resnet51'; it has .*did you mean 'resnet50'\?.*--backbones resnet51 .*to add it,"),
        ("vgg19,vgg16", r"'vgg16'; it has resnet50, vgg19\. Run"),
    ],
)
def test_all_that_is_unknown_is_named_at_once_with_one_command(store: FeatureStore, asked: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        join_features(store, backbones=asked)


def test_incomplete_features_are_mentioned_or_refused(store: FeatureStore) -> None:
    partial = add(store, made_spec("xception"), made_features(5)[:9], made_digests()[:9])
    joined = join_features(store)
    assert list(joined.blocks) == ["resnet50", "vgg19"]
    assert joined.notes == [
        f"{partial.id} is left out: it lacks 3 images of the dataset. "
        f"Run `stackbone extract TABLE --backbones xception --cache {store.root}` to complete it"
    ]
    assert join_features(store, backbones=["vgg19"]).notes == []
    store.write_dataset(replace(store.dataset(), listed=Listed(asked=("/a b/t.csv", "--keep-na"))))
    [note] = join_features(store).notes
    assert "Run `stackbone extract '/a b/t.csv' --keep-na --backbones xception --cache" in note
    store.write_dataset(replace(store.dataset(), listed=Listed()))
    with pytest.raises(StackError, match=rf"'photos' \(12 images\): {partial.id} lacks 3\..*stackbone extract TABLE"):
        join_features(store, backbones=["xception"])


def test_nothing_covers_the_dataset(store: FeatureStore) -> None:
    store.write_dataset(made_index([*LABELS, "class 0"], made_digests(N + 1)))
    with pytest.raises(StackError, match=r"13 images\): resnet50-[0-9a-f]{12} lacks 1; vgg19-[0-9a-f]{12} lacks 1"):
        join_features(store)


def test_a_shard_that_goes_while_the_dataset_is_read_is_named(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = FeatureSet.load

    def set_aside_and_load(self: FeatureSet, digests: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.backbone == "vgg19":
            for path in self.folder.glob(PATTERN):
                on_disk(path).rename(on_disk(path).with_suffix(".aside"))
        return load(self, digests)

    monkeypatch.setattr(FeatureSet, "load", set_aside_and_load)
    with pytest.raises(CacheError, match=r"vgg19-[0-9a-f]{12} lacks 12 of 12 images\. Run `stackbone extract`"):
        join_features(store)


def test_features_that_are_not_finite_are_named_by_feature_set_and_row(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = made_features(3)
    x[[4, 7], 1] = np.nan
    with monkeypatch.context() as patch:  # the cache refuses to write them, so this stands for a foreign writer
        patch.setattr("stackbone.cache.records.shard.first_not_finite", lambda _: None)
        add(store, made_spec("xception"), x)
    with pytest.raises(CacheError, match=r"xception-[0-9a-f]{12}.*not finite, first in row 4"):
        join_features(store)


def test_some_of_the_images_keep_their_labels_features_and_groups(store: FeatureStore) -> None:
    groups = ["ann", "bob", "ann", "bob", "eve", "eve", *[""] * 6]
    store.write_dataset(replace(made_index(LABELS), group=groups))
    joined = join_features(store)
    positions = np.array([2, 4, 5, 8])
    some = joined.take(positions, "eight are left out")
    assert some.rows.tolist() == [2, 4, 5, 8]
    assert some.labels.tolist() == [LABELS[i] for i in positions]
    assert some.notes[-1] == "eight are left out"
    assert joined.groups is not None
    assert some.groups is not None
    np.testing.assert_array_equal(some.groups, join_groups(joined.groups[positions]))
    np.testing.assert_array_equal(some.blocks["vgg19"], made_features(1)[positions])
    np.testing.assert_array_equal(some.digests, made_digests()[positions])
    assert (joined.n_groups, some.n_groups) == (9, 3)


# Several outputs of one backbone


def add_output(store: FeatureStore, output: str, seed: int, form: RowForm | None = None, n: int = N) -> FeatureSet:
    spec = replace(made_spec("resnet50"), output=output)
    feature_set = store.feature_set("resnet50", spec)
    feature_set.append(spec, made_digests(n), made_features(seed, n), {}, form)
    return feature_set


def test_an_output_is_another_block_with_its_parts(store: FeatureStore) -> None:
    parts = (Part("stage1", 1), Part("stage2", 3))
    add_output(store, "stages", 5, RowForm(parts))
    joined = join_features(store)
    assert joined.names == ["resnet50", "resnet50@stages", "vgg19"]
    np.testing.assert_array_equal(joined.blocks["resnet50@stages"], made_features(5))
    assert joined.parts == {
        "resnet50": (Part("pooled", DIM),),
        "resnet50@stages": parts,
        "vgg19": (Part("pooled", DIM),),
    }
    assert join_features(store, backbones="resnet50@stages,vgg19@pooled").names == ["resnet50@stages", "vgg19"]
    assert join_features(store, backbones="all@stages").names == ["resnet50@stages"]


def test_a_map_is_stacked_only_where_it_is_named(store: FeatureStore) -> None:
    found = add_output(store, "map", 5, RowForm(row_shape=(1, 2, 2)))
    joined = join_features(store)
    assert joined.names == ["resnet50", "vgg19"]
    assert f"{found.id} is left out: maps are stacked only where they are named with --backbones" in joined.notes
    assert join_features(store, backbones="resnet50@map,vgg19").names == ["resnet50@map", "vgg19"]


def test_a_pyramid_is_left_out_and_refused_where_it_is_named(store: FeatureStore) -> None:
    spec = replace(made_spec("resnet50"), output="pyramid")
    form = RowForm((Part("stride8", 4),), map_shapes=((1, 2, 2),))
    found = store.feature_set("resnet50", spec)
    found.append(spec, made_digests(N), made_features(5, N).astype("f2"), {}, form, sizes=np.ones((N, 2), np.int64))
    joined = join_features(store)
    assert joined.names == ["resnet50", "vgg19"]
    assert "resnet50@pyramid left out: maps to detect objects on, for `stackbone detect`" in joined.notes
    for asked in ("resnet50@pyramid", "all@pyramid", f"vgg19,{found.id}"):
        with pytest.raises(
            UsageError, match=r"maps to detect objects on.* run `stackbone detect`.* features, resnet50$"
        ):
            join_features(store, backbones=asked)


@pytest.mark.parametrize("asked", ["resnet50@stages", "resnet50,resnet50@stages", "offline@stages,resnet50@stages"])
def test_outputs_of_other_images_are_refused_with_what_embeds_the_rest(store: FeatureStore, asked: str) -> None:
    found = add_output(store, "stages", 5, n=N - 2)
    if asked.startswith("offline"):
        with pytest.raises(UsageError, match="no features of 'efficientnet_lite0@stages'"):
            join_features(store, backbones=asked)
        return
    with pytest.raises(StackError) as caught:
        join_features(store, backbones=asked)
    assert f"{found.id} lacks 2" in str(caught.value)
    assert "--backbones resnet50@stages" in str(caught.value)
    assert "to embed the others" in str(caught.value)
    joined = join_features(store)
    assert joined.names == ["resnet50", "vgg19"]
    assert any(f"{found.id} is left out: it lacks 2 images" in note for note in joined.notes)


@pytest.mark.parametrize("asked", ["resnet50@stagez", "resnet5@stages", "resnet50@block"])
def test_an_output_that_is_not_cached_is_refused_with_the_nearest(store: FeatureStore, asked: str) -> None:
    add_output(store, "stages", 5)
    with pytest.raises(UsageError, match=rf"no features of '{asked}'; it has resnet50, resnet50@stages, vgg19; did"):
        join_features(store, backbones=asked)
