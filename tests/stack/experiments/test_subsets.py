"""Subsets keep the shares of the classes, grow by nesting, and hold as many groups as they can."""

from itertools import pairwise

import numpy as np
import pytest

from stackbone.stack.experiments.subsets import nested_order, sample_rows, take_share, with_both_sides
from tests.made.multilabel import make_presence


def test_a_sample_keeps_the_shares_of_the_classes_and_the_smallest() -> None:
    codes = np.repeat([0, 1, 2], [9_000, 990, 10]).astype(np.int64)
    rows = sample_rows(codes, 500, seed=3)
    assert np.bincount(codes[rows]).tolist() == [449, 50, 1]
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, sample_rows(codes, 500, seed=3))
    assert not np.array_equal(rows, sample_rows(codes, 500, seed=4))
    np.testing.assert_array_equal(sample_rows(codes, 10_000), np.arange(10_000))


def test_a_sample_of_nothing_is_empty_and_more_classes_than_room_are_drawn_from() -> None:
    codes = np.arange(50, dtype=np.int64)
    assert len(sample_rows(codes, 0)) == 0
    assert len(sample_rows(codes[:0], 5)) == 0
    first, other = sample_rows(codes, 20, seed=0), sample_rows(codes, 20, seed=1)
    assert len(first) == len(other) == 20
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 1.0])
def test_a_share_is_that_share_of_every_class_and_at_least_a_row(share: float) -> None:
    codes = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 40, 1]))
    train = np.setdiff1d(np.arange(141), np.flatnonzero(codes == 0)[:10])
    order = nested_order(train, codes, np.arange(141), seed=0)
    assert sorted(order) == train.tolist()
    taken = take_share(order, codes, share)
    assert np.bincount(codes[taken]).tolist() == [np.ceil(90 * share), np.ceil(40 * share), 1]
    assert (np.diff(taken) > 0).all()


def test_shares_are_nested() -> None:
    codes = np.arange(60) % 4
    order = nested_order(np.arange(60), codes, np.arange(60), seed=0)
    parts = [set(take_share(order, codes, share).tolist()) for share in (0.1, 0.2, 0.5, 1.0)]
    assert all(small < large for small, large in pairwise(parts))
    other = nested_order(np.arange(60), codes, np.arange(60), seed=1)
    assert set(take_share(other, codes, 0.2).tolist()) != parts[1]


def test_no_group_comes_twice_before_every_group_of_its_class_came_once() -> None:
    codes, group = np.repeat([0, 1], 30), np.repeat(np.arange(6), 10)  # three groups of ten rows a class
    taken = take_share(nested_order(np.arange(60), codes, group, seed=0), codes, 0.2)
    assert np.bincount(group[taken]).tolist() == [2] * 6


@pytest.mark.parametrize(
    "shares",
    [(0.02, 0.5), (0.98, 0.5, 0.3), (0.03, 0.04, 0.97)],
    ids=["a rare label", "a label that few lack", "both"],
)
def test_every_share_of_labelled_images_has_both_sides_of_each_label(shares: tuple[float, ...]) -> None:
    presence = make_presence(150, shares, seed=1)
    # As of images that are sampled by one label each: the other labels of an image are anything.
    codes = presence.argmax(axis=1).astype(np.int64)
    order = nested_order(np.arange(150), codes, np.arange(150), seed=0)
    parts = [with_both_sides(take_share(order, codes, share), order, presence) for share in (0.01, 0.1, 0.3, 1.0)]
    for part in parts:
        assert (presence[part].min(axis=0) == 0).all()
        assert (presence[part].max(axis=0) == 1).all()
        assert (np.diff(part) > 0).all()
    assert all(set(small) <= set(large) for small, large in pairwise(parts))
    assert len(parts[-1]) == 150
