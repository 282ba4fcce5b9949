"""Two domains read, matched and divided: what is refused, what is left out, what is never on both sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack.divisions.division import Division
from stackbone.stack.transfer.domains.pair import DomainPair, match_domains
from stackbone.stack.transfer.domains.parts import FoldPart, divide_target, domains_of, labels_shown
from stackbone.stack.transfer.domains.reading import Asked, read_domains
from stackbone.stack.transfer.domains.settings import Setting, parse_settings
from stackbone.stack.transfer.method import HIDDEN
from tests.made.caches import on_disk
from tests.made.domain_caches import CLASSES, DIM, add_domain, labels_of, make_domains


def matched(store: FeatureStore, asked: Asked) -> DomainPair:
    source, target, _ = read_domains(store, asked)
    return match_domains(source, target, target_name=asked.target, split=asked.split)


def divided(pair: DomainPair) -> tuple[DomainPair, list[FoldPart]]:
    return divide_target(pair, Division(cv=3))


STUDIO_TO_PHONE = Asked(("studio",), "phone")


def test_settings_are_read_from_few_labels_to_all() -> None:
    assert [each.name for each in parse_settings("all, none,few:10,few:2,none")] == ["none", "few:2", "few:10", "all"]
    assert parse_settings("few:3") == [Setting(3)]


@pytest.mark.parametrize("text", ["", "some", "few", "few:", "few:0", "few:-1", "few:1.5", "few:99999999", "none,"])
def test_other_settings_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="few:10"):
        parse_settings(text)


def test_two_datasets_are_read_with_the_same_features(store: FeatureStore) -> None:
    make_domains(on_disk(store.root))
    pair = matched(store, STUDIO_TO_PHONE)
    assert (len(pair.source), len(pair.target.rows)) == (60, 45)
    assert list(pair.source.blocks) == pair.target.names == ["resnet50", "vgg19"]
    assert pair.classes.tolist() == list(CLASSES)
    assert pair.source_codes.tolist() == [i % 3 for i in range(60)]


def test_several_sources_are_joined_and_told_apart(store: FeatureStore) -> None:
    make_domains(on_disk(store.root))
    add_domain(store, "web", labels_of(30), seed=3, contents=[f"web/{i}" if i else "studio/0" for i in range(30)])
    pair = matched(store, Asked(("studio", "web"), "phone"))
    assert pair.source.names == ["studio", "web"]
    assert np.bincount(pair.source.domain).tolist() == [60, 29]
    assert pair.matched.repeated == 1
    assert any("1 source image is in several sources and counted once" in note for note in pair.notes)


@pytest.mark.parametrize("order", [("studio", "web"), ("web", "studio")])
def test_an_image_that_sources_label_differently_takes_no_part(store: FeatureStore, order: tuple[str, ...]) -> None:
    make_domains(on_disk(store.root))
    add_domain(store, "web", labels_of(30), seed=3, contents=[f"web/{i}" if i else "studio/1" for i in range(30)])
    pair = matched(store, Asked(order, "phone"))
    assert (len(pair.source), pair.matched.conflicting, pair.matched.repeated) == (88, 2, 0)
    assert bytes(store.dataset("studio").image_sha256[1]) not in {bytes(each) for each in pair.source.digests}
    assert any("2 source images are in several sources under different labels" in note for note in pair.notes)


def test_domains_are_a_column_of_one_dataset(store: FeatureStore) -> None:
    camera = ["old", "new", "older", ""] * 15
    add_domain(store, "all", labels_of(60), columns={"camera": camera})
    source, target, notes = read_domains(store, Asked((), "new", column="camera"))
    assert source.names == ["old", "older"]
    assert (len(source), len(target.rows)) == (30, 15)
    assert [target.index.columns["camera"][row] for row in target.rows] == ["new"] * 15
    assert any("15 images without a domain" in note for note in notes)
    alone, _, _ = read_domains(store, Asked(("older",), "new", column="camera"))
    assert (alone.names, len(alone)) == (["older"], 15)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked((), "newer", column="camera"), r"--target newer: the column 'camera'.*type --target new\."),
        (Asked(("od",), "new", column="camera"), r"--source od: .*no 'od'"),
        (Asked((), "new", column="camra"), r"no column 'camra'.*The nearest is 'camera'"),
        (Asked(("new",), "new", column="camera"), "both source and target"),
        (Asked(("studio",), "studio"), "both source and target"),
        (Asked((), "phone"), "no source to learn from"),
        (Asked(("studio",), "phone", dataset="all"), "--dataset all is for domains within one dataset"),
        (Asked((), "1", column="same"), "'1' alone, so there is no source"),
        (
            Asked(("stdio",), "phone"),
            r"--source stdio: .*it has all, phone, studio\. The nearest is 'studio': type --s",
        ),
        (Asked(("studio",), "fone"), r"--target fone: the cache has no dataset 'fone'.*type --target phone\."),
        (Asked(("studio,all",), "phone"), r"one by one: type --source studio --source all\."),
        (Asked(("studio, gone",), "phone"), r"--source 'studio, gone': the cache has no dataset 'studio, gone'"),
        (Asked(("old,new",), "new", column="camera"), r"one by one: type --source old --source new\."),
    ],
)
def test_names_that_do_not_fit_are_refused(store: FeatureStore, asked: Asked, message: str) -> None:
    make_domains(on_disk(store.root))
    columns = {"camera": ["old", "new"] * 15, "same": ["1"] * 30}
    add_domain(store, "all", labels_of(30), columns=columns, contents=[f"all/{i}" for i in range(30)])
    with pytest.raises(UsageError, match=message):
        read_domains(store, asked)


def test_features_of_other_specs_are_refused_by_what_differs(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(30), backbones=["resnet50"])
    add_domain(store, "phone", labels_of(30), backbones=["resnet50"], precision="bf16")
    with pytest.raises(StackError, match=r"no feature set of resnet50 covers all.*differ in precision.*extract"):
        read_domains(store, STUDIO_TO_PHONE)
    with pytest.raises(StackError, match="differ in precision"):
        read_domains(store, replace(STUDIO_TO_PHONE, backbones="resnet50"))


def test_features_of_one_domain_alone_are_named_and_left_out(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(30), backbones=["resnet50", "vgg19"])
    add_domain(store, "phone", labels_of(30), backbones=["resnet50"])
    source, target, notes = read_domains(store, STUDIO_TO_PHONE)
    assert list(source.blocks) == target.names == ["resnet50"]
    assert [note for note in notes if "vgg19-" in note and "studio alone" in note]
    with pytest.raises(StackError, match="vgg19"):
        read_domains(store, replace(STUDIO_TO_PHONE, backbones="vgg19"))


def test_of_several_datasets_those_that_lack_a_backbone_are_named(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(30), backbones=["resnet50"])
    add_domain(store, "web", labels_of(30), backbones=["vgg19"])
    add_domain(store, "phone", labels_of(30), backbones=["resnet50"])
    with pytest.raises(StackError, match="resnet50, vgg19 covers all domains") as found:
        read_domains(store, Asked(("studio", "web"), "phone"))
    ways = str(found.value).split("Run ")[1]
    assert "web" in ways
    assert "studio" not in ways
    assert "phone" not in ways


def test_groups_by_folder_are_not_joined_by_the_names_of_a_column(store: FeatureStore) -> None:
    groups = ["ann" if i == 3 else "" for i in range(30)]
    add_domain(store, "studio", labels_of(30), groups=groups)
    add_domain(store, "phone", labels_of(30), groups=groups, seed=2)
    source, target, _ = read_domains(store, replace(STUDIO_TO_PHONE, group_by="folder"))
    assert source.group_names is None
    by_folder = match_domains(source, target, target_name="phone", group_by="folder")
    assert by_folder.source_groups is not None
    assert by_folder.target_groups is not None
    assert not set(by_folder.source_groups) & set(by_folder.target_groups)
    by_name = match_domains(*read_domains(store, STUDIO_TO_PHONE)[:2], target_name="phone")
    assert by_name.source_groups is not None
    assert by_name.target_groups is not None
    assert by_name.source_groups[3] == by_name.target_groups[3]


def test_images_without_a_label_are_counted_in_both_domains(store: FeatureStore) -> None:
    add_domain(store, "studio", [*labels_of(30), "", ""])
    add_domain(store, "phone", [*labels_of(30), "", "", ""], seed=2)
    pair = matched(store, STUDIO_TO_PHONE)
    assert (pair.source.left_out["unlabelled"], pair.target.left_out["unlabelled"]) == (2, 3)


def test_classes_of_one_domain_are_counted_and_take_no_part(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(40, ("boot", *CLASSES)), seed=1)
    add_domain(store, "phone", labels_of(40, (*CLASSES, "tie")), seed=2)
    pair = matched(store, STUDIO_TO_PHONE)
    assert pair.classes.tolist() == list(CLASSES)
    assert (pair.matched.source_classes, pair.matched.target_classes) == ({"boot": 10}, {"tie": 10})
    assert (set(pair.source.labels), set(pair.target.labels)) == (set(CLASSES), set(CLASSES))
    assert pair.target.blocks["vgg19"].shape == (30, DIM)
    assert any("1 class of the source alone ('boot'; 10 images)" in note for note in pair.notes)
    assert any("1 class of the target alone ('tie'; 10 images)" in note for note in pair.notes)


@pytest.mark.parametrize(("classes", "found"), [(("boot", "tie"), "share no class"), (("hat", "tie"), "'hat' alone")])
def test_domains_of_fewer_than_two_shared_classes_are_refused(
    store: FeatureStore, classes: tuple[str, ...], found: str
) -> None:
    add_domain(store, "studio", labels_of(30), seed=1)
    add_domain(store, "phone", labels_of(30, classes), seed=2)
    with pytest.raises(StackError, match=rf"{found}.*--labels FILE\.csv"):
        matched(store, STUDIO_TO_PHONE)


def test_a_domain_of_one_image_is_refused(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(30), seed=1)
    add_domain(store, "phone", ["hat"], seed=2)
    with pytest.raises(StackError, match=r"the target 'phone' has 1 labelled image, .*Label more"):
        matched(store, STUDIO_TO_PHONE)
    with pytest.raises(StackError, match=r"the source 'phone' has 1 labelled image, .*Label more"):
        matched(store, Asked(("phone",), "studio"))
    add_domain(store, "phone", ["hat", "coat"], seed=2)
    with pytest.raises(StackError, match=r"at least|fewer"):
        divided(matched(store, STUDIO_TO_PHONE))


@pytest.mark.parametrize("n_target", [12, 30, 45])
def test_domains_of_the_same_images_are_refused(store: FeatureStore, n_target: int) -> None:
    add_domain(store, "studio", labels_of(30), contents=[str(i) for i in range(30)])
    add_domain(store, "phone", labels_of(n_target), contents=[str(i) for i in range(n_target)])
    with pytest.raises(StackError, match="every image of the"):
        matched(store, STUDIO_TO_PHONE)


def test_images_of_the_target_leave_the_source(store: FeatureStore) -> None:
    add_domain(store, "studio", labels_of(30), contents=[str(i) for i in range(30)])
    add_domain(store, "phone", labels_of(30), contents=[str(i + 24) for i in range(30)], seed=2)
    pair = matched(store, STUDIO_TO_PHONE)
    assert (len(pair.source), pair.matched.same) == (24, 6)
    assert not {bytes(each) for each in pair.source.digests} & {bytes(each) for each in pair.target.digests}
    assert any("6 source images are byte-identical" in note for note in pair.notes)


def test_near_copies_and_groups_never_straddle_source_and_test_part(store: FeatureStore) -> None:
    same = np.random.default_rng(9).normal(size=DIM).astype(np.float32) * 5
    groups = ["ann" if i == 3 else "" for i in range(60)]
    add_domain(store, "studio", labels_of(60), seed=1, copies={0: same}, groups=groups)
    groups = ["ann" if i == 6 else "" for i in range(45)]
    add_domain(store, "phone", labels_of(45), seed=2, copies={0: same * 1.01}, groups=groups)
    pair, parts = divided(matched(store, STUDIO_TO_PHONE))
    assert pair.matched.near == 1
    copies, people = [], []
    for part in parts:
        tested, learnt = set(part.fold.test.tolist()), set(part.source.tolist())
        copies.append((0 in tested, 0 in learnt))
        people.append((6 in tested, 3 in learnt))
        assert len(learnt) >= 58
    assert sorted(copies) == sorted(people) == [(False, True), (False, True), (True, False)]
    assert any("left out of its source" in note for note in pair.notes)


@pytest.mark.parametrize("is_far", [False, True])
def test_near_copies_of_a_split_s_test_images_are_not_learnt_from(store: FeatureStore, *, is_far: bool) -> None:
    rng = np.random.default_rng(9)
    same, other = 5 * rng.normal(size=(2, DIM)).astype(np.float32)
    add_domain(store, "studio", labels_of(60), seed=1)
    splits = ["test" if i < 21 else "train" for i in range(60)]
    copies = {0: same, 42: other if is_far else same * 1.01}
    add_domain(store, "phone", labels_of(60), seed=2, splits=splits, copies=copies)
    pair = matched(store, replace(STUDIO_TO_PHONE, split="test"))
    pair, [part] = divide_target(pair, Division(split="test"))
    assert 0 in part.fold.test
    assert (42 in part.fold.train) == is_far
    assert len(part.fold.train) == (39 if is_far else 38)
    assert any("1 target image outside the tested split is left out" in note for note in pair.notes) != is_far


def test_a_split_all_of_whose_images_of_a_class_are_copies_of_tested_ones_is_refused(store: FeatureStore) -> None:
    same = 5 * np.random.default_rng(9).normal(size=DIM).astype(np.float32)
    add_domain(store, "studio", labels_of(60), seed=1)
    splits = ["test" if i < 21 else "train" for i in range(30)]
    copies = {i: same for i in (1, 22, 25, 28)}
    add_domain(store, "phone", labels_of(30), seed=2, splits=splits, copies=copies)
    pair = matched(store, replace(STUDIO_TO_PHONE, split="test"))
    with pytest.raises(StackError, match="no target image of 'hat' is left to learn from"):
        divide_target(pair, Division(split="test"))


def test_a_group_reaches_tested_images_through_a_copy_that_takes_no_part(store: FeatureStore) -> None:
    """Source image 3 is image 6 of the target, and of a group with source image 5."""
    groups = ["ann" if i in (3, 5) else "" for i in range(60)]
    contents = [f"studio/{i}" if i != 3 else "phone/6" for i in range(60)]
    add_domain(store, "studio", labels_of(60), seed=1, groups=groups, contents=contents)
    add_domain(store, "phone", labels_of(45), seed=2)
    pair, parts = divided(matched(store, STUDIO_TO_PHONE))
    paths = pair.source.paths
    assert (len(paths), pair.matched.same) == (59, 1)
    row = paths.index("shoe/5.jpg")
    assert sorted((6 in part.fold.test, row in part.source) for part in parts) == [(False, True)] * 2 + [(True, False)]


def test_groups_of_one_dataset_straddle_its_domains(store: FeatureStore) -> None:
    groups = [f"pair {i // 2}" for i in range(60)]
    labels = [CLASSES[i // 2 % 3] for i in range(60)]
    add_domain(store, "all", labels, groups=groups, columns={"camera": ["old", "new"] * 30})
    pair, parts = divided(matched(store, Asked(("old",), "new", column="camera")))
    for part in parts:
        assert not set(part.source) & set(part.fold.test), "row i of the source is paired with row i of the target"
        assert len(part.source) == len(part.fold.train)
    assert pair.source_groups is not None


def test_labels_beyond_the_setting_are_hidden_and_few_are_nested(store: FeatureStore) -> None:
    make_domains(on_disk(store.root))
    pair, parts = divided(matched(store, STUDIO_TO_PHONE))
    for part in parts:
        codes = pair.target_codes
        none, few, more, every = (labels_shown(part, codes, Setting(n)) for n in (0, 2, 4, None))
        assert (none == HIDDEN).all()
        assert np.bincount(few[few != HIDDEN]).tolist() == [2, 2, 2]
        assert set(np.flatnonzero(few != HIDDEN)) < set(np.flatnonzero(more != HIDDEN))
        assert every.tolist() == codes[part.fold.train].tolist()
        seen = domains_of(pair, part, Setting(2), "vgg19", 0)
        assert seen.target.tolist() == pair.target.blocks["vgg19"][part.fold.train].tolist()
        assert len(seen.seen) == 6
        tested = {bytes(row) for row in pair.target.blocks["vgg19"][part.fold.test]}
        assert not tested & {bytes(row) for row in seen.target}


def test_a_fold_without_source_images_of_a_class_is_refused(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path / "features")
    groups = ["one hat" if label == "hat" else "" for label in labels_of(30)]
    add_domain(store, "studio", labels_of(30), groups=groups)
    groups = ["one hat" if i == 1 else "" for i in range(30)]
    add_domain(store, "phone", labels_of(30), groups=groups, seed=2)
    with pytest.raises(StackError, match="no source image of 'hat' is left for fold"):
        divided(matched(store, STUDIO_TO_PHONE))
