"""Folds are scikit-learn's, the dataset's own, or an error that says what to do."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from cache.errors import StackError
from stack import Fold, split_folds, stratified_folds
from stack.folds import check_fold_classes

Y = np.repeat(["cat", "dog", "emu"], [9, 6, 4])


@pytest.mark.parametrize(("n_splits", "seed"), [(2, 0), (3, 0), (4, 7)])
def test_stratified_folds_are_those_of_sklearn(n_splits: int, seed: int) -> None:
    reference = StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(np.zeros(len(Y)), Y)
    folds = stratified_folds(Y, n_splits, seed)
    assert len(folds) == n_splits
    for fold, (train, test) in zip(folds, reference, strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
        assert fold.train.dtype == fold.test.dtype == np.int64


def test_every_row_is_tested_once() -> None:
    tested = np.concatenate([fold.test for fold in stratified_folds(Y, 3, 1)])
    np.testing.assert_array_equal(np.sort(tested), np.arange(len(Y)))


def test_rare_classes_are_all_named_with_their_counts() -> None:
    y = np.repeat(["cat", "dog", "emu", "fox"], [9, 2, 9, 4])
    with pytest.raises(StackError, match=r"5 folds.*'dog' \(2\), 'fox' \(4\).*at most 2 folds"):
        stratified_folds(y, 5, 0)


def test_class_of_one_image_is_not_told_to_ask_for_one_fold() -> None:
    with pytest.raises(StackError, match=r"'dog' \(1\)") as caught:
        stratified_folds(np.array(["cat", "cat", "dog"]), 2, 0)
    assert "at most" not in str(caught.value)


@pytest.mark.parametrize("y", [["cat", "cat"], []])
def test_fewer_than_two_classes_are_refused(y: list[str]) -> None:
    with pytest.raises(StackError, match="at least 2 classes"):
        stratified_folds(np.array(y, dtype=np.str_), 2, 0)


def test_unlabelled_rows_are_counted_and_shown() -> None:
    with pytest.raises(StackError, match=r"2 of 5 images have no label \(first rows: 1, 3\)"):
        stratified_folds(np.array(["cat", "", "dog", "", "cat"]), 2, 0)


def test_labels_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(StackError, match=r"shape \(19, 1\)"):
        stratified_folds(Y[:, None], 2, 0)


def test_one_fold_is_refused() -> None:
    with pytest.raises(StackError, match="at least 2"):
        stratified_folds(Y, 1, 0)


def test_split_trains_on_every_other_part() -> None:
    split = np.array(["train", "test", "validation", "train", "test"])
    (fold,) = split_folds(split, "test")
    np.testing.assert_array_equal(fold.train, [0, 2, 3])
    np.testing.assert_array_equal(fold.test, [1, 4])
    assert fold.train.dtype == np.int64


def test_absent_split_names_those_that_exist() -> None:
    with pytest.raises(StackError, match="no split 'tset'; it has test, train"):
        split_folds(np.array(["train", "test"]), "tset")


def test_dataset_without_splits_is_told_so() -> None:
    with pytest.raises(StackError, match="no split column"):
        split_folds(np.array(["", ""]), "test")


def test_rows_without_split_are_counted() -> None:
    with pytest.raises(StackError, match=r"2 of 4 images have no split \(first rows: 1, 3\)"):
        split_folds(np.array(["train", "", "test", ""]), "test")


def test_split_that_is_everything_leaves_nothing_to_train_on() -> None:
    with pytest.raises(StackError, match="none is left to train on"):
        split_folds(np.array(["test", "test"]), "test")


def test_class_missing_from_the_training_part_is_named() -> None:
    fold = Fold(np.arange(15), np.arange(15, 19))
    with pytest.raises(StackError, match="fold 1 has no image of class 'emu'"):
        check_fold_classes(Y, fold, "fold 1")


def test_training_part_of_one_class_is_refused() -> None:
    with pytest.raises(StackError, match=r"has 1 class\(es\)"):
        check_fold_classes(Y, Fold(np.arange(5), np.arange(5, 9)), "fold 1")
