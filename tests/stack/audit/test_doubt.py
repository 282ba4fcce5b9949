"""Doubt in labels: by hand on a few rows, and beside cleanlab, the authors' own confident learning."""

from __future__ import annotations

import numpy as np
import pytest

from stackbone.stack.audit.confident import confident_classes
from stackbone.stack.audit.doubt import doubts, margins, neighbour_log_probabilities, pooled
from stackbone.stack.audit.neighbours import find_neighbours


def test_a_margin_is_the_log_odds_of_the_best_other_class() -> None:
    p = np.log(np.array([[0.7, 0.2, 0.1], [0.2, 0.3, 0.5]]))
    np.testing.assert_allclose(margins(p, np.array([0, 1])), np.log([0.2 / 0.7, 0.5 / 0.3]))


def test_doubt_is_above_one_half_where_another_class_is_likelier() -> None:
    p = np.log(np.array([[[0.7, 0.3], [0.4, 0.6]], [[0.5, 0.5], [0.2, 0.8]]]))
    doubt, likeliest = doubts(list(p), None, np.array([0, 0]))
    odds = np.sqrt([0.3 * 0.5 / (0.7 * 0.5), 0.6 * 0.8 / (0.4 * 0.2)])  # geometric means
    np.testing.assert_allclose(doubt, odds / (1 + odds))
    assert likeliest.tolist() == [0, 1]


def test_neighbours_count_for_half() -> None:
    p = np.zeros((1, 1, 2))
    near = np.log(np.array([[0.2, 0.8]]))
    doubt, _ = doubts(list(p), near, np.array([0]))
    np.testing.assert_allclose(doubt, [2 / 3])  # odds of 4, to the power of one half


def test_one_classifier_that_says_zero_does_not_outvote_the_others() -> None:
    p = np.array([[[0.0, -np.inf]], [[np.log(0.5), np.log(0.5)]]])
    assert np.isfinite(pooled(list(p))).all()


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([0, 0, 1, 1], [[1 + 0.5, 1 + 0.5]]),
        ([0, 0, 0, 1], [[2 + 0.75, 0 + 0.25]]),
        ([0, -1, 0, 1], [[1 + 2 / 3, 0 + 1 / 3]]),  # an unlabelled neighbour says nothing
    ],
)
def test_what_neighbours_say(codes: list[int], expected: list[list[float]]) -> None:
    found = neighbour_log_probabilities(np.array([[[1, 2]]]), np.array(codes), 2)
    np.testing.assert_allclose(np.exp(found), np.array(expected) / np.sum(expected))


def test_neighbours_are_those_of_all_cosines(digits: tuple[np.ndarray, np.ndarray]) -> None:
    x = digits[0][:700]
    found = find_neighbours({"a": x, "b": x[:, ::-1].copy()}, 4, 0)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -1)
    np.testing.assert_allclose(found.cosines[0], -np.sort(-cosines, axis=1)[:, :4], atol=1e-5)
    np.testing.assert_allclose(found.cosines[0], np.take_along_axis(cosines, found.rows[0], axis=1), atol=1e-5)
    np.testing.assert_allclose(found.cosines[1], found.cosines[0], atol=1e-5)


def test_there_are_fewer_neighbours_where_there_are_fewer_images() -> None:
    found = find_neighbours({"a": np.eye(3, dtype=np.float32)}, 20, 0)
    assert found.rows.shape == (1, 3, 2)
    assert all(place not in own for place, own in enumerate(found.rows[0].tolist()))


@pytest.mark.parametrize("seed", range(3))
def test_confident_learning_counts_the_errors_that_cleanlab_counts(seed: int) -> None:
    count = pytest.importorskip("cleanlab.count")
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, 600)
    p = (
        rng.dirichlet(np.ones(4), 600)
        + 0.8 * np.eye(4)[np.where(rng.random(600) < 0.2, rng.integers(0, 4, 600), codes)]
    )
    p /= p.sum(axis=1, keepdims=True)
    _, theirs = count.compute_confident_joint(codes, p, calibrate=False, return_indices_of_off_diagonals=True)
    ours = confident_classes(p, codes)
    assert np.flatnonzero((ours >= 0) & (ours != codes)).tolist() == sorted(theirs)
    assert len(theirs) > 5


def test_a_class_without_images_is_confident_of_none() -> None:
    p = np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]])
    assert confident_classes(p, np.array([0, 1])).tolist() == [0, 1]
    assert confident_classes(np.array([[0.4, 0.6], [0.6, 0.4]]), np.array([0, 0])).tolist() == [-1, 0]
