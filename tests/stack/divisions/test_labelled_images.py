"""Every file of a dataset is known by what it belongs to, also those that take no part."""

from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pytest

from stackbone.cache import FAILED, DatasetIndex, FileStamps, StackError
from stackbone.stack.divisions.labelled_images import LabelledImages, label_images


def made_index(*files: tuple[str, str, str, int]) -> DatasetIndex:
    """Return a dataset of files: path, label, group, and the number of the picture in it."""
    n = len(files)
    pictures = np.array([[file[3]] * 32 for file in files], np.uint8)
    return DatasetIndex(
        name="photos",
        root="/photos",
        path=[file[0] for file in files],
        label=[file[1] for file in files],
        split=[""] * n,
        group=[file[2] for file in files],
        image_sha256=pictures,
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )


def families(images: LabelledImages) -> list[str]:
    """Return the files of each group, named by the first letter of their paths; those of none come last, after |."""
    groups = [
        "".join(PurePosixPath(images.index.path[row]).name[0] for row in np.flatnonzero(images.file_groups == group))
        for group in np.unique(images.file_groups)
    ]
    return [*groups[1:], f"|{groups[0]}"] if images.file_groups.min() < 0 else [*groups, "|"]


INDEX = made_index(
    ("x/a", "cat", "ann", 1),
    ("x/b", "dog", "bob", 2),
    ("y/c", "cat", "bob", 1),  # a's picture in bob's folder: ann and bob are one
    ("y/d", "", "eve", 3),
    ("y/e", "cat", "eve", 4),
    ("z/f", "dog", "", 5),
    ("z/g", "cat", "", 5),  # f's picture with another label: neither takes part
    ("z/h", "", "eve", 2),  # b's picture without label: b's family, and not eve's
    ("z/i", "", "", 6),
    ("z/j", "dog", "zoe", 7),
    ("z/k", "", "nobody", 8),
)


def test_files_that_take_no_part_belong_to_their_picture_or_else_to_their_group() -> None:
    images = label_images(INDEX)
    assert images.rows.tolist() == [0, 1, 4, 9]
    assert families(images) == ["abch", "de", "fg", "j", "|ik"]
    assert images.groups is not None
    assert images.groups.tolist() == [0, 0, 1, 2]


def test_without_groups_a_file_belongs_to_its_picture_alone() -> None:
    images = label_images(INDEX, group_by="none")
    assert images.groups is None
    assert sorted(families(images)[:-1]) == ["ac", "bh", "e", "fg", "j"]
    assert families(images)[-1] == "|dik"


def test_by_folder_every_file_has_a_group() -> None:
    assert families(label_images(INDEX, group_by="folder")) == ["abcdeh", "fgijk", "|"]


def test_what_joins_images_joins_all_that_belongs_to_them() -> None:
    images = label_images(INDEX).join(np.array([7, -1, 7, -1]))  # a and e look the same
    assert images.groups is not None
    assert images.groups.tolist() == [0, 0, 0, 1]
    assert families(images) == ["abcdeh", "j", "|fgik"]
    alone = label_images(INDEX, group_by="none").join(np.array([7, -1, 7, -1]))
    assert sorted(families(alone)[:-1]) == ["ace", "bh", "j"]


def test_images_that_are_taken_keep_what_the_others_belong_to() -> None:
    images = label_images(INDEX).take(np.array([2, 3]), "two are left out")
    assert families(images) == ["abch", "de", "fg", "j", "|ik"]
    assert (images.paths, images.notes) == (["y/e", "z/j"], ["two are left out"])
    assert images.take(np.array([0])).notes == ["two are left out"]


def test_near_copies_of_tested_images_are_left_out_and_stay_kin() -> None:
    index = made_index(*((name, "cat", "", number) for number, name in enumerate("abcde")))
    index = replace(index, split=["train", "train", "test", "test", "train"])
    images = label_images(index, split="test").join(np.array([7, -1, 7, 8, 9]))
    kept = images.leave_out_copies("test")
    assert kept.paths == ["b", "c", "d", "e"]
    assert kept.left_out == {**images.left_out, "near_copies": 1}
    assert kept.file_groups[0] == kept.file_groups[2]
    assert images.leave_out_copies("train").paths == ["a", "b", "d", "e"]
    alone = label_images(index, split="test")
    assert alone.leave_out_copies("test") is alone


def test_byte_identical_files_are_near_copies_of_the_same_images() -> None:
    index = made_index(("a", "cat", "", 1), ("b", "cat", "", 2), ("c", "cat", "", 1), ("d", "", "", 3))
    images = label_images(index).join(np.array([4, 4]))
    assert images.near is not None
    assert images.near.tolist() == [4, 4, 4, -1]


@pytest.mark.parametrize("group_by", ["auto", "none"])
def test_unreadable_files_are_nobodys_copies(group_by: str) -> None:
    index = made_index(("a", "cat", "ann", 0), ("b", "dog", "bob", 0), ("c", "dog", "bob", 3), ("d", "cat", "ann", 4))
    index.status[:2] = FAILED  # their digests are zero
    images = label_images(index, group_by=group_by)
    assert images.rows.tolist() == [2, 3]
    assert families(images) == (["bc", "ad", "|"] if group_by == "auto" else ["c", "d", "|ab"])


def test_labelled_images_that_cannot_be_read_are_not_said_to_lack_labels() -> None:
    status = np.full(len(INDEX), FAILED, np.uint8)
    with pytest.raises(StackError, match=r"none of the 7 labelled images of the dataset 'photos' could be read"):
        label_images(replace(INDEX, status=status, reason=["it is empty"] * len(INDEX)))
