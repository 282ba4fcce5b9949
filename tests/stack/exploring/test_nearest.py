"""The nearest rows, against a plain sort of all products; and rankings fused, against the formula."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import StackError
from stackbone.stack.exploring import nearest as module
from stackbone.stack.exploring.nearest import Best, nearest, nearest_of, products
from stackbone.stack.exploring.rank_fusion import CONSTANT, depth_of, fuse


def units(n: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    x = np.random.default_rng(seed).normal(size=(n, dim))
    found: NDArray[np.float32] = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return found


def plain(queries: NDArray[np.float32], rows: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    cosines = queries.astype(np.float64) @ rows.astype(np.float64).T
    return np.argsort(-cosines, axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize(("n", "dim", "k"), [(1, 3, 1), (50, 8, 50), (3000, 33, 7)])
@pytest.mark.parametrize("workers", [1, 3])
def test_they_are_those_of_a_plain_sort(
    monkeypatch: pytest.MonkeyPatch, n: int, dim: int, k: int, workers: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_ROWS", 256)  # several blocks
    rows, queries = units(n, dim), units(5, dim, seed=1)
    found = nearest(queries, rows, k, workers=workers)
    np.testing.assert_array_equal(found.rows, plain(queries, rows, k))
    wanted = np.take_along_axis(queries @ rows.T, found.rows, axis=1)
    np.testing.assert_allclose(found.cosines, wanted, atol=5e-7)


@pytest.mark.parametrize("length", [1, 256])
def test_rows_in_float16_are_compared_as_they_are_rounded(length: int) -> None:
    rows, queries = (units(1000, 40) * length).astype(np.float16), units(4, 40, seed=1)
    found = nearest(queries, rows, 9, length=length)
    widened = rows.astype(np.float32) / np.float32(length)
    np.testing.assert_array_equal(found.rows, plain(queries, widened, 9))
    np.testing.assert_allclose(found.cosines, np.take_along_axis(queries @ widened.T, found.rows, axis=1), atol=1e-6)


def test_every_float16_is_widened_to_its_value() -> None:
    """Zero of either sign, what is below the smallest normal number, and the largest."""
    every = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)]
    found = products(np.ones((1, 1), np.float32), finite[:, None])
    np.testing.assert_array_equal(found[0], finite.astype(np.float32))


def test_equal_rows_come_in_their_order_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.tile(units(4, 16), (100, 1))
    for block in (7, 64, 1000):
        monkeypatch.setattr(module, "BLOCK_ROWS", block)
        found = nearest(rows[:1], rows, 30)
        np.testing.assert_array_equal(found.rows[0], np.arange(0, 120, 4))


def test_blocks_may_come_in_any_order() -> None:
    rows, queries = units(500, 12), units(3, 12, seed=1)
    shuffled = np.random.default_rng(0).permutation(500)
    blocks = [(part, rows[part]) for part in np.array_split(shuffled, 9)]
    found = nearest_of(queries, blocks, 11)
    np.testing.assert_array_equal(found.rows, nearest(queries, rows, 11).rows)


def test_a_row_that_is_not_meant_is_never_found() -> None:
    rows = units(20, 6)
    found = nearest(rows, rows, 19, own=np.arange(20))
    assert all(row not in others for row, others in enumerate(found.rows.tolist()))
    some = nearest(rows[:2], rows, 5, own=np.array([0, -1]))
    assert (0 in some.rows[0], some.rows[1, 0]) == (False, 1)


def test_rows_may_lie_in_a_file(tmp_path: Path) -> None:
    rows = (units(700, 24) * 256).astype(np.float16)
    np.save(tmp_path / "rows.npy", rows)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    queries = units(2, 24, seed=1)
    np.testing.assert_array_equal(
        nearest(queries, mapped, 5, length=256).rows, nearest(queries, rows, 5, length=256).rows
    )


@pytest.mark.parametrize("k", [0, 11])
def test_more_than_there_are_is_refused(k: int) -> None:
    with pytest.raises(StackError, match="ask for 1 to 10"):
        nearest(units(1, 3), units(10, 3), k)


def test_rows_of_other_columns_are_refused() -> None:
    with pytest.raises(StackError, match="3 columns, and the rows 4"):
        nearest(units(1, 3), units(10, 4), 1)


def test_a_row_of_zeros_is_at_right_angles_to_all() -> None:
    rows = np.vstack([np.zeros((1, 4), np.float32), units(3, 4)])
    found = nearest(units(1, 4, seed=2), rows, 4)
    assert found.cosines[0, found.rows[0].tolist().index(0)] == 0


def test_too_few_rows_are_no_silent_gap() -> None:
    best = Best(1, 3)
    best.add(np.arange(2), np.array([[0.1, 0.2]], np.float32))
    with pytest.raises(ValueError, match="fewer than 3 rows"):
        best.nearest()


def test_rankings_are_fused_by_reciprocal_rank() -> None:
    first, second = np.array([4, 1, 7]), np.array([1, 9, 4])
    items, scores = fuse([first, second], 3)
    wanted = {
        4: 1 / (CONSTANT + 1) + 1 / (CONSTANT + 3),
        1: 1 / (CONSTANT + 2) + 1 / (CONSTANT + 1),
        9: 1 / (CONSTANT + 2),
    }
    assert items.tolist() == [1, 4, 9]
    np.testing.assert_allclose(scores, [wanted[item] for item in items.tolist()])


def test_fused_ties_go_by_number() -> None:
    items, _ = fuse([np.array([5, 2]), np.array([2, 5])], 2)
    assert items.tolist() == [2, 5]


def test_one_ranking_stays_as_it_is() -> None:
    items, _ = fuse([np.array([8, 3, 5])], 3)
    assert items.tolist() == [8, 3, 5]


def test_rankings_are_looked_at_more_deeply_than_is_asked() -> None:
    assert (depth_of(3, 10_000), depth_of(50, 10_000), depth_of(50, 70)) == (100, 500, 70)
