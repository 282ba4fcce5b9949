"""Each kind of finding on images that were made to have it, and on those that have it not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stackbone.cache import FeatureStore, StackError, UsageError
from stackbone.stack.audit.audit import audit
from stackbone.stack.audit.kind import KINDS
from stackbone.stack.audit.result import COLUMNS, Audit
from tests.conftest import MakeCache
from tests.made.multilabel import NAMES, digests_of, features_of, index_of, make_presence, texts_of

LABELS = ["cat", "dog", "emu"] * 12


@dataclass(frozen=True)
class Fact:
    """As of `stack.audit.facts.Facts`."""

    brightness: float = 0.5
    highlight: float = 0.9
    sharpness: float = 0.1
    camera: str = ""


def relabel(store: FeatureStore, **columns: Any) -> FeatureStore:  # noqa: ANN401 - of several types
    """Write the index again with other columns; features stay."""
    store.write_dataset(replace(store.dataset(), **columns))
    return store


def images(found: Audit, kind: str) -> list[str]:
    return [each.image for each in found.findings[kind]]


# Labels


@pytest.mark.parametrize("backbones", [["resnet50"], ["resnet50", "vgg19"]])
def test_flipped_labels_come_first_with_the_right_class(
    tmp_path: Path, make_cache: MakeCache, backbones: list[str]
) -> None:
    store = make_cache(tmp_path, LABELS, noise=0.5, backbones=backbones)
    paths = store.dataset().path
    relabel(store, label=["dog", "emu", *LABELS[2:]])
    found = audit(store, kinds="label")
    assert sorted(images(found, "label")[:2]) == sorted(paths[:2])
    first = {each.image: each for each in found.findings["label"]}
    assert (first[paths[0]].label, first[paths[0]].suggested_label) == ("dog", "cat")
    assert (first[paths[1]].label, first[paths[1]].suggested_label) == ("emu", "dog")
    assert all(each.score > 0.5 for each in first.values())
    assert f"{len(backbones)} of {len(backbones)} backbone" in first[paths[0]].evidence
    assert "nearest images are so" in first[paths[0]].evidence


def test_sound_labels_are_left_alone(tmp_path: Path, make_cache: MakeCache) -> None:
    found = audit(make_cache(tmp_path, LABELS, noise=0.3), kinds="label,ambiguous")
    assert found.rows == []
    assert found.left_out == {}


def test_a_class_of_one_image_is_kept_and_not_judged(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, [*LABELS, "fox"], noise=0.3)
    found = audit(store, kinds="label")
    assert "fox/36.jpg" not in images(found, "label")


def test_scores_are_kept_and_found_again(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, LABELS)
    first = audit(store, kinds="label")
    kept = sorted(file.name for file in store.scores_folder.iterdir())
    assert kept
    assert audit(store, kinds="label").rows == first.rows
    assert sorted(file.name for file in store.scores_folder.iterdir()) == kept


def scenes(folder: Path) -> tuple[FeatureStore, np.ndarray]:
    """Return a cache of images with several labels each."""
    from stackbone.cache import FeatureSpec

    presence = make_presence(90)
    store, half = FeatureStore(folder), (0.5, 0.5, 0.5)
    for seed, name in enumerate(("resnet50", "vgg19")):
        spec = FeatureSpec(name, "random(0)", (224, 224), 0.875, "center", "bicubic", half, half, "avg")
        x = features_of(presence, seed, noise=0.3)
        store.feature_set(name, spec).append(spec, digests_of(90), x, {"engine": "torch"})
    store.write_dataset(index_of(texts_of(presence)))
    return store, presence


@pytest.mark.parametrize("place", range(3))
def test_of_several_labels_each_is_judged_by_itself(tmp_path: Path, place: int) -> None:
    store, presence = scenes(tmp_path)
    lacks, has = (int(np.flatnonzero(presence[:, place] == value)[0]) for value in (0, 1))
    noisy = presence.copy()
    noisy[lacks, place], noisy[has, place] = 1, 0
    relabel(store, label=texts_of(noisy))
    found = {each.image: each for each in audit(store, kinds="label").findings["label"]}
    right = texts_of(presence)
    for row, words in ((lacks, "take the label away"), (has, "add the label")):
        assert found[f"{row}.jpg"].suggested_label == right[row]
        assert NAMES[place] in found[f"{row}.jpg"].suggestion
        assert words in found[f"{row}.jpg"].suggestion


def test_labels_that_are_doubted_together_are_corrected_together(tmp_path: Path) -> None:
    store, presence = scenes(tmp_path)
    row = int(np.flatnonzero((presence[:, 0] == 0) & (presence[:, 1] == 1))[0])
    noisy = presence.copy()
    noisy[row, :2] = 1, 0
    found = audit(relabel(store, label=texts_of(noisy)), kinds="label").findings["label"]
    own = [each.suggested_label for each in found if each.image == f"{row}.jpg"]
    assert own == [texts_of(presence)[row]] * 2


def test_a_rare_label_among_several_leaves_the_others_judged(tmp_path: Path) -> None:
    store, presence = scenes(tmp_path)
    found = audit(relabel(store, label=["zebra", "zebra", *texts_of(presence)[2:]]), kinds="label")
    assert found.left_out == {}
    assert any("zebra" in note for note in found.notes)


def test_each_image_left_out_once_leaves_classes_of_one_image_out(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, [*LABELS[:12], "fox"], noise=0.3)
    assert audit(store, kinds="label", cv="loo").left_out == {}


def test_whole_numbers_that_come_back_are_classes(tmp_path: Path, make_cache: MakeCache) -> None:
    labels = [str(row % 30) for row in range(180)]
    store = make_cache(tmp_path, [f"c{label}" for label in labels], noise=0.3, dim=32)
    found = audit(relabel(store, label=["1", *labels[1:]]), kinds="label")
    assert [(each.image, each.suggested_label) for each in found.rows] == [("c0/0.jpg", "0")]


# Copies


@pytest.mark.parametrize("how", ["byte for byte", "in every plain backbone"])
@pytest.mark.parametrize(
    ("labels", "splits", "kind"),
    [
        (("cat", "cat"), ("", ""), "copy"),
        (("cat", "cat"), ("train", "train"), "copy"),
        (("", ""), ("", ""), "copy"),
        (("cat", "dog"), ("", ""), "conflict"),
        (("cat", "cat"), ("train", "test"), "leak"),
        (("", "cat"), ("train", "test"), "leak"),
        (("", "cat"), ("", ""), "copy"),
        (("cat", ""), ("train", "train"), "copy"),
        (("cat", "cat"), ("train", ""), "copy"),
    ],
)
def test_copies_are_of_the_kind_that_labels_and_splits_make_them(
    tmp_path: Path, make_cache: MakeCache, labels: Sequence[str], splits: Sequence[str], kind: str, how: str
) -> None:
    is_exact = how == "byte for byte"
    own = [*LABELS, "cat"]
    numbers = [*range(36), 0 if is_exact else 36]
    store = make_cache(tmp_path, own, content=numbers, near={} if is_exact else {36: 0}, dim=32)
    relabel(
        store,
        label=[labels[0], *own[1:36], labels[1]],
        split=[splits[0], *[""] * 35, splits[1]],
    )
    found = audit(store, kinds=["copy", "conflict", "leak"])
    assert {name for name, each in found.findings.items() if each} == {kind}
    (one,) = found.rows
    assert one.image == "cat/36.jpg"
    assert "cat/0.jpg" in one.evidence
    assert how in one.evidence
    assert one.score == pytest.approx(1.0, abs=0.02)


def test_a_copy_that_crosses_both_is_both(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, [*LABELS, "cat"], content=[*range(36), 0])
    relabel(store, label=["dog", *LABELS[1:], "cat"], split=["train", *[""] * 35, "test"])
    found = audit(store, kinds=["copy", "conflict", "leak"])
    assert {name for name, each in found.findings.items() if each} == {"conflict", "leak"}


def test_three_copies_are_not_counted_pair_by_pair(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, ["cat", "cat", "cat", "dog"] * 5, content=[0, 0, 0, *range(3, 20)])
    assert len(audit(store, kinds="copy").rows) == 2


def test_without_the_copies_that_are_found_none_is_left(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, ["cat"] * 36, near={10: 1, 20: 1, 30: 10, 31: 20}, dim=64)
    assert sorted(images(audit(store, kinds="copy"), "copy")) == [f"cat/{row}.jpg" for row in (10, 20, 30, 31)]


def test_a_picture_that_is_there_many_times_is_compared_in_tiles(
    tmp_path: Path, make_cache: MakeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_cache(tmp_path, ["cat"] * 36, content=[0] * 20 + list(range(20, 36)), near={30: 0, 31: 0}, dim=64)
    whole = audit(store, kinds="copy").rows
    monkeypatch.setattr("stackbone.stack.audit.copies._TILE_PAIRS", 50)
    tiled = audit(store, kinds="copy").rows
    assert [each.score for each in tiled] == pytest.approx([each.score for each in whole], abs=1e-6)  # as BLAS rounds
    assert [replace(each, score=0) for each in tiled] == [replace(each, score=0) for each in whole]
    assert len(whole) == 21


def test_copies_of_the_same_bytes_need_no_features(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, [*LABELS, "cat"], content=[*range(36), 0])
    digests = store.dataset().image_sha256.copy()
    digests[5] = 77  # was added, and is not embedded yet
    found = audit(relabel(store, image_sha256=digests), kinds="copy,outlier")
    assert images(found, "copy") == ["cat/36.jpg"]
    assert "lacks 1" in found.left_out["outlier"]
    assert any("near copies are not searched for" in note for note in found.notes)


# Images and classes


def test_an_image_of_another_kind_is_an_outlier(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, LABELS, noise=0.3, near={35: 34}, dim=32)
    assert images(audit(store, kinds="outlier"), "outlier") == []
    far = make_cache(tmp_path / "far", [*LABELS, "fox"], noise=0.3, dim=32)  # alone of its class
    found = audit(far, kinds="outlier")
    assert images(found, "outlier") == ["fox/36.jpg"]
    assert found.rows[0].score > 0.5


def test_classes_that_are_alike_are_ambiguous(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, LABELS, noise=0.3)
    mixed = [["cat", "dog"][row % 2] if label != "emu" else label for row, label in enumerate(LABELS)]
    found = audit(relabel(store, label=mixed), kinds="ambiguous")
    (pair,) = found.rows
    assert (pair.image, pair.label) == ("", "cat, dog")
    assert pair.score > 0.2


def test_a_rare_class_taken_for_a_common_one_is_ambiguous(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, ["cat"] * 320 + ["emu"] * 100, noise=0.5, dim=32)
    found = audit(relabel(store, label=["cat"] * 300 + ["dog"] * 20 + ["emu"] * 100), kinds="ambiguous")
    (pair,) = found.rows
    assert pair.label == "cat, dog"
    assert pair.score >= 0.4


def test_sets_of_labels_do_not_fall_apart(tmp_path: Path) -> None:
    store, presence = scenes(tmp_path)
    noisy = presence.copy()
    noisy[:, 1] = 0  # images of nothing, and of what was indoor, under one text
    assert audit(relabel(store, label=texts_of(noisy)), kinds="in-two").rows == []


@pytest.mark.parametrize("merged", [("cat", "dog"), ("dog", "emu"), ("cat", "emu")])
def test_a_class_made_of_two_falls_apart(tmp_path: Path, make_cache: MakeCache, merged: tuple[str, str]) -> None:
    store = make_cache(tmp_path, LABELS, noise=0.5)
    assert audit(store, kinds="in-two").rows == []
    relabel(store, label=["animal" if label in merged else label for label in LABELS])
    (found,) = audit(store, kinds="in-two").rows
    assert found.label == "animal"
    assert found.image.split("/")[0] in merged


@pytest.mark.parametrize(
    ("sizes", "kind"), [((20, 15), "tiny"), ((1200, 300), "odd-aspect"), ((300, 1000), "odd-aspect")]
)
def test_sizes_that_are_odd_beside_the_others(
    tmp_path: Path, make_cache: MakeCache, sizes: tuple[int, int], kind: str
) -> None:
    store = make_cache(tmp_path, LABELS)
    relabel(store, sizes=np.array([sizes, *[(400, 300)] * 35]))
    found = audit(store, kinds="tiny,odd-aspect")
    assert [(each.kind, each.image) for each in found.rows] == [(kind, "cat/0.jpg")]
    relabel(store, sizes=np.array([sizes] * 36))  # where all are so, none is odd
    assert audit(store, kinds="tiny,odd-aspect").rows == []


@pytest.mark.parametrize(
    ("fact", "kind"), [(Fact(highlight=0.1), "dark"), (Fact(sharpness=0.005), "blurred"), (Fact(), "")]
)
def test_files_are_looked_at_where_somebody_can(tmp_path: Path, make_cache: MakeCache, fact: Fact, kind: str) -> None:
    store = make_cache(tmp_path, LABELS)

    def measure(files: Sequence[Any]) -> list[Fact | str]:
        assert [each.path for each in files] == store.dataset().path
        return [fact, "it is gone", *[Fact()] * 34]

    found = audit(store, kinds="dark,blurred", measure=measure)
    assert [(each.kind, each.image) for each in found.rows] == ([(kind, "cat/0.jpg")] if kind else [])
    assert found.notes == ["1 file could not be looked at; the first is 'dog/1.jpg': it is gone"]


GIVEAWAYS: dict[str, dict[str, Any]] = {
    "number of pixels": {"sizes": np.array([(300, 300), (400, 400), (500, 500)] * 12)},
    "file format": {"path": [f"{row}.{['jpg', 'png', 'webp'][row % 3]}" for row in range(36)]},
    "folder (level 1)": {"path": [f"{['home', 'shop', 'zoo'][row % 3]}/{row}.jpg" for row in range(36)]},
}


@pytest.mark.parametrize("fact", GIVEAWAYS)
def test_a_fact_that_gives_the_label_away_is_told(tmp_path: Path, make_cache: MakeCache, fact: str) -> None:
    store = make_cache(tmp_path, LABELS)
    relabel(store, **GIVEAWAYS[fact])
    found = audit(store, kinds="spurious")
    assert any(fact in each.evidence for each in found.rows)
    assert all(each.score == pytest.approx(1) for each in found.rows)


@pytest.mark.parametrize(("told", "n"), [("brightness", 1), ("camera", 1), ("", 0)])
def test_what_files_tell_of_the_label(tmp_path: Path, make_cache: MakeCache, told: str, n: int) -> None:
    store = make_cache(tmp_path, LABELS)
    rng = np.random.default_rng(0)

    def measure(files: Sequence[Any]) -> list[Fact]:
        return [
            Fact(
                brightness=row % 3 / 3 if told == "brightness" else rng.random(),
                camera="abc"[row % 3] if told == "camera" else "",
            )
            for row in range(len(files))
        ]

    found = audit(store, kinds="spurious", measure=measure)
    assert len(found.rows) == n
    assert all(f"the {told} alone" in each.evidence for each in found.rows)


def test_a_fact_gives_many_classes_away(tmp_path: Path, make_cache: MakeCache) -> None:
    labels = [f"c{row % 40:02}" for row in range(400)]
    store = make_cache(tmp_path, labels)
    relabel(store, sizes=np.array([(100 + 10 * (row % 40),) * 2 for row in range(400)]))
    (found,) = audit(store, kinds="spurious").rows
    assert "number of pixels" in found.evidence
    assert found.score == pytest.approx(1)


def test_one_file_that_is_gone_hides_no_fact(tmp_path: Path, make_cache: MakeCache) -> None:
    def measure(files: Sequence[Any]) -> list[Fact | str]:
        return ["it is gone", *[Fact(camera="abc"[row % 3]) for row in range(1, len(files))]]

    found = audit(make_cache(tmp_path, LABELS), kinds="spurious", measure=measure)
    assert any("the camera alone" in each.evidence for each in found.rows)


def test_the_folder_that_is_the_label_gives_nothing_away(tmp_path: Path, make_cache: MakeCache) -> None:
    assert audit(make_cache(tmp_path, LABELS), kinds="spurious").rows == []


# What is left out


def test_unlabelled_images_are_audited_without_what_needs_labels(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, LABELS, content=[*range(35), 0])
    found = audit(relabel(store, label=[""] * 36))
    assert found.left_out == {
        **dict.fromkeys(["label", "spurious", "ambiguous", "in-two"], "no image has a label"),
        **dict.fromkeys(["dark", "blurred"], "the files were not looked at"),
    }
    assert images(found, "copy") == ["emu/35.jpg"]
    assert set(found.findings) | set(found.left_out) == set(KINDS)


def test_images_without_a_label_among_others_are_compared_too(tmp_path: Path, make_cache: MakeCache) -> None:
    store = make_cache(tmp_path, [*LABELS, "cat"], near={36: 0}, dim=32)
    found = audit(relabel(store, label=[*LABELS, ""]), kinds="copy,conflict,leak,label")
    assert found.n_images == 37
    assert "cat/36.jpg" not in images(found, "label")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([str(number / 7) for number in range(36)], "labels are numbers"),
        ([""] * 36, "no image has a label"),
        (["cat"] * 36, "class"),
    ],
)
def test_nothing_that_can_be_looked_for_is_an_error(
    tmp_path: Path, make_cache: MakeCache, labels: list[str], reason: str
) -> None:
    store = relabel(make_cache(tmp_path, LABELS), label=labels)
    with pytest.raises(StackError, match=f"nothing that was asked for .*{reason}"):
        audit(store, kinds="label")


def test_an_unknown_kind_is_answered_with_the_likely_one(tmp_path: Path, make_cache: MakeCache) -> None:
    with pytest.raises(UsageError, match=r"unknown kind of finding 'lable'.*'label'"):
        audit(make_cache(tmp_path, LABELS), kinds="lable")


def test_the_frame_has_a_row_for_each_finding(tmp_path: Path, make_cache: MakeCache) -> None:
    found = audit(make_cache(tmp_path, LABELS, content=[*range(35), 0]), kinds="copy,conflict,tiny")
    frame = found.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == len(found.rows) == 1
    assert repr(found) == "<Audit of photos: 35 images, 1 finding>"


@pytest.mark.parametrize("kinds", [[], ()])
def test_no_kind_at_all_is_refused(make_cache: MakeCache, tmp_path: Path, kinds: Sequence[str]) -> None:
    store = make_cache(tmp_path, ["a", "b"] * 6)
    with pytest.raises(UsageError, match="leave kinds out for all"):
        audit(store, kinds=kinds)
