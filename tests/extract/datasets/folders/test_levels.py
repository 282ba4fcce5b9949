"""Wrappers are gone through, and the level that was taken for the classes is said."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from stackbone.cache.errors import UsageError
from stackbone.extract.datasets.dataset import open_dataset
from tests.extract.datasets.folders.conftest import Photos, counts
from tests.made.listings import touch

CAT_AND_DOG = {("cat", ""): 1, ("dog", ""): 1}
BOTH_SPLITS = {("cat", "train"): 1, ("dog", "train"): 1, ("cat", "test"): 1, ("dog", "test"): 1}


@pytest.mark.parametrize("wrapper", ["archive", "a/b/c", "train_v2/data"])
def test_a_wrapper_is_no_class(photos: Photos, wrapper: str) -> None:
    folder = photos(f"{wrapper}/cat/1.jpg", f"{wrapper}/dog/2.jpg", "__MACOSX/cat/._1.jpg", "README.md")
    dataset = open_dataset(folder)
    assert counts(dataset) == CAT_AND_DOG
    assert f"'{wrapper}' holds all images" in dataset.notes[0]
    assert dataset.root == folder


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/train", "data/test"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train/images", "test/images"),
        ("train/train_set", "test"),
        ("train/archive", "test"),
        ("train/animals", "test/animals"),
    ],
)
def test_wrappers_around_and_in_splits_are_no_classes(photos: Photos, train: str, test: str) -> None:
    dataset = open_dataset(photos(*(f"{top}/{label}/1.jpg" for top in (train, test) for label in ("cat", "dog"))))
    assert counts(dataset) == BOTH_SPLITS
    assert any("taken for" in note for note in dataset.notes)


@pytest.mark.parametrize("flat", ["test/test", "test/images", "val/images"])
def test_a_split_whose_images_lie_in_a_folder_of_no_meaning_is_unlabelled(photos: Photos, flat: str) -> None:
    dataset = open_dataset(photos("train/cat/1.jpg", "train/dog/2.jpg", f"{flat}/3.jpg"))
    assert [label for path, label in zip(dataset.paths, dataset.labels, strict=True) if path.startswith(flat)] == [""]


def test_the_only_class_of_a_split_is_a_class(photos: Photos) -> None:
    dataset = open_dataset(photos("train/good/1.jpg", "test/good/2.jpg", "test/bad/3.jpg"))
    assert counts(dataset) == {("good", "train"): 1, ("good", "test"): 1, ("bad", "test"): 1}
    single = open_dataset(photos("train/good/2024/4.jpg", "test/bad/2023/3.jpg"))
    assert single.classes == ["bad", "good"]


def test_a_folder_that_holds_all_images_is_no_class_if_its_name_says_just_that(photos: Photos) -> None:
    dataset = open_dataset(photos("images/1.jpg", "annotations/list.txt"))
    assert not dataset.has_labels
    assert "'images' holds all images" in " ".join(dataset.notes)
    assert open_dataset(photos("images/cats/1.jpg")).classes == ["cats"]


def test_the_first_level_is_taken_and_deeper_ones_are_said(photos: Photos) -> None:
    folder = photos("animals/cat/1.jpg", "animals/dog/2.jpg", "plants/oak/3.jpg", "plants/4.jpg")
    dataset = open_dataset(folder)
    assert dataset.classes == ["animals", "plants"]
    assert "type --class-level 2, or --class-level leaf" in " ".join(dataset.notes)
    assert "'animals/cat'" in " ".join(dataset.notes)
    second = open_dataset(folder, class_level=2)
    assert counts(second) == {("cat", ""): 1, ("dog", ""): 1, ("oak", ""): 1, ("", ""): 1}
    assert "1 image has no label" in " ".join(second.notes)
    assert counts(open_dataset(folder, class_level="leaf")) == {
        ("cat", ""): 1,
        ("dog", ""): 1,
        ("oak", ""): 1,
        ("plants", ""): 1,
    }


def test_levels_are_counted_below_wrappers_and_splits(photos: Photos) -> None:
    folder = photos("x/train/animals/cat/1.jpg", "x/train/plants/oak/2.jpg", "x/test/animals/cat/3.jpg")
    assert counts(open_dataset(folder, class_level="2")) == {
        ("cat", "train"): 1,
        ("oak", "train"): 1,
        ("cat", "test"): 1,
    }


def test_folders_of_one_name_at_a_deeper_level_are_one_class_and_said(photos: Photos) -> None:
    folder = photos("2023/cat/1.jpg", "2024/cat/2.jpg", "2024/dog/3.jpg", "2023/owl/1.jpg", "2024/owl/1.jpg")
    for level in (2, "leaf"):
        dataset = open_dataset(folder, class_level=level)
        assert dataset.classes == ["cat", "dog", "owl"]
        assert "'2023/cat' and '2024/cat' are the class 'cat', and so for 1 more" in " ".join(dataset.notes)


@pytest.mark.parametrize("level", ["0", "-1", "two", 0])
def test_a_level_that_is_none_is_refused(photos: Photos, level: int | str) -> None:
    with pytest.raises(UsageError, match="from 1, or leaf"):
        open_dataset(photos("cat/1.jpg"), class_level=level)


def test_a_folder_from_macos_and_one_from_elsewhere_are_one_class(photos: Photos) -> None:
    composed, decomposed = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    for inside in ("{}/{}.jpg", "train/{}/{}.jpg"):
        folder = photos(*(inside.format(name, number) for number, name in enumerate((composed, decomposed))))
        dataset = open_dataset(folder)
        assert dataset.classes == [composed]
        assert all((folder / path).is_file() for path in dataset.paths)
        for file in dataset.paths:
            (folder / file).unlink()


def test_classes_that_differ_in_capitals_are_said(photos: Photos) -> None:
    assert "'Cat' and 'cat' are different classes" in open_dataset(photos("Cat/1.jpg", "cat/2.jpg")).notes[0]


@pytest.mark.parametrize(
    ("files", "level", "said"),
    [
        (("a/1.jpg", "b/2.jpg"), 2, "--class-level 2 was typed, and the innermost folders are of level 1."),
        (("train/a/1.jpg", "test/a/2.jpg"), 3, "--class-level 3 was typed, and the innermost folders are of level 1."),
        (("1.jpg", "2.jpg"), "leaf", "--class-level leaf was typed, and there are no class folders."),
    ],
)
def test_a_level_that_is_not_there_is_said(tmp_path: Path, files: tuple[str, ...], level: int | str, said: str) -> None:
    dataset = open_dataset(touch(tmp_path / "photos", *files), class_level=level)
    assert not dataset.has_labels
    assert dataset.notes[-1] == f"No image has a label: {said}"
