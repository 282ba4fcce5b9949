"""A split is named as in the index, by its folder's name, or by another name that means the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.cache import DatasetIndex, FeatureStore, StackError, UsageError
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.divisions.training_parts import training_parts

MakeIndex = Callable[[dict[str, str]], DatasetIndex]


@pytest.fixture
def make_index(make_cache: Callable[..., FeatureStore], tmp_path: Path) -> MakeIndex:
    """Return a function that makes the index of a dataset with these paths and splits."""

    def make(splits: dict[str, str]) -> DatasetIndex:
        labels = ["cat", "dog"] * (len(splits) // 2)
        store = make_cache(tmp_path / "features", labels, paths=[*splits], splits=[*splits.values()])
        return store.dataset("photos")

    return make


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("validation", "validation"),
        ("val", "validation"),
        ("dev_set", "validation"),
        ("VALIDATION", "validation"),
        ("training", "train"),
        ("seg_test", "test"),
        ("Test", "test"),
    ],
)
def test_a_split_has_several_names(make_index: MakeIndex, named: str, found: str) -> None:
    paths = {"train/a/1.jpg": "train", "train/b/2.jpg": "train", "dev_set/a/3.jpg": "validation"}
    index = make_index({**paths, "seg_test/b/4.jpg": "test"})
    assert find_split(index, named) == found


def test_names_of_a_table_are_found_too(make_index: MakeIndex) -> None:
    index = make_index({"1.jpg": "fold 1", "2.jpg": "val", "3.jpg": "Train", "4.jpg": "val"})
    assert [find_split(index, name) for name in ("fold 1", "validation", "train")] == ["fold 1", "val", "Train"]
    assert find_split(index, "test") == "test", "refused where images are divided"


def test_a_part_of_a_split_is_refused_with_the_way_out(make_index: MakeIndex) -> None:
    index = make_index(
        {"train/a/1.jpg": "train", "val/b/2.jpg": "validation", "val2/a/3.jpg": "validation", "t/b/4.jpg": "test"}
    )
    for named in ("val", "val2"):
        with pytest.raises(UsageError, match=f"'{named}' is not all of the split 'validation': 1 of its images"):
            find_split(index, named)


def test_the_folder_of_a_class_is_no_split(make_index: MakeIndex) -> None:
    index = make_index(
        {"train/a/1.jpg": "train", "train/b/2.jpg": "train", "test/a/3.jpg": "test", "test/b/4.jpg": "test"}
    )
    assert find_split(index, "a") == "a"


def test_steerings_take_the_same_names(make_cache: Callable[..., FeatureStore], tmp_path: Path) -> None:
    splits = ["train"] * 20 + ["validation"] * 10
    folders = ["training_set"] * 20 + ["val"] * 10
    labels = ["cat", "dog"] * 15
    paths = [f"{folder}/{label}/{i}.jpg" for i, (folder, label) in enumerate(zip(folders, labels, strict=True))]
    store = make_cache(tmp_path / "features", labels, paths=paths, splits=splits)
    parts = [training_parts(store, split=name) for name in ("validation", "val", "dev")]
    assert [[part.division for part in each] for each in parts] == [[{"split": "validation"}]] * 3
    with pytest.raises(StackError, match="no split 'test'"):
        training_parts(store, split="test")
