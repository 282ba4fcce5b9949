"""Digests as sets, against plain Python sets, with first bytes that collide on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from stackbone.cache import Digests
from stackbone.cache.disk.digest_sets import are_among, distinct, first_rows, of_rows, twin_rows


def drawn(n: int, n_different: int, seed: int) -> Digests:
    """Return digests with copies; half of the different ones begin with the same eight bytes."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 256, (n_different, 32), dtype=np.uint8)
    pool[::2, :8] = 7
    return pool[rng.integers(0, n_different, n)]


@pytest.mark.parametrize(("n", "n_different"), [(0, 1), (1, 1), (500, 3), (500, 100), (500, 5000)])
def test_first_rows_are_those_that_a_set_had_not_met(n: int, n_different: int) -> None:
    digests = drawn(n, n_different, 0)
    met: set[bytes] = set()
    expected = []
    for row, digest in enumerate(map(bytes, digests)):
        expected += [] if digest in met else [row]
        met.add(digest)
    assert first_rows(digests).tolist() == expected
    assert {bytes(each) for each in distinct(digests)} == met
    assert len(distinct(digests)) == len(met)


@pytest.mark.parametrize(("n", "n_different"), [(0, 1), (1, 1), (400, 3), (400, 200), (400, 4000)])
@pytest.mark.parametrize("m", [0, 1, 300])
def test_membership_is_that_of_a_set_where_first_bytes_collide(n: int, n_different: int, m: int) -> None:
    every = drawn(n + m, n_different, 1)
    digests, others = every[:n], every[n:]
    known = set(map(bytes, others))
    assert are_among(digests, others).tolist() == [bytes(each) in known for each in digests]


def test_twins_hold_every_copy() -> None:
    digests = drawn(300, 100, 2)
    counts: dict[bytes, int] = {}
    for each in map(bytes, digests):
        counts[each] = counts.get(each, 0) + 1
    copies = [row for row, each in enumerate(map(bytes, digests)) if counts[each] > 1]
    assert set(copies) <= set(twin_rows(digests).tolist())


def test_all_rows_are_no_copy() -> None:
    digests = drawn(5, 5, 4)
    assert of_rows(digests, np.arange(5)) is digests
    assert of_rows(digests, np.array([0, 3])).tolist() == digests[[0, 3]].tolist()


def test_rows_that_are_not_contiguous_are_read_alike() -> None:
    digests = drawn(200, 50, 3)
    wide = np.zeros((200, 64), np.uint8)
    wide[:, :32] = digests
    assert first_rows(wide[:, :32]).tolist() == first_rows(digests).tolist()
    assert are_among(wide[:, :32], wide[:50, :32]).tolist() == are_among(digests, digests[:50]).tolist()
