"""Folds stay: what is dealt by digest moves little when a label, an image or a group changes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureStore, StackError, UsageError
from stackbone.stack.divisions.training_parts import training_parts
from stackbone.stack.experiments.run import run_experiment
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds, regression_folds, stratified_folds
from stackbone.stack.folds.groups import join_groups

MakeCache = Callable[..., FeatureStore]
N = 600
CLASSES = np.array(["ant", "bee", "cat", "dog", "emu"])
RNG = np.random.default_rng(0)
Y = RNG.choice(CLASSES, N, p=[0.4, 0.25, 0.2, 0.1, 0.05])
DIGESTS: Digests = RNG.integers(256, size=(N, 32), dtype=np.uint8)
GROUPS = join_groups(RNG.integers(150, size=N))
TRIED = 40


def fold_of_rows(folds: list[Fold], n: int, k: int) -> NDArray[np.int64]:
    """Return the ``(repeats, n)`` fold that tests each row in each repeat, -1 for none."""
    found = np.full((len(folds) // k, n), -1)
    for number, fold in enumerate(folds):
        assert (found[number // k, fold.test] == -1).all()
        found[number // k, fold.test] = number % k
        np.testing.assert_array_equal(np.sort(np.concatenate([fold.train, fold.test])), np.arange(n))
    return found


def relabelled(row: int) -> NDArray[np.str_]:
    y = Y.copy()
    y[row] = CLASSES[(np.searchsorted(CLASSES, y[row]) + 1) % len(CLASSES)]
    return y


@pytest.mark.parametrize("k", [2, 3, 5, 10])
def test_every_fold_has_its_share_of_every_class_to_one_image(k: int) -> None:
    folds = stratified_folds(Y, k, 0, digests=DIGESTS, repeats=3)
    for repeat in fold_of_rows(folds, N, k):
        sizes = [np.bincount(repeat[name == Y], minlength=k) for name in CLASSES]
        assert max(int(np.ptp(each)) for each in sizes) <= 1
        assert np.ptp(np.bincount(repeat)) <= len(CLASSES)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_changed_label_moves_few_others(k: int) -> None:
    before = fold_of_rows(stratified_folds(Y, k, 0, digests=DIGESTS, repeats=2), N, k)
    moved = []
    for row in RNG.choice(N, TRIED, replace=False):
        changed = fold_of_rows(stratified_folds(relabelled(row), k, 0, digests=DIGESTS, repeats=2), N, k) != before
        moved += np.delete(changed, row, axis=1).sum(axis=1).tolist()
    assert max(moved) <= 2 * (k - 1)
    assert np.mean(moved) < k - 1


@pytest.mark.parametrize("k", [2, 3, 5])
def test_a_removed_or_added_image_moves_few_others(k: int) -> None:
    before = fold_of_rows(stratified_folds(Y, k, 1, digests=DIGESTS, repeats=2), N, k)
    moved = []
    for row in RNG.choice(N, TRIED, replace=False):
        kept = np.delete(np.arange(N), row)
        after = fold_of_rows(stratified_folds(Y[kept], k, 1, digests=DIGESTS[kept], repeats=2), N - 1, k)
        moved += (after != before[:, kept]).sum(axis=1).tolist()  # removed from N, or added to N - 1
    assert max(moved) <= k - 1


def most_moved(n_cuts: int, size: int) -> int:
    """Return the images that may change folds where cuts shift by `size` images, and then to the next whole group."""
    return n_cuts * (size + int(np.bincount(GROUPS).max()))


def test_a_changed_group_moves_few_others() -> None:
    """Groups of one class: one gets another class, one loses an image, one goes."""
    y = CLASSES[GROUPS % len(CLASSES)]
    before = fold_of_rows(stratified_folds(y, 3, 0, digests=DIGESTS, groups=GROUPS), N, 3)[0]
    n_moved = []
    for group in RNG.choice(GROUPS.max() + 1, TRIED, replace=False):
        inside = group == GROUPS
        other = np.where(inside, CLASSES[(group + 1) % len(CLASSES)], y)
        after = fold_of_rows(stratified_folds(other, 3, 0, digests=DIGESTS, groups=GROUPS), N, 3)[0]
        moved = (after != before) & ~inside
        assert moved.sum() <= most_moved(4, inside.sum())
        n_moved.append(len(np.unique(GROUPS[moved])))
        for gone in (inside, np.arange(N) == np.flatnonzero(inside)[0]):
            folds = stratified_folds(y[~gone], 3, 0, digests=DIGESTS[~gone], groups=GROUPS[~gone])
            moved = (fold_of_rows(folds, int((~gone).sum()), 3)[0] != before[~gone]) & ~inside[~gone]
            assert moved.sum() <= most_moved(2, inside.sum())
            n_moved.append(len(np.unique(GROUPS[~gone][moved])))
    assert np.mean(n_moved) < 2


def test_groups_across_classes_stay_whole_and_move_little() -> None:
    def octaves(y: NDArray[np.str_]) -> list[int]:
        return [len(np.unique(GROUPS[y == name])).bit_length() for name in CLASSES]

    before = fold_of_rows(stratified_folds(Y, 3, 0, digests=DIGESTS, groups=GROUPS), N, 3)[0]
    assert all(len(np.unique(before[group == GROUPS])) == 1 for group in range(GROUPS.max() + 1))
    assert np.ptp(np.bincount(before)) < N / 10
    n_crossed = 0
    for row in RNG.choice(N, 3 * TRIED, replace=False):
        y = relabelled(row)
        moved = fold_of_rows(stratified_folds(y, 3, 0, digests=DIGESTS, groups=GROUPS), N, 3)[0] != before
        inside = GROUPS[row] == GROUPS
        if octaves(y) == octaves(Y):
            assert (moved & ~inside).sum() <= most_moved(4, inside.sum())
        else:
            n_crossed += 1
            assert len(np.unique(GROUPS[moved])) < GROUPS.max() / 4
    assert n_crossed < TRIED


def test_each_fold_has_a_group_of_a_class_however_large_one_of_them_is() -> None:
    y = np.repeat(["ant", "bee"], 60)
    groups = np.r_[np.zeros(50, np.int64), np.arange(1, 11), np.arange(11, 71)]
    for seed in range(10):
        folds = fold_of_rows(stratified_folds(y, 5, seed, digests=DIGESTS[:120], groups=groups), 120, 5)[0]
        assert (np.bincount(folds[:60], minlength=5) > 0).all()


def test_order_and_names_of_rows_decide_nothing() -> None:
    shuffled = RNG.permutation(N)
    before = fold_of_rows(stratified_folds(Y, 3, 0, digests=DIGESTS, groups=GROUPS), N, 3)[0]
    folds = stratified_folds(Y[shuffled], 3, 0, digests=DIGESTS[shuffled], groups=join_groups(GROUPS[shuffled]))
    np.testing.assert_array_equal(fold_of_rows(folds, N, 3)[0], before[shuffled])


def test_another_seed_and_another_repeat_deal_otherwise() -> None:
    plain = stratified_folds(Y, 3, 4, digests=DIGESTS)
    repeated = fold_of_rows(stratified_folds(Y, 3, 4, digests=DIGESTS, repeats=4), N, 3)
    np.testing.assert_array_equal(repeated[:1], fold_of_rows(plain, N, 3))
    other = fold_of_rows(stratified_folds(Y, 3, 5, digests=DIGESTS), N, 3)
    for a, b in [(repeated[0], other[0]), *((repeated[0], each) for each in repeated[1:])]:
        assert 0.55 < (a != b).mean() < 0.78  # two thirds, by chance


def test_images_of_one_digest_are_in_one_fold() -> None:
    digests = DIGESTS.copy()
    digests[300:330] = digests[:30]
    y = Y.copy()
    y[300:330] = y[:30]
    found = fold_of_rows(stratified_folds(y, 3, 0, digests=digests), N, 3)[0]
    np.testing.assert_array_equal(found[300:330], found[:30])


def test_a_changed_target_moves_nothing_and_an_image_few() -> None:
    y = RNG.normal(size=N)
    before = fold_of_rows(regression_folds(y, 4, 0, digests=DIGESTS, repeats=2), N, 4)
    assert np.ptp(np.bincount(before[0])) <= 1
    np.testing.assert_array_equal(fold_of_rows(regression_folds(-y, 4, 0, digests=DIGESTS, repeats=2), N, 4), before)
    for row in RNG.choice(N, 10, replace=False):
        kept = np.delete(np.arange(N), row)
        after = fold_of_rows(regression_folds(y[kept], 4, 0, digests=DIGESTS[kept], repeats=2), N - 1, 4)
        assert (after != before[:, kept]).sum(axis=1).max() <= 3
    grouped = fold_of_rows(regression_folds(y, 4, 0, digests=DIGESTS, groups=GROUPS), N, 4)[0]
    assert all(len(np.unique(grouped[group == GROUPS])) == 1 for group in range(GROUPS.max() + 1))


def test_inner_folds_stay_too() -> None:
    codes = np.searchsorted(CLASSES, Y)
    before = fold_of_rows(inner_folds(codes, CLASSES, 0, digests=DIGESTS), N, 5)[0]
    for row in RNG.choice(N, 10, replace=False):
        changed = np.searchsorted(CLASSES, relabelled(row))
        after = fold_of_rows(inner_folds(changed, CLASSES, 0, digests=DIGESTS), N, 5)[0]
        assert (np.delete(after, row) != np.delete(before, row)).sum() <= 8


def test_digests_that_are_not_these_images_are_refused() -> None:
    wrong: Any
    for wrong in (DIGESTS[:5], DIGESTS[:, :4], DIGESTS.astype(np.int64)):
        with pytest.raises(StackError, match=r"digests have shape .* for 600 labels; expected \(600, 32\) uint8"):
            stratified_folds(Y, 3, 0, digests=wrong)
    with pytest.raises(UsageError, match="the seed is -1"):
        stratified_folds(Y, 3, -1, digests=DIGESTS)


def test_a_run_deals_by_digest_and_by_row_where_asked(make_cache: MakeCache, tmp_path: Path) -> None:
    labels = [*"aaaabbbbcc"] * 6
    store = make_cache(tmp_path, labels)
    y, digests = np.array(labels), store.dataset("photos").image_sha256
    for dealing, expected in ((None, digests), ("digests", digests), ("rows", None)):
        experiment = run_experiment(store, dealing=dealing, recipes=("oof",), n_jobs=1)
        folds = stratified_folds(y, 3, 0, digests=expected)
        for fold, other in zip(experiment.folds, folds, strict=True):
            np.testing.assert_array_equal(fold.test, other.test)
        assert experiment.to_dict()["dealing"] == experiment.division.dealing == (dealing or "digests")
        parts = training_parts(store, cv=3, dealing=dealing or "digests")
        for part, fold in zip(parts, folds, strict=True):
            np.testing.assert_array_equal(part.digests, digests[fold.train])
            assert (part.division or {}).get("dealing") == (None if dealing == "rows" else "digests")
    with pytest.raises(UsageError, match=r"--dealing .*'row'"):
        run_experiment(store, dealing="row")
