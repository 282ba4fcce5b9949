"""Groups are the connected components that a plain search finds, however many reasons there are to join."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds import groups as groups_module
from stackbone.stack.folds.groups import join_groups, near_duplicates

Matrix = NDArray[np.float32]


def plain_groups(together: NDArray[np.bool_]) -> list[int]:
    """Return the components of a symmetric relation, numbered by first appearance, walking row by row."""
    group = [-1] * len(together)
    for start in range(len(together)):
        if group[start] < 0:
            number, todo = max(group) + 1, [start]
            while todo:
                row = todo.pop()
                if group[row] < 0:
                    group[row] = number
                    todo += np.flatnonzero(together[row]).tolist()
    return group


def plain_cosines(x: Matrix) -> NDArray[np.float64]:
    unit = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    cosines: NDArray[np.float64] = unit @ unit.T
    return cosines


def noisy_copies(seed: int, n: int, dim: int, n_sources: int) -> Matrix:
    """Rows that are copies of a few sources, rescaled and a little noisy, in random order."""
    rng = np.random.default_rng(seed)
    sources = rng.standard_normal((n_sources, dim))
    rows = sources[rng.integers(n_sources, size=n)] + 0.05 * rng.standard_normal((n, dim))
    return (rows * rng.uniform(0.1, 10, (n, 1))).astype(np.float32)


def test_rows_that_share_a_value_are_one_group() -> None:
    np.testing.assert_array_equal(join_groups(np.array(["b", "a", "b", "c", "a"])), [0, 1, 0, 2, 1])


def test_sharing_is_passed_on_through_columns() -> None:
    patient = np.array(["ann", "ann", "bob", "cid", "dan"])
    camera = np.array([1, 2, 2, 3, 4])
    np.testing.assert_array_equal(join_groups(patient, camera), [0, 0, 0, 1, 2])


def test_equal_values_of_different_columns_join_nothing() -> None:
    np.testing.assert_array_equal(join_groups(np.array([1, 2, 3]), np.array([2, 3, 1])), [0, 1, 2])


def test_empty_text_and_negative_numbers_are_no_group() -> None:
    np.testing.assert_array_equal(join_groups(np.array(["", "", "x", "x"]), np.array([-1, -1, -1, -1])), [0, 1, 2, 2])
    np.testing.assert_array_equal(join_groups(np.array([b"", b"", b"k", b"k"])), [0, 1, 2, 2])


def test_values_of_every_kind_are_read_as_they_are() -> None:
    truth = np.array([True, False, True])
    unsigned = np.array([2**64 - 1, 0, 2**64 - 1], np.uint64)
    np.testing.assert_array_equal(join_groups(truth), [0, 1, 0])
    np.testing.assert_array_equal(join_groups(unsigned), [0, 1, 0])


@pytest.mark.parametrize("seed", range(20))
def test_join_is_that_of_a_plain_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 40))
    numbers = rng.integers(-1, 25, n)
    words = np.array(["", *"abcdefghijklmnopqrstuvw"])[rng.integers(0, 24, n)]
    same_number = (numbers[:, None] == numbers) & (numbers >= 0)
    same_word = (words[:, None] == words) & (words != "")
    joined = join_groups(numbers, words)
    assert joined.tolist() == plain_groups(same_number | same_word)
    assert joined.dtype == np.int64
    np.testing.assert_array_equal(join_groups(joined), joined)


def test_no_rows_have_no_groups() -> None:
    assert len(join_groups(np.array([], np.str_))) == 0


def test_no_column_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        join_groups()


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(StackError, match=r"group column 2 of 2 has shape \(3,\); expected .*\(2,\)"):
        join_groups(np.array([0, 1]), np.array([0, 1, 2]))


@pytest.mark.parametrize("column", [np.array([0.0, np.nan]), np.array(["a", None], object)])
def test_columns_that_are_neither_text_nor_whole_numbers_are_refused(column: NDArray[np.generic]) -> None:
    with pytest.raises(StackError, match=f"type {column.dtype}; groups are text or whole numbers"):
        join_groups(column)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threshold", [0.2, 0.9, 0.97])
def test_near_duplicates_are_those_of_a_plain_search(
    seed: int, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups_module, "TILE_ROWS", 16)  # many tiles, the last ones ragged
    blocks = {"wide": noisy_copies(seed, 75, 24, 20), "narrow": noisy_copies(seed, 75, 9, 20)}
    close = np.logical_and.reduce([plain_cosines(x) >= threshold for x in blocks.values()])
    found = near_duplicates(blocks, threshold)
    alone = close.sum(axis=1) == 1
    np.testing.assert_array_equal(found == -1, alone)
    assert found[~alone].tolist() == plain_groups(close[np.ix_(~alone, ~alone)])


@pytest.mark.parametrize("known", [0, 1, 16, 45, 60])
def test_known_rows_are_compared_with_later_ones_alone(monkeypatch: pytest.MonkeyPatch, known: int) -> None:
    monkeypatch.setattr(groups_module, "TILE_ROWS", 16)
    x = noisy_copies(3, 60, 12, 12)
    together = plain_cosines(x) >= 0.98
    together[:known, :known] = False
    group = np.array(plain_groups(together | np.eye(60, dtype=bool)))
    alone = np.bincount(group)[group] == 1
    found = near_duplicates({"a": x}, 0.98, known=known)
    assert (found < 0).tolist() == alone.tolist()
    assert found[~alone].tolist() == np.unique(group[~alone], return_inverse=True)[1].tolist()


def test_number_of_tiles_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = {"net": noisy_copies(7, 60, 12, 25)}
    whole = near_duplicates(blocks, 0.95)
    assert (whole >= 0).sum() > 0
    monkeypatch.setattr(groups_module, "TILE_ROWS", 7)
    np.testing.assert_array_equal(near_duplicates(blocks, 0.95), whole)


def test_every_backbone_must_agree() -> None:
    sees = np.eye(3, dtype=np.float32)
    blind = np.ones((3, 5), np.float32)
    np.testing.assert_array_equal(near_duplicates({"blind": blind}, 0.99), [0, 0, 0])
    np.testing.assert_array_equal(near_duplicates({"blind": blind, "sees": sees}, 0.99), [-1, -1, -1])


@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e25])
def test_equal_rows_of_any_length_reach_a_threshold_of_one(scale: float) -> None:
    x = np.random.default_rng(0).random((40, 300)).astype(np.float32)
    x[20:] = x[:20] * np.float32(scale)
    np.testing.assert_array_equal(near_duplicates({"net": x}, 1.0), np.tile(np.arange(20), 2))


def test_rows_of_zeros_match_nothing() -> None:
    x = np.zeros((4, 3), np.float32)
    x[2:] = 1
    np.testing.assert_array_equal(near_duplicates({"net": x}, 0.1), [-1, -1, 0, 0])


def test_near_duplicates_are_a_column_of_groups() -> None:
    x = np.array([[1, 0], [0, 1], [1, 0.001], [-1, 0]], np.float32)
    camera = np.array(["", "k1", "", "k1"])
    np.testing.assert_array_equal(join_groups(near_duplicates({"net": x}, 0.98), camera), [0, 1, 0, 1])


def test_comparison_reports_every_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_module, "TILE_ROWS", 4)
    calls: list[tuple[str, int, int]] = []
    near_duplicates({"net": np.eye(9, dtype=np.float32)}, 0.9, progress=lambda *call: calls.append(call))
    assert calls == [("comparing", done, 6) for done in range(7)]


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_threshold_that_is_no_cosine_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match=f"threshold is {threshold}; a cosine above 0 and at most 1"):
        near_duplicates({"net": np.eye(2, dtype=np.float32)}, threshold)


def test_no_features_are_refused() -> None:
    with pytest.raises(StackError, match="no features"):
        near_duplicates({}, 0.9)


def test_blocks_of_different_images_are_refused() -> None:
    blocks = {"a": np.ones((3, 2), np.float32), "b": np.ones((4, 2), np.float32)}
    with pytest.raises(StackError, match=r"'a' \(3, 2\), 'b' \(4, 2\); expected"):
        near_duplicates(blocks, 0.9)
