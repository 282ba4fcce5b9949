"""Folds in the order of time train on the past and test on the future, as scikit-learn's do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit

from stackbone.cache.errors import StackError
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.splitters import ordered_folds
from stackbone.stack.tasks.registry import get_task


@pytest.mark.parametrize(("n", "n_splits"), [(12, 3), (13, 3), (50, 5), (7, 6)])
def test_of_different_times_they_are_those_of_scikit_learn(n: int, n_splits: int) -> None:
    times = np.random.default_rng(n).permutation(n).astype(np.float64)
    order = np.argsort(times)
    found = ordered_folds(times, np.arange(n), n_splits)
    expected = list(TimeSeriesSplit(n_splits).split(order))
    assert len(found) == len(expected)
    for fold, (train, test) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(fold.train, np.sort(order[train]))
        np.testing.assert_array_equal(fold.test, np.sort(order[test]))


def test_images_of_one_time_stay_on_one_side() -> None:
    times = np.repeat([1.0, 2.0, 3.0, 4.0], 5)
    for fold in ordered_folds(times, np.arange(20), 2):
        assert times[fold.train].max() < times[fold.test].min()
    assert sum(len(fold.test) for fold in ordered_folds(times, np.arange(20), 2)) == 15


def test_what_shares_a_group_with_a_test_part_is_not_trained_on() -> None:
    times, group = np.arange(12.0), np.array([0, 1, 2, 3, 4, 5, 0, 7, 8, 9, 1, 11])
    first, second = ordered_folds(times, group, 2)
    assert first.train.tolist() == [1, 2, 3]
    assert second.train.tolist() == [0, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("times", "group", "n_splits", "found"),
    [
        (np.arange(3.0), np.arange(3), 3, "3 images cannot be cut into 4 parts"),
        (np.ones(12), np.arange(12), 2, "12 images of 1 different time cannot be cut into 3 parts"),
        (np.repeat([1.0, 2.0], 6), np.arange(12), 2, "of 2 different times cannot be cut into 3 parts"),
        (np.arange(9.0), np.zeros(9, np.int64), 2, "nothing is left to train on"),
    ],
)
def test_what_cannot_be_cut_is_refused(times: np.ndarray, group: np.ndarray, n_splits: int, found: str) -> None:
    with pytest.raises(StackError, match=found):
        ordered_folds(times, group, n_splits)


def test_inner_folds_follow_the_order_and_begin_where_every_class_was_seen() -> None:
    task, n = get_task("classification"), 60
    labels = np.array([*"a" * 20, *"ab" * 20])
    truth, times = task.read(labels), np.arange(float(n))
    folds = task.divide_training(truth, np.arange(n), Units(times=times), 0, 5)
    assert [(len(fold.train), len(fold.test)) for fold in folds] == [(30, 10), (40, 10), (50, 10)]
    assert all(times[fold.train].max() < times[fold.test].min() for fold in folds)


def test_a_training_part_whose_last_class_comes_late_is_refused() -> None:
    task = get_task("classification")
    truth = task.read(np.array([*"ab" * 25, *"c" * 10]))
    with pytest.raises(StackError, match="of 5 inner folds in the order of time, 0 "):
        task.divide_training(truth, np.arange(60), Units(times=np.arange(60.0)), 0, 5)
