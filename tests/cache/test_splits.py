"""Names of splits are recognised in the forms in which people write them; names of classes are not taken for them."""

from __future__ import annotations

import pytest

from stackbone.cache.splits import UNLABELLED, canonical_split, canonical_splits, is_container_name, role_of

PLAIN = {
    "train": (
        *("train", "Train", "TRAINING", "training_set", "trainset", "train2017", "train_images", "imagesTr", "tr"),
        *("Train-Data", "x_train", "train_64x64"),
    ),
    "validation": (
        *(
            "val",
            "valid",
            "validation",
            "VAL",
            "val2",
            "validation-set",
            "dev",
            "devset",
            "eval",
            "Evaluation",
            "valSet",
        ),
        "images_val",
    ),
    "test": (
        *("test", "testing", "Test_Set", "test2", "test-images", "holdout", "hold-out", "held_out", "HoldOut"),
        *("imagesTs", "te", "tst"),
    ),
    UNLABELLED: ("unlabeled", "unlabelled_images", "predictions"),
}
DECORATED = {
    "seg_train": "train",
    "train_station": "train",
    "asl_alphabet_test": "test",
    "test-multiple_fruits": "test",
    "trainA": "train",
}


@pytest.mark.parametrize(("name", "split"), [(name, split) for split, names in PLAIN.items() for name in names])
def test_plain_names_say_a_split_in_any_form(name: str, split: str) -> None:
    role = role_of(name)
    assert role
    assert (role.split, role.plain) == (split, True)


@pytest.mark.parametrize(("name", "split"), DECORATED.items())
def test_a_name_with_other_words_is_decorated(name: str, split: str) -> None:
    role = role_of(name)
    assert role
    assert (role.split, role.plain) == (split, False)


@pytest.mark.parametrize("name", ["cat", "valley", "trainer", "testament", "tr_flag", "bullet", "devil", "contest", ""])
def test_other_names_say_nothing(name: str) -> None:
    assert role_of(name) is None


def test_eval_is_the_test_beside_a_validation_and_no_test() -> None:
    assert canonical_splits(["train", "dev", "eval"]) == {"train": "train", "dev": "validation", "eval": "test"}
    assert canonical_splits(["train", "eval"])["eval"] == "validation"
    assert canonical_splits(["train", "val", "eval", "test"])["eval"] == "validation"


def test_names_that_are_no_splits_stay_as_they_are() -> None:
    assert canonical_splits(["Train", "fold 3", "seg_test", "unlabeled"]) == {
        "Train": "train",
        "fold 3": "fold 3",
        "seg_test": "seg_test",
        "unlabeled": "unlabeled",
    }
    assert canonical_split("TEST") == "test"


def test_names_that_only_say_that_images_lie_there() -> None:
    assert all(map(is_container_name, ["images", "JPEGImages", "img_data", "Photos"]))
    assert not any(map(is_container_name, ["cat", "images_of_cats", "", "train"]))
