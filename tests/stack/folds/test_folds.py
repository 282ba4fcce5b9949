"""Folds are scikit-learn's, the dataset's own, or an error that says what to do; groups are never torn."""

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import (
    check_fold_classes,
    check_fold_groups,
    find_rare,
    inner_folds,
    regression_folds,
    split_folds,
    stratified_folds,
)
from stackbone.stack.folds.groups import join_groups
from stackbone.stack.folds.splitters import spare_groups
from tests.made.references import needs_shuffled_stratified_groups

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
    with pytest.raises(StackError, match=r"5 folds.*'dog' \(2\), 'fox' \(4\).*ask for 2 folds"):
        stratified_folds(y, 5, 0)


def test_class_of_one_image_is_not_told_to_ask_for_one_fold() -> None:
    with pytest.raises(StackError, match=r"'dog' \(1\)") as caught:
        stratified_folds(np.array(["cat", "cat", "dog"]), 2, 0)
    assert "ask for" not in str(caught.value)


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
    with pytest.raises(StackError, match="has 1 class;"):
        check_fold_classes(Y, Fold(np.arange(5), np.arange(5, 9)), "fold 1")


# Three classes, each in all three groups: in two folds some training part must lack a class.
TANGLED = np.array(["cat", "dog", "dog", "emu", "emu", "cat"])
TANGLED_GROUPS = np.array([0, 0, 1, 1, 2, 2])


def made_labels(seed: int) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Labels of up to six classes of very different sizes, in groups of one to about six images."""
    rng = np.random.default_rng(seed)
    n, n_classes = int(rng.integers(60, 150)), int(rng.integers(2, 7))
    y = np.array([*"abcdef", "rare"])[rng.choice(n_classes, n, p=rng.dirichlet(np.full(n_classes, 2.0)))]
    y[:2] = ["a", "b"]
    return y, join_groups(rng.integers(-1, n // 3, n))


def assert_same_folds(folds: list[Fold], reference: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
    for fold, (train, test) in zip(folds, reference, strict=True):
        np.testing.assert_array_equal(fold.train, train)
        np.testing.assert_array_equal(fold.test, test)
        assert fold.train.dtype == fold.test.dtype == np.int64


def assert_sound(folds: list[Fold], codes: NDArray[np.generic], groups: NDArray[np.int64]) -> None:
    """Require what every list of folds promises: disjoint, complete, no torn group, every class learnt."""
    for fold in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(len(codes)))
        assert len(fold.test)
        assert not set(groups[fold.train]) & set(groups[fold.test])
        assert set(codes[fold.train]) == set(codes)


def times_tested(folds: list[Fold], n: int) -> NDArray[np.int64]:
    return np.bincount(np.concatenate([fold.test for fold in folds]), minlength=n)


@pytest.mark.parametrize("seed", range(25))
def test_grouped_folds_are_sound_and_test_every_row_once(seed: int) -> None:
    y, groups = made_labels(seed)
    kept = ~np.isin(y, find_rare(y, 3, groups))
    y, groups = y[kept], groups[kept]
    folds = stratified_folds(y, 3, seed, groups=groups, repeats=2)
    assert len(folds) == 6
    assert_sound(folds, y, groups)
    for repeat in (folds[:3], folds[3:]):
        assert (times_tested(repeat, len(y)) == 1).all()


@needs_shuffled_stratified_groups
def test_grouped_folds_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(5)
    y, groups = np.array(list("abc"))[rng.integers(3, size=200)], join_groups(rng.integers(60, size=200))
    reference = StratifiedGroupKFold(4, shuffle=True, random_state=9).split(y, y, groups)
    assert_same_folds(stratified_folds(y, 4, 9, groups=groups), reference)


@pytest.mark.parametrize(
    ("y", "groups"),
    [
        (np.repeat(["cat", "dog", "emu"], 24), np.arange(72) // 2),
        (np.repeat(["cat", "dog"], [60, 12]), np.arange(72) // 3),
        (np.tile(["cat", "dog"], 36), np.repeat(np.arange(12), 6)),
    ],
    ids=["balanced", "one rare class", "classes mixed in groups"],
)
@pytest.mark.parametrize("seed", range(5))
def test_grouped_folds_keep_class_proportions(y: NDArray[np.str_], groups: NDArray[np.int64], seed: int) -> None:
    folds = stratified_folds(y, 4, seed, groups=groups)
    assert {tuple(np.sum(y[fold.test] == name) for name in set(y)) for fold in folds} == {
        tuple(np.sum(y == name) / 4 for name in set(y))
    }


def test_groups_of_one_change_nothing() -> None:
    reference = StratifiedKFold(3, shuffle=True, random_state=2).split(Y, Y)
    assert_same_folds(stratified_folds(Y, 3, 2, groups=np.arange(len(Y))[::-1]), reference)
    reference = StratifiedKFold(3, shuffle=True, random_state=2).split(Y, Y)
    assert_same_folds(stratified_folds(Y, 3, 2, groups=np.full(len(Y), -1)), reference)


def test_first_repeat_is_the_plain_division_and_others_differ() -> None:
    y = np.repeat(["cat", "dog"], 50)
    folds = stratified_folds(y, 3, 4, repeats=20)
    assert_same_folds(folds[:3], StratifiedKFold(3, shuffle=True, random_state=4).split(y, y))
    assert len({tuple(fold.test) for fold in folds}) == 60
    assert_same_folds(folds[:6], [(f.train, f.test) for f in stratified_folds(y, 3, 4, repeats=2)])


def test_same_seed_gives_same_folds() -> None:
    y, groups = made_labels(3)
    once, again = (stratified_folds(y, 2, 8, groups=groups, repeats=3, rare="keep") for _ in range(2))
    assert_same_folds(once, [(fold.train, fold.test) for fold in again])


def test_unlucky_seed_is_followed_by_another() -> None:
    y = np.array(list("bbaaaacbc"))
    groups = join_groups(np.array([3, 2, 3, 0, 4, 5, 1, 3, 3]))

    def loses_a_class(seed: int) -> bool:
        splits = StratifiedGroupKFold(2, shuffle=True, random_state=seed).split(y, y, groups)
        return any(set(y[train]) != set(y) for train, _ in splits)

    unlucky = [seed for seed in range(40) if loses_a_class(seed)]
    assert 0 < len(unlucky) < 40  # or the test would say nothing
    for seed in unlucky:
        assert_sound(stratified_folds(y, 2, seed, groups=groups), y, groups)


def test_groups_that_cannot_be_divided_are_refused() -> None:
    with pytest.raises(StackError, match=r"2 folds was found .*8 seeds.* class '\w+' in one fold: add images until"):
        stratified_folds(TANGLED, 2, 0, groups=TANGLED_GROUPS)


def test_many_rare_classes_that_are_numbers_are_named_in_part_and_hint_at_regression() -> None:
    y = np.array([str(i / 10) for i in range(500)])
    with pytest.raises(
        StackError,
        match=r"^500 class.* and 490 more; .*numbers that they are \(--task regression\)$",
    ):
        stratified_folds(y, 3, 0)


def test_class_in_few_groups_is_rare_however_many_images_it_has() -> None:
    y = np.repeat(["cat", "dog", "emu"], [9, 9, 9])
    groups = np.concatenate([np.arange(9), [10, 10, 10, 10, 11, 11, 11, 11, 11], np.arange(20, 29)])
    assert find_rare(y, 3).tolist() == []
    assert find_rare(y, 3, groups).tolist() == ["dog"]
    with pytest.raises(StackError, match=r"fewer groups of images than the 3 folds .*'dog' \(2\); .*ask for 2 folds"):
        stratified_folds(y, 3, 0, groups=groups)


def test_rare_classes_are_found_by_name() -> None:
    y = np.repeat(["fox", "cat", "dog", "emu"], [1, 9, 2, 3])
    assert find_rare(y, 3).tolist() == ["dog", "fox"]
    assert find_rare(y, 2).tolist() == ["fox"]
    assert find_rare(y, 1).tolist() == []


def test_kept_rare_class_is_always_learnt_and_never_tested() -> None:
    y = np.repeat(["cat", "dog", "emu", "fox"], [9, 2, 6, 1])
    folds = stratified_folds(y, 3, 1, rare="keep", repeats=2)
    rare = np.isin(y, ["dog", "fox"])
    np.testing.assert_array_equal(times_tested(folds, len(y)), np.where(rare, 0, 2))
    assert_sound(folds, y, np.arange(len(y)))
    common = np.flatnonzero(~rare)
    reference = StratifiedKFold(3, shuffle=True, random_state=1).split(common, y[common])
    for fold, (_, test) in zip(folds, reference, strict=False):
        np.testing.assert_array_equal(fold.test, common[test])


def test_keeping_changes_nothing_where_no_class_is_rare() -> None:
    plain = [(fold.train, fold.test) for fold in stratified_folds(Y, 3, 6)]
    assert_same_folds(stratified_folds(Y, 3, 6, rare="keep"), plain)


@pytest.mark.parametrize("seed", range(25))
def test_group_with_a_kept_image_is_never_tested(seed: int) -> None:
    y, groups = made_labels(seed)
    y[:2] = "rare"
    folds = stratified_folds(y, 3, seed, groups=groups, rare="keep")
    tested = times_tested(folds, len(y))
    rare = find_rare(y, 3, groups)
    assert "rare" in rare
    assert not tested[np.isin(groups, groups[np.isin(y, rare)])].any()
    assert tested.max() == 1
    assert_sound(folds, y, groups)
    for name in np.unique(y[tested > 0]):
        assert len(np.unique(groups[(y == name) & (tested > 0)])) >= 3


def test_class_left_rare_by_the_groups_of_another_is_not_tested() -> None:
    y = np.array(["rare", "dog", "dog", "dog", *["cat"] * 4, *["emu"] * 4])
    groups = np.array([0, 0, 1, 2, *range(3, 11)])
    folds = stratified_folds(y, 3, 0, groups=groups, rare="keep")
    assert set(y[times_tested(folds, len(y)) == 0]) == {"rare", "dog"}


@pytest.mark.parametrize(("sizes", "found"), [((9, 2, 1), "1"), ((3, 2, 1), "none"), ((3, 3, 3), "none")])
def test_keeping_needs_two_classes_to_test(sizes: tuple[int, ...], found: str) -> None:
    expected = rf"^{found} of 3 classes has at least 4 images, one to test in each fold; 2 such classes are needed"
    with pytest.raises(StackError, match=expected):
        stratified_folds(np.repeat(["cat", "dog", "emu"], sizes), 4, 0, rare="keep")


def test_unknown_way_with_rare_classes_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'keeep'.*'refuse' or 'keep'"):
        stratified_folds(Y, 3, 0, rare="keeep")  # type: ignore[arg-type]  # what is tested


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_that_sklearn_refuses_is_refused(seed: int) -> None:
    with pytest.raises(UsageError, match=f"seed is {seed}"):
        stratified_folds(Y, 3, seed)


def test_no_repeat_is_refused() -> None:
    with pytest.raises(UsageError, match="0 repeats"):
        stratified_folds(Y, 3, 0, repeats=0)


def test_groups_of_other_images_are_refused() -> None:
    with pytest.raises(StackError, match=r"groups have shape \(3,\) for 19 labels"):
        stratified_folds(Y, 3, 0, groups=np.arange(3))


def test_inner_folds_are_as_many_as_the_smallest_class_allows() -> None:
    names = np.array(["cat", "dog", "emu", "never seen"])
    codes = np.searchsorted(names, Y)
    for most, expected in ((3, 3), (5, 4)):
        folds = inner_folds(codes, names, 7, n_splits=most)
        assert_same_folds(folds, StratifiedKFold(expected, shuffle=True, random_state=7).split(Y, Y))


def test_class_of_a_single_row_is_learnt_by_every_inner_fold() -> None:
    codes = np.array([0] * 6 + [1] * 3 + [2])
    folds = inner_folds(codes, np.array(["cat", "dog", "emu"]), 0)
    assert len(folds) == 3
    np.testing.assert_array_equal(times_tested(folds, 10), [1] * 9 + [0])
    assert_sound(folds, codes, np.arange(10))


@pytest.mark.parametrize("seed", range(25))
def test_inner_folds_keep_groups_together(seed: int) -> None:
    y, groups = made_labels(seed)
    names, codes = np.unique(y, return_inverse=True)
    folds = inner_folds(codes, names, seed, groups=groups)
    assert 2 <= len(folds) <= 5
    assert_sound(folds, codes, groups)
    assert times_tested(folds, len(y)).max() == 1


@pytest.mark.parametrize("seed", range(10))
def test_inner_folds_spare_a_group_where_no_division_serves(seed: int) -> None:
    names, codes = np.unique(TANGLED, return_inverse=True)
    folds = inner_folds(codes, names, seed, groups=TANGLED_GROUPS)
    assert len(folds) == 2
    assert_sound(folds, codes, TANGLED_GROUPS)
    assert times_tested(folds, 6).sum() == 4  # two groups of three


def test_spared_group_is_the_smallest_of_the_lost_class() -> None:
    codes = np.array([0, 0, 0, 1, 1, 0, 1])
    groups = np.array([0, 0, 0, 0, 1, 2, 3])
    test = np.array([0, 1, 2, 3, 5])  # all rows of class 0, of groups 0 and 2
    np.testing.assert_array_equal(spare_groups(codes, groups, test), [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("codes", "found"),
    [([0, 0, 0, 1, 2], r"\(too few to test of classes 'dog', 'emu'\);"), ([0, 0, 0], ";")],
)
def test_training_part_with_fewer_than_two_classes_to_test_is_refused(codes: list[int], found: str) -> None:
    with pytest.raises(StackError, match=f"only class 'cat' with at least 2 images ?{found}"):
        inner_folds(np.array(codes), np.array(["cat", "dog", "emu"]), 0)


def test_numeric_folds_are_those_of_sklearn() -> None:
    y = np.linspace(0, 1, 31)
    folds = regression_folds(y, 4, 3, repeats=2)
    assert_same_folds(folds[:4], KFold(4, shuffle=True, random_state=3).split(y))
    assert len(folds) == 8
    assert (times_tested(folds, 31) == 2).all()
    assert len({tuple(fold.test) for fold in folds}) == 8


@pytest.mark.parametrize("seed", range(5))
def test_grouped_numeric_folds_are_those_of_sklearn(seed: int) -> None:
    groups = join_groups(np.random.default_rng(seed).integers(-1, 12, 50))
    folds = regression_folds(np.arange(50.0), 3, seed, groups=groups)
    assert_same_folds(folds, GroupKFold(3, shuffle=True, random_state=seed).split(groups, groups=groups))


def test_targets_that_are_not_finite_are_counted_and_shown() -> None:
    with pytest.raises(StackError, match=r"2 of 4 targets are not finite \(first rows: 1, 3\)"):
        regression_folds(np.array([1, np.nan, 2, np.inf]), 2, 0)


def test_fewer_targets_or_groups_than_folds_are_refused() -> None:
    with pytest.raises(StackError, match="3 images for 4 folds"):
        regression_folds(np.arange(3.0), 4, 0)
    with pytest.raises(StackError, match="2 groups of images for 3 folds"):
        regression_folds(np.arange(5.0), 3, 0, groups=np.array([0, 0, 1, 1, 1]))


def test_targets_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(StackError, match=r"shape \(3, 1\)"):
        regression_folds(np.ones((3, 1)), 2, 0)


def test_split_that_tears_a_group_says_which() -> None:
    split = np.array(["train", "test", "train", "test", "train"])
    groups = np.array([4, 7, 7, -1, -1])
    with pytest.raises(StackError, match=r"tested on 'test', has 1 group .*row 2 \(training\) and row 1 \(test\)"):
        split_folds(split, "test", groups=groups)
    (fold,) = split_folds(split, "test", groups=np.array([4, 7, 4, 7, -1]))
    np.testing.assert_array_equal(fold.test, [1, 3])


def test_own_folds_that_tear_a_group_are_refused() -> None:
    fold = Fold(np.array([0, 1]), np.array([2, 3]))
    check_fold_groups(np.array([-1, 5, -1, 6]), fold, "fold 1")
    with pytest.raises(StackError, match=r"fold 1 has 2 groups .*row 0 \(training\) and row 3 \(test\)"):
        check_fold_groups(np.array([5, 6, 6, 5]), fold, "fold 1")
