"""Folders named like splits are splits, or classes, or refused with both readings: never one of them in silence."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pytest

from stackbone.cache.errors import DatasetError, DoubtError, UsageError
from stackbone.extract.datasets.dataset import open_dataset
from tests.extract.datasets.folders.conftest import Photos, counts


def said(notes: Sequence[str], text: str) -> bool:
    return any(text in note for note in notes)


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "dev", "eval"), ("train", "validation", "test")),
        (("training_set", "test_set"), ("train", "test")),
        (("train", "val", "val2", "holdout"), ("train", "validation", "validation", "test")),
        (("seg_train", "seg_test"), ("train", "test")),
        (("imagesTr", "imagesTs"), ("train", "test")),
        (("Training", "Test", "test-multiple_fruits"), ("train", "test", "test")),
    ],
)
def test_splits_are_recognised_by_their_role_and_said(
    photos: Photos, folders: tuple[str, ...], splits: tuple[str, ...]
) -> None:
    dataset = open_dataset(photos(*(f"{folder}/{label}/1.jpg" for folder in folders for label in ("cat", "dog"))))
    found = {path.split("/")[0]: split for path, split in zip(dataset.paths, dataset.splits, strict=True)}
    assert found == dict(zip(folders, splits, strict=True))
    assert dataset.classes == ["cat", "dog"]
    assert said(dataset.notes, "If they are classes, type --split-folders none")
    assert all(said(dataset.notes, repr(folder)) for folder in folders)


def test_the_usual_names_need_no_note(photos: Photos) -> None:
    assert open_dataset(photos("train/cat/1.jpg", "val/cat/2.jpg", "Test/cat/3.jpg")).notes == []


@pytest.mark.parametrize(
    ("files", "way_out", "left"),
    [
        (("train/1.jpg", "bus/2.jpg", "car/3.jpg"), "--exclude ./train", {("bus", ""): 1, ("car", ""): 1}),
        (("cat/1.jpg", "dog/2.jpg", "test/3.jpg"), "--exclude ./test", {("cat", ""): 1, ("dog", ""): 1}),
        (
            ("train/a/1.jpg", "test/a/2.jpg", "my extra/3.jpg"),
            "--exclude './my extra'",
            {("a", "train"): 1, ("a", "test"): 1},
        ),
        (("train/a/1.jpg", "sample/train/a/2.jpg"), "--exclude ./sample", {("a", "train"): 1}),
        (
            ("box/train/a/1.jpg", "box/train/b/2.jpg", "box/x/3.jpg"),
            "--exclude ./box/x",
            {("a", "train"): 1, ("b", "train"): 1},
        ),
        (("valid/1.jpg", "invalid/2.jpg"), "--exclude ./valid", {("invalid", ""): 1}),
        (("train/a/1.jpg", "[x] *y/3.jpg"), "--exclude './[[]x] [*]y'", {("a", "train"): 1}),
    ],
)
def test_a_doubtful_folder_is_refused_with_both_readings_and_what_it_says_works(
    photos: Photos, files: tuple[str, ...], way_out: str, left: dict[tuple[str, str], int]
) -> None:
    folder = photos(*files)
    with pytest.raises(DatasetError) as caught:
        open_dataset(folder)
    assert "type --split-folders none" in str(caught.value)
    typed = re.search(r"leave (?:it|them) out: type (.*?)\. Otherwise", str(caught.value))
    assert typed
    assert typed[1] == way_out
    as_classes = open_dataset(folder, split_folders="none")
    assert not as_classes.has_splits
    assert counts(open_dataset(folder, exclude=[word for word in shlex.split(typed[1]) if word != "--exclude"])) == left


def test_classes_beside_a_split_with_the_same_classes_are_refused_with_the_way_out(photos: Photos) -> None:
    folder = photos("cat/1.jpg", "dog/2.jpg", "test/cat/3.jpg", "test/dog/4.jpg")
    with pytest.raises(DatasetError, match="move these into a folder 'train'"):
        open_dataset(folder)
    (folder / "train").mkdir()
    for name in ("cat", "dog"):
        (folder / name).rename(folder / "train" / name)
    assert len(counts(open_dataset(folder))) == 4


@pytest.mark.parametrize(
    ("files", "doubtful"),
    [
        (("train/1.jpg", "bus/2.jpg", "car/3.jpg"), "'train' is named like a split, beside 'bus' and 'car'."),
        (
            ("cats_train/1.jpg", "cats_test/2.jpg", "dogs_train/3.jpg", "dogs_test/4.jpg"),
            "a class and a split at once.",
        ),
        (("fold1/train/a/1.jpg", "fold1/test/a/2.jpg", "fold2/train/a/3.jpg", "fold2/test/a/4.jpg"), "of its own."),
    ],
)
def test_doubt_is_a_note_where_labels_are_not_asked_for(photos: Photos, files: tuple[str, ...], doubtful: str) -> None:
    folder = photos(*files)
    with pytest.raises(DoubtError, match=doubtful):
        open_dataset(folder)
    dataset = open_dataset(folder, label_column=None)
    assert counts(dataset) == {("", ""): len(files)}
    [note] = [note for note in dataset.notes if doubtful in note]
    assert note.endswith(" Labels are not asked for, so none of these folders is taken for a split.")


@pytest.mark.parametrize("names", [("fold1", "fold2"), ("Fold_0", "Fold_1"), ("cv-1", "cv-2")])
def test_folds_with_splits_of_their_own_are_no_classes(photos: Photos, names: tuple[str, str]) -> None:
    folder = photos(*(f"{name}/{split}/cat/1.jpg" for name in names for split in ("train", "test")))
    with pytest.raises(DatasetError, match="holds splits of its own"):
        open_dataset(folder)
    assert open_dataset(folder / names[0]).has_splits
    assert open_dataset(folder, split_folders="none").classes == sorted(names)


def test_names_that_hold_class_and_split_are_refused(photos: Photos) -> None:
    for pairs in (("cats_train", "cats_test", "dogs_train", "dogs_test"), ("trainA", "testA", "trainB", "testB")):
        folder = photos(*(f"{pairs[0]}_/{name}/1.jpg" for name in pairs)) / f"{pairs[0]}_"
        with pytest.raises(DatasetError, match="a class and a split at once"):
            open_dataset(folder)
        assert open_dataset(folder, split_folders="none").classes == sorted(pairs)


@pytest.mark.parametrize(
    ("classes", "notes"),
    [
        (("train_station", "kitchen", "train_interior"), []),
        (("train_station", "test_tube"), ["'test_tube' and 'train_station' were read as classes"]),
        (("tr", "us", "te"), []),
        (("bullet_train", "steam_train"), []),
    ],
)
def test_classes_whose_names_hold_such_a_word_are_classes(
    photos: Photos, classes: tuple[str, ...], notes: list[str]
) -> None:
    dataset = open_dataset(photos(*(f"{name}/1.jpg" for name in classes)))
    assert dataset.classes == sorted(classes)
    assert [note.partition(",")[0] for note in dataset.notes] == notes


def test_splits_in_each_class_folder_are_splits(photos: Photos) -> None:
    dataset = open_dataset(photos("cat/train/1.jpg", "cat/test/2.jpg", "dog/train/3.jpg"))
    assert counts(dataset) == {("cat", "train"): 1, ("cat", "test"): 1, ("dog", "train"): 1}
    assert said(dataset.notes, "in each class's folder")
    assert open_dataset(photos("owl/4.jpg")).has_splits is False


def test_parts_between_splits_and_classes_are_levels_of_classes(photos: Photos) -> None:
    folder = photos(
        "bottle/train/good/1.jpg", "bottle/test/bad/2.jpg", "bottle/test/good/3.jpg", "cable/test/bad/4.jpg"
    )
    assert open_dataset(folder).classes == ["bottle", "cable"]
    assert counts(open_dataset(folder, class_level=2)) == {
        ("good", "train"): 1,
        ("bad", "test"): 2,
        ("good", "test"): 1,
    }


def test_images_beside_splits_that_nobody_labelled_have_neither(photos: Photos) -> None:
    dataset = open_dataset(photos("seg_train/cat/1.jpg", "seg_test/cat/2.jpg", "seg_pred/3.jpg"))
    assert counts(dataset) == {("cat", "train"): 1, ("cat", "test"): 1, ("", ""): 1}
    assert said(dataset.notes, "'seg_pred' is no split and no class")
    assert said(dataset.notes, "1 image has no label")


def test_a_flat_split_beside_labelled_ones_is_said(photos: Photos) -> None:
    dataset = open_dataset(photos("train/cat/1.jpg", "test/2.jpg", "test/3.jpg"))
    assert counts(dataset) == {("cat", "train"): 1, ("", "test"): 2}
    assert said(dataset.notes, "2 images have no label")
    assert said(dataset.notes, "'./test'")


def test_a_class_that_one_split_has_alone_is_said(photos: Photos) -> None:
    dataset = open_dataset(photos("train/cat/1.jpg", "train/dog/2.jpg", "test/unknown/3.jpg"))
    assert said(dataset.notes, "The split 'test' has the class 'unknown', which no other split has.")


@pytest.mark.parametrize("option", [{"split_folders": "none"}, {"class_level": 2}])
def test_options_for_folders_are_refused_where_there_are_none(photos: Photos, option: dict[str, object]) -> None:
    folder = photos("a.jpg", "b.jpg")
    with pytest.raises(UsageError, match=r"--split-folders none|--class-level 2"):
        open_dataset([folder / "a.jpg", folder / "b.jpg"], **option)  # type: ignore[arg-type] # one of two types
    with pytest.raises(UsageError, match="auto, none"):
        open_dataset(folder, split_folders="no")
