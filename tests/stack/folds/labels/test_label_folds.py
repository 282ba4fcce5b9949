"""Iterative stratification gives every fold its share of each label, keeps groups whole, and refuses what cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.folds.class_folds import Ask
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.labels.label_folds import divide_inner_labels, divide_labels, ways_for_labels
from stackbone.stack.folds.labels.presence import read_presence
from stackbone.stack.folds.labels.stratification import stratify
from tests.made.multilabel import digests_of, make_presence

NAMES = np.array(["cat", "indoor", "night"])


def published(presence: NDArray[np.int8], order: list[int], k: int) -> list[int]:
    """Return the folds that algorithm 1 of Sechidis et al. 2011 gives, as it is written, image by image."""
    n, n_labels = presence.shape
    wanted = [n / k] * k
    wanted_of = [[presence[:, label].sum() / k for label in range(n_labels)] for _ in range(k)]
    left, fold = list(order), [-1] * n
    while left:
        sizes = {label: sum(presence[i, label] for i in left) for label in range(n_labels)}
        sizes = {label: size for label, size in sizes.items() if size}
        if not sizes:
            for i in left:
                fold[i] = max(range(k), key=lambda j: wanted[j])
                wanted[fold[i]] -= 1
            break
        label = min(sizes, key=lambda each: sizes[each])
        for i in [i for i in left if presence[i, label]]:
            most = max(wanted_of[j][label] for j in range(k))
            best = [j for j in range(k) if wanted_of[j][label] >= most - 1e-9]
            fold[i] = max(best, key=lambda j: wanted[j])
            wanted[fold[i]] -= 1
            for each in range(n_labels):
                wanted_of[fold[i]][each] -= presence[i, each]
            left.remove(i)
    return fold


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shares", [(0.3, 0.5, 0.15), (0.02, 0.1, 0.2, 0.4), (0.05,) * 8])
def test_single_images_are_dealt_as_published(shares: tuple[float, ...], seed: int) -> None:
    presence = make_presence(120, shares, seed)
    presence[:, 2 * presence.sum(axis=0) > len(presence)] ^= 1
    order = np.random.default_rng(seed).permutation(120)
    assert stratify(presence, np.arange(120), order, 5).tolist() == published(presence, order.tolist(), 5)


@pytest.mark.parametrize("digests", [None, digests_of(300)], ids=["rows", "digests"])
def test_every_fold_has_its_share_of_every_label(digests: NDArray[np.uint8] | None) -> None:
    presence = make_presence(300, (0.3, 0.96, 0.03))
    folds = divide_labels(NAMES, presence, Units(digests=digests), Ask(3, 0))
    tested = np.sort(np.concatenate([fold.test for fold in folds]))
    assert tested.tolist() == list(range(300))
    counts = np.array([presence[fold.test].sum(axis=0) for fold in folds])
    assert np.ptp(counts, axis=0).max() <= 2
    assert np.ptp([len(fold.test) for fold in folds]) <= 3


def test_another_seed_and_another_repeat_are_other_folds_and_the_same_seed_the_same() -> None:
    presence, units = make_presence(90), Units(digests=digests_of(90))

    def parts(seed: int) -> list[list[int]]:
        return [fold.test.tolist() for fold in divide_labels(NAMES, presence, units, Ask(3, seed, repeats=2))]

    assert parts(0) == parts(0)
    assert parts(0) != parts(1)
    assert parts(0)[:3] != parts(0)[3:]


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_whole(seed: int) -> None:
    presence = make_presence(240, seed=seed)
    group = np.repeat(np.arange(60), 4)
    for digests in (None, digests_of(240)):
        for fold in divide_labels(NAMES, presence, Units(group, digests), Ask(3, seed)):
            assert not set(group[fold.train]) & set(group[fold.test])
            assert both_sides(presence[fold.train])
            assert both_sides(presence[fold.test])


def both_sides(presence: NDArray[np.int8]) -> bool:
    return bool(presence.any(axis=0).all() and not presence.all(axis=0).any())


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (np.eye(30, dtype=np.int8)[0], r"'night' \(in 1 image\)"),
        (np.ones(30, np.int8), r"'night' \(in all\)"),
        (1 - np.eye(30, dtype=np.int8)[:2].sum(axis=0), r"'night' \(in all but 2\)"),
    ],
    ids=["one image", "all images", "all but two"],
)
def test_labels_too_rare_or_too_common_are_named(column: NDArray[np.int8], said: str) -> None:
    presence = make_presence(30, (0.4, 0.5, 0.5))
    presence[:, 2] = column
    with pytest.raises(StackError, match=f"1 label is too rare or too common for the 3 folds asked for: {said}"):
        divide_labels(NAMES, presence, Units(), Ask(3, 0))
    assert ways_for_labels(NAMES, presence, Units(), Ask(3, 0)).endswith("leave these labels out (--rare drop)")
    folds = divide_labels(NAMES, presence, Units(), Ask(3, 0, rare="drop"))
    assert all(both_sides(presence[fold.train, :2]) for fold in folds)


def test_a_label_in_one_group_is_too_rare_however_many_images_it_has() -> None:
    presence, group = make_presence(60, (0.4, 0.5, 0.3)), np.repeat(np.arange(20), 3)
    presence[:, 2] = group == 4
    with pytest.raises(StackError, match=r"'night' \(in 1 group\)"):
        divide_labels(NAMES, presence, Units(group), Ask(3, 0))


def test_without_any_label_left_dropping_is_refused() -> None:
    with pytest.raises(StackError, match="no label is left"):
        divide_labels(NAMES[:1], np.eye(9, dtype=np.int8)[:, :1], Units(), Ask(3, 0, rare="drop"))


@pytest.mark.parametrize("n_with", [1, 2, 3])
def test_inner_training_parts_know_both_sides_of_a_label_of_few_images(n_with: int) -> None:
    presence = make_presence(40, (0.4, 0.5, 0.0))
    presence[:n_with, 2] = 1
    folds = divide_inner_labels(presence, Units(), 0, 5, "here")
    assert len(folds) == 5
    assert all(both_sides(presence[fold.train]) for fold in folds)
    tested = np.concatenate([fold.test for fold in folds])
    assert len(np.unique(tested)) == len(tested)
    assert (0 in tested) == (n_with > 1)  # the only image of a label is always learnt from


def test_inner_folds_keep_groups_and_both_sides() -> None:
    presence, group = make_presence(60, (0.3, 0.5, 0.05), seed=3), np.repeat(np.arange(12), 5)
    for fold in divide_inner_labels(presence, Units(group), 0, 5, "here"):
        assert not set(group[fold.train]) & set(group[fold.test])
        assert both_sides(presence[fold.train])


def test_too_few_images_for_inner_folds_are_refused() -> None:
    with pytest.raises(StackError, match="here has 0 of its images to test"):
        divide_inner_labels(np.array([[1], [0]], np.int8), Units(), 0, 5, "here")


def test_presence_is_read_by_name() -> None:
    names, presence = read_presence(np.array(["b|a", "|", "b", "b|a"]))
    assert names.tolist() == ["a", "b"]
    assert presence.tolist() == [[1, 1], [0, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("texts", "said"),
    [(["a", ""], "1 of 2 images are not labelled"), (["|", "|"], "none of 2 images has a label")],
)
def test_what_is_no_set_of_labels_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(StackError, match=said):
        read_presence(np.array(texts))
