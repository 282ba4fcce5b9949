"""A steered backbone is one entry with several feature sets; each fold takes the fair one, in the order asked for."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import (
    DatasetIndex,
    Digests,
    FeatureSet,
    FeatureSpec,
    FeatureStore,
    FileStamps,
    SeenRecord,
    StackError,
    UsageError,
)
from stackbone.cache.records.indexes.listed import Listed
from stackbone.cache.records.seen import FILE, write_seen
from stackbone.stack import Fold
from stackbone.stack.divisions.division import Division, options_of, options_of_run
from stackbone.stack.divisions.outer_folds import inner_of_folds
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import Joined, choose_final_features, features_of_folds, join_features
from stackbone.stack.folds.per_fold import PerFold, nested_of, of_fold
from tests.made.caches import on_disk

N, DIM = 12, 4
LABELS = [f"class {i % 2}" for i in range(N)]
FOLDS = [Fold.testing(np.arange(k, N, 3), N) for k in range(3)]
HALF = (0.5, 0.5, 0.5)
ASKED = Division()


def digests_of(n: int = N) -> Digests:
    content = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(n))
    return np.frombuffer(content, np.uint8).reshape(n, 32).copy()


def made_features(seed: int, n: int = N) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)


def made_spec(architecture: str, precision: str = "fp32", steering: str | None = None) -> FeatureSpec:
    size = (224, 224)
    return FeatureSpec(
        architecture, "random(0)", size, 0.9, "center", "bicubic", HALF, HALF, "model", precision, steering=steering
    )


def add_plain(store: FeatureStore, backbone: str, seed: int) -> FeatureSet:
    feature_set = store.feature_set(backbone, made_spec(backbone))
    feature_set.append(made_spec(backbone), digests_of(), made_features(seed), {})
    return feature_set


def add_steered(
    store: FeatureStore,
    seen: Iterable[int],
    seed: int = 0,
    *,
    recipe: str | None = "ab",
    precision: str = "fp32",
    n: int = N,
    parent_seen: str | None = None,
    of_seed: int = 0,
    division: dict[str, object] | None = None,
    output: str = "pooled",
) -> FeatureSet:
    """Cache features whose steering saw these images, by number; from `N` on they are of another dataset.

    Another output of the same steering has other numbers.
    """
    steering = hashlib.sha256(f"{recipe} {seed} {[*map(int, seen)]}".encode()).hexdigest()
    spec = replace(made_spec("vit_base", precision, steering), output=output)
    feature_set = store.feature_set("vit_toast", spec)
    described: dict[str, object] = {
        "method": "toast",
        "stage": "tune",
        "backbone": "vit_base",
        "recipe": recipe and recipe * 32,
    }
    described |= {"division": division, "seed": of_seed, "parent_seen": parent_seen}
    write_seen(feature_set.folder, SeenRecord(steering, digests_of(99)[np.array(list(seen), int)], described))
    rows = made_features(seed, n)
    feature_set.append(spec, digests_of()[:n], rows if output == "pooled" else -rows, {})
    return feature_set


def chosen(joined: Joined, folds: list[Fold] | None = None) -> dict[str, list[str]]:
    return features_of_folds(joined, folds or FOLDS, ASKED).steered


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Return a cache with one dataset and two plain backbones."""
    store = FeatureStore(tmp_path / "features")
    index = DatasetIndex(
        name="photos",
        root="/my photos",
        path=[f"{i}.jpg" for i in range(N)],
        label=LABELS,
        split=[""] * N,
        group=[""] * N,
        image_sha256=digests_of(),
        status=np.zeros(N, np.uint8),
        reason=[""] * N,
        stamps=FileStamps(np.full((N, 4), -1, np.int64)),
    )
    store.write_dataset(index)
    add_plain(store, "resnet50", 1)
    add_plain(store, "xception", 2)
    return store


def test_each_fold_has_the_features_that_never_saw_its_test_part(store: FeatureStore) -> None:
    sets = [add_steered(store, fold.train, 10 + number) for number, fold in enumerate(FOLDS)]
    joined = join_features(store)
    assert (list(joined.feature_sets), list(joined.steered)) == (["resnet50", "xception"], ["vit_toast"])
    found = features_of_folds(joined, FOLDS, ASKED)
    assert found.steered == {"vit_toast": [each.id for each in sets]}
    assert list(found.blocks) == list(found.feature_sets) == ["resnet50", "vit_toast", "xception"]
    assert found.feature_sets["xception"] == joined.feature_sets["xception"].id
    for number in range(3):
        np.testing.assert_array_equal(of_fold(found.blocks["vit_toast"], number), made_features(10 + number))
        assert of_fold(found.blocks["resnet50"], number) is joined.blocks["resnet50"]


def test_the_order_asked_for_is_the_order_of_the_blocks(store: FeatureStore) -> None:
    for fold in FOLDS:
        add_steered(store, fold.train)
    asked = ["xception", "vit_toast", "resnet50"]
    joined = join_features(store, backbones=asked)
    assert list(features_of_folds(joined, FOLDS, ASKED).blocks) == asked
    assert list(choose_final_features(joined).blocks) == list(choose_final_features(joined).feature_sets) == asked


def add_outputs(store: FeatureStore) -> dict[str, list[FeatureSet]]:
    """Cache two outputs of one steering for each of `FOLDS`."""
    return {
        output: [add_steered(store, fold.train, 10 + number, output=output) for number, fold in enumerate(FOLDS)]
        for output in ("pooled", "cls")
    }


def test_two_outputs_of_a_steered_backbone_are_each_fair_in_every_fold(store: FeatureStore) -> None:
    sets = add_outputs(store)
    joined = join_features(store)
    assert joined.names == ["resnet50", "vit_toast", "vit_toast@cls", "xception"]
    found = features_of_folds(joined, FOLDS, ASKED)
    assert found.steered == {
        "vit_toast": [each.id for each in sets["pooled"]],
        "vit_toast@cls": [each.id for each in sets["cls"]],
    }
    for number in range(3):
        np.testing.assert_array_equal(of_fold(found.blocks["vit_toast"], number), made_features(10 + number))
        np.testing.assert_array_equal(of_fold(found.blocks["vit_toast@cls"], number), -made_features(10 + number))
    assert [member.blocks for member in fuse(joined, "parts")] == [(name,) for name in joined.names]


@pytest.mark.parametrize("output", ["pooled", "cls"])
def test_an_output_that_a_fold_lacks_is_refused_by_its_name(store: FeatureStore, output: str) -> None:
    sets = add_outputs(store)
    lost = sets[output][1]
    on_disk(lost.folder).rename(on_disk(store.root).parent / lost.id)
    joined = join_features(store)
    name = "vit_toast" if output == "pooled" else "vit_toast@cls"
    with pytest.raises(StackError, match=rf"fold 2 of 3 has no fair features of the steered backbone {name}: "):
        features_of_folds(joined, FOLDS, ASKED)
    other = "vit_toast@cls" if output == "pooled" else "vit_toast"
    assert other in join_features(store, backbones=other).steered
    assert features_of_folds(join_features(store, backbones=other), FOLDS, ASKED).steered.keys() == {other}


@pytest.mark.parametrize("seed", [10, 20, 30])
def test_a_model_of_two_steered_outputs_takes_both_of_one_steering(store: FeatureStore, seed: int) -> None:
    for output in ("pooled", "cls"):  # all saw as many images
        for number, fold in enumerate(FOLDS):
            add_steered(store, fold.train, seed + number, output=output)
    final = choose_final_features(join_features(store))
    assert list(final.blocks) == ["resnet50", "vit_toast", "vit_toast@cls", "xception"]
    assert len({final.feature_sets[name].header().spec.steering for name in ("vit_toast", "vit_toast@cls")}) == 1
    everything = {output: add_steered(store, range(N), seed, output=output) for output in ("pooled", "cls")}
    final = choose_final_features(join_features(store))
    assert final.feature_sets["vit_toast"].id == everything["pooled"].id
    assert final.feature_sets["vit_toast@cls"].id == everything["cls"].id


def test_of_several_fair_ones_the_one_that_saw_most_of_the_training_part_is_taken(store: FeatureStore) -> None:
    little = add_steered(store, FOLDS[0].train[:3])
    most = add_steered(store, FOLDS[0].train[:6])
    add_steered(store, [*FOLDS[0].train[:5], *range(20, 60)])  # saw many images, and few of these
    elsewhere = add_steered(store, range(20, 60))
    assert chosen(join_features(store), FOLDS[:1]) == {"vit_toast": [most.id]}
    asked = join_features(store, backbones=[elsewhere.id, little.id])
    assert chosen(asked, FOLDS[:1]) == {"vit_toast": [little.id]}


def test_of_equals_the_first_by_id_is_taken_whatever_the_order(store: FeatureStore) -> None:
    ids = sorted(add_steered(store, FOLDS[0].train, seed).id for seed in range(3))
    for asked in (ids, ids[::-1], ["vit_toast"]):
        joined = join_features(store, backbones=asked)
        assert chosen(joined, FOLDS[:1]) == {"vit_toast": [ids[0]]}
        assert choose_final_features(joined).feature_sets["vit_toast"].id == ids[0]


def test_features_that_several_folds_share_are_read_once(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    both = add_steered(store, [i for i in FOLDS[0].train if i in FOLDS[1].train])
    last, unused = add_steered(store, FOLDS[2].train, 1), add_steered(store, range(N), 2)
    joined = join_features(store)
    loaded: Counter[str] = Counter()
    load = FeatureSet.load

    def counted(self: FeatureSet, digests: Digests) -> NDArray[np.float32]:
        loaded[self.id] += 1
        return load(self, digests)

    monkeypatch.setattr(FeatureSet, "load", counted)
    features = features_of_folds(joined, FOLDS, ASKED)
    assert features.steered == {"vit_toast": [both.id, both.id, last.id]}
    assert loaded == {both.id: 1, last.id: 1}
    assert isinstance(features.blocks["vit_toast"], PerFold)
    first, second, _ = features.blocks["vit_toast"].blocks
    assert first is second
    assert choose_final_features(joined).feature_sets["vit_toast"] == unused


def test_the_refusal_names_fold_sets_counts_and_the_ways_out(store: FeatureStore) -> None:
    fair = add_steered(store, FOLDS[0].train)
    leaks = add_steered(store, [1, 4], 1)
    cut = add_steered(store, FOLDS[1].train, 2, n=7)
    division = Division(cv=3, seed=4, group_by="folder", rare="keep", repeats=2, near_duplicates=0.98)
    store.write_dataset(replace(store.dataset(), listed=Listed(asked=("/my photos", "--class-level", "2"))))
    with pytest.raises(StackError) as refusal:
        features_of_folds(join_features(store), FOLDS, division)
    for words in (
        "fold 2 of 3 has no fair features of the steered backbone vit_toast",
        f"the steering of {fair.id} saw 4 of its 4 test images",
        f"the steering of {leaks.id} saw 2 of its 4 test images",
        "`stackbone steer '/my photos' --class-level 2 --backbone vit_base --method toast --cv 3 --seed 4 "
        "--group-by folder --rare keep`",
        "leave --repeats out",
        "leave --near-duplicates out",
        f"images are missing there: {cut.id}",
        "--backbones resnet50,xception",
    ):
        assert words in str(refusal.value)
    with pytest.raises(StackError) as refusal:
        features_of_folds(join_features(store, backbones=[leaks.id]), FOLDS, Division(split="my test"))
    assert "--split 'my test'`" in str(refusal.value)
    assert "leave" not in str(refusal.value)  # there is nothing else


def test_an_incomplete_one_is_mentioned_with_the_way_to_complete_it(store: FeatureStore) -> None:
    add_steered(store, FOLDS[0].train)
    cut = add_steered(store, FOLDS[1].train, n=7)
    [note] = join_features(store).notes
    assert note.startswith(f"{cut.id} is left out: it lacks 5 images")
    assert "--backbones vit_toast --steering FILE " in note


def test_ways_of_steering_are_backbones_of_their_own(store: FeatureStore) -> None:
    first = [add_steered(store, fold.train, recipe="ab").id for fold in FOLDS]
    second = [add_steered(store, fold.train, recipe="cd").id for fold in FOLDS]
    half = [add_steered(store, fold.train, recipe="cd", precision="bf16").id for fold in FOLDS]
    names = {"vit_toast-abababab-fp32": first, "vit_toast-cdcdcdcd-fp32": second, "vit_toast-cdcdcdcd-bf16": half}
    assert chosen(join_features(store)) == names
    assert chosen(join_features(store, backbones=["vit_toast"])) == names
    # One of them alone bears the plain name, whether it was asked for by its long name or by its sets.
    for asked in (["vit_toast-cdcdcdcd-bf16"], half):
        assert chosen(join_features(store, backbones=asked)) == {"vit_toast": half}
    with pytest.raises(UsageError, match="no features of 'vit_toast-efefefef-fp32'"):
        join_features(store, backbones=["vit_toast-efefefef-fp32"])


def test_a_plain_backbone_of_the_same_name_is_told_apart(store: FeatureStore) -> None:
    plain = add_plain(store, "vit_toast", 3)
    for fold in FOLDS:
        add_steered(store, fold.train)
    joined = join_features(store, backbones=["vit_toast"])
    assert (list(joined.feature_sets), list(joined.steered)) == ([plain.id], ["vit_toast-abababab-fp32"])


def test_a_record_that_is_missing_damaged_or_tells_too_little_is_refused(store: FeatureStore) -> None:
    for number, fold in enumerate(FOLDS):
        feature_set = add_steered(store, fold.train, number)
    record = feature_set.folder / FILE
    content = on_disk(record).read_bytes()
    record.unlink()
    for backbones in (None, ["vit_toast"], [feature_set.id]):
        with pytest.raises(StackError, match=rf"{feature_set.id}.*seen\.h5.*--steering.*--backbones"):
            join_features(store, backbones=backbones)
    on_disk(record).write_bytes(content[:-100])
    with pytest.raises(StackError, match=r"seen\.h5.*--steering.*--backbones"):
        join_features(store)
    assert list(join_features(store, backbones=["resnet50"]).names) == ["resnet50"]
    record.unlink()
    for steered in (add_steered(store, [], 7), add_steered(store, [1], 8, recipe=None)):
        said = rf"({steered.id} saw names no image|'recipe' of its description is 'None').*--steering"
        with pytest.raises(StackError, match=said):
            join_features(store, backbones=[steered.id])


def test_the_final_model_takes_the_steering_that_saw_most_and_says_so(store: FeatureStore) -> None:
    for number, fold in enumerate(FOLDS):
        add_steered(store, fold.train, number)
    most = add_steered(store, range(N - 1), 8)
    add_steered(store, [0, *range(20, 90)], 9)
    joined = join_features(store)
    final = choose_final_features(joined)
    assert final.feature_sets["vit_toast"] == most
    np.testing.assert_array_equal(final.blocks["vit_toast"], made_features(8))
    assert joined.notes == []
    [note] = final.notes
    assert f"takes vit_toast from {most.id}, whose steering saw 11 of the 12 images" in note
    some = choose_final_features(joined.take(np.arange(4), "eight are left out"))
    np.testing.assert_array_equal(some.blocks["vit_toast"], some.feature_sets["vit_toast"].load(digests_of()[:4]))


def test_among_seeds_the_fair_one_is_taken_and_of_equals_the_lowest(store: FeatureStore) -> None:
    for number, fold in enumerate(FOLDS):
        add_steered(store, fold.train, 20 + number, of_seed=1)  # fair to the folds of this seed alone
    other = [Fold.testing(np.arange(4 * k, 4 * k + 4), N) for k in range(3)]
    sets = [add_steered(store, fold.train, 30 + number, of_seed=2).id for number, fold in enumerate(other)]
    again = add_steered(store, other[0].train, 40, of_seed=0).id
    joined = join_features(store)
    assert list(joined.steered) == ["vit_toast"]
    assert chosen(joined, other) == {"vit_toast": [again, *sets[1:]]}


@pytest.mark.parametrize(
    "division",
    [Division(cv=5, seed=2), Division(cv=2, group_by="folder", rare="drop"), Division(split="my test")],
)
def test_a_division_gives_the_options_that_ask_for_it(division: Division) -> None:
    assert options_of(division.to_dict(1)) == division.options()


@pytest.mark.parametrize(
    ("inner", "options"),
    [
        ([], "--cv 2 --seed 4"),
        ([5, 5], "--cv 2 --seed 4"),
        ([3, 3, 3], "--cv 2 --seed 4 --inner-cv 3"),
        ([2, 4], "--cv 2 --seed 4 --inner-cv 4"),  # a training part with fewer images of a class allowed only two
    ],
)
def test_steerings_of_inner_folds_give_the_options_that_ask_for_these(inner: list[int], options: str) -> None:
    outer = [Division(cv=2, seed=4).to_dict(number) for number in range(2)]
    of_inner = [{**outer[0], "inner": 1, "inner_splits": n} for n in inner]
    assert options_of_run([None, *outer, *of_inner]) == options
    assert options_of_run([None]) is None


@pytest.mark.parametrize("n", [2, 3, 8])
def test_a_division_asks_for_its_inner_folds_too(n: int) -> None:
    assert Division(cv=3, inner_splits=n).options() == f"--cv 3 --seed 0 --inner-cv {n}"
    assert Division(split="test", inner_splits=n).options() == f"--split test --inner-cv {n}"


def test_what_the_guard_cannot_know_is_said(store: FeatureStore) -> None:
    for fold in FOLDS:
        add_steered(store, [*fold.train, 50, 51])
    assert join_features(store).notes == [], "without groups an unlisted image is nobody's file_groups"
    [note] = join_features(store, group_by="folder").notes
    assert note.startswith("a steering of vit_toast saw 2 images that the dataset does not list: whether they belong")
    add_steered(store, FOLDS[0].train, recipe="cd", parent_seen="those of ImageNet")
    [note] = join_features(store, backbones=["vit_toast-cdcdcdcd-fp32"]).notes
    assert note == "what the steering of vit_toast started from saw images that are those of ImageNet"


def test_near_duplicates_are_looked_for_in_plain_features_alone(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_steered(store, FOLDS[0].train)
    compared: list[list[str]] = []

    def record(blocks: dict[str, NDArray[np.float32]], *_: object, **__: object) -> NDArray[np.int64]:
        compared.append(list(blocks))
        return np.full(N, -1)

    monkeypatch.setattr("stackbone.stack.features.join.near_duplicates", record)
    join_features(store, near=0.98)
    assert compared == [["resnet50", "xception"]]
    with pytest.raises(UsageError, match=r"--near-duplicates compares .* plain backbones.*vit_toast"):
        join_features(store, backbones=["vit_toast"], near=0.98)


def inner_division(fold: int, inner: int) -> dict[str, object]:
    return {"cv": 3, "seed": 0, "fold": fold + 1, "inner": inner + 1, "inner_splits": 4}


def add_nested(store: FeatureStore, joined: Joined) -> list[list[FeatureSet]]:
    """Cache features for every inner fold of `FOLDS`."""
    inner = inner_of_folds(joined, FOLDS, ASKED)
    return [
        [
            add_steered(store, fold.train[own.train], 30 + 10 * n + m, division=inner_division(n, m))
            for m, own in enumerate(inner[n])
        ]
        for n, fold in enumerate(FOLDS)
    ]


def test_each_inner_fold_has_the_features_that_saw_neither_its_labels_nor_the_tested(store: FeatureStore) -> None:
    outer = [add_steered(store, fold.train, 10 + number) for number, fold in enumerate(FOLDS)]
    nested = add_nested(store, join_features(store))
    found = features_of_folds(join_features(store), FOLDS, ASKED)
    assert found.steered == {"vit_toast": [each.id for each in outer]}
    assert found.nested == ["vit_toast"]
    assert "saw no label that they are compared with" in found.notes[0]
    for number in range(3):
        own = nested_of(found.blocks["vit_toast"], number)
        assert own is not None
        assert own.feature_sets == [each.id for each in nested[number]]
        for inner, block in enumerate(own.blocks):
            np.testing.assert_array_equal(block, made_features(30 + 10 * number + inner))
        assert nested_of(found.blocks["resnet50"], number) is None


@pytest.mark.parametrize("wrong", ["one is missing", "one saw a tested image", "other inner folds"])
def test_without_fair_features_of_every_inner_fold_the_plain_way_is_left_and_said(
    store: FeatureStore, wrong: str
) -> None:
    for number, fold in enumerate(FOLDS):
        add_steered(store, fold.train, 10 + number)
    joined = join_features(store)
    inner = inner_of_folds(joined, FOLDS, ASKED)
    for n, fold in enumerate(FOLDS):
        for m, own in enumerate(inner[n]):
            rows = fold.train[own.train]
            if (n, m) == (2, 1):
                rows = {"one saw a tested image": np.append(rows, fold.train[own.test[0]])}.get(wrong, rows)
            if (n, m) != (2, 1) or wrong != "one is missing":
                add_steered(store, rows, 30 + 10 * n + m, division=inner_division(n, m))
    asked = Division(inner_splits=2) if wrong == "other inner folds" else ASKED
    found = features_of_folds(join_features(store), FOLDS, asked)
    assert found.nested == []
    assert nested_of(found.blocks["vit_toast"], 0) is None
    theirs = "--cv 3 --seed 0 --dealing rows --inner-cv 4"
    assert found.notes[0].endswith(f"not used: steer with --nested {asked.options()}; or ask for theirs, {theirs}")
    repeated = features_of_folds(join_features(store), FOLDS, replace(asked, repeats=2, near_duplicates=0.98))
    assert repeated.notes[0].endswith(
        f"--nested {asked.options()}, and leave --repeats out here, and leave --near-duplicates out here"
    )
    of_numbers = replace(join_features(store), labels=np.arange(N).astype(str))
    numbers = features_of_folds(of_numbers, FOLDS, replace(asked, task="regression", inner_splits=2))
    assert numbers.notes[0].endswith("`stackbone steer` learns classes and knows no folds of numbers")


def test_steerings_of_outer_folds_alone_say_nothing_of_inner_ones(store: FeatureStore) -> None:
    for fold in FOLDS:
        add_steered(store, fold.train)
    assert features_of_folds(join_features(store), FOLDS, ASKED).notes == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([0, 1, 2, 3, 8], "saw 0 of its 4 test images, and 1 image that is no older"),
        ([0, 1, 8, 9, 11], "saw 0 of its 4 test images, and 3 images that are no older"),
        ([0, 4, 10], "saw 1 of its 4 test images, and 1 image that is no older"),
    ],
)
def test_in_the_order_of_time_a_steering_of_later_images_is_not_fair(
    store: FeatureStore, seen: list[int], said: str
) -> None:
    past = Fold(np.arange(4), np.arange(4, 8))
    add_steered(store, seen)
    joined = join_features(store)
    if 4 not in seen:
        assert len(chosen(joined, [past])["vit_toast"]) == 1
    timed = replace(joined, times=np.arange(N, dtype=np.float64))
    with pytest.raises(StackError, match=said):
        chosen(timed, [past])
    fair = add_steered(store, [0, 1], 1)
    timed = replace(join_features(store), times=timed.times)
    assert chosen(timed, [past]) == {"vit_toast": [fair.id]}
