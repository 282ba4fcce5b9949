"""Large arrays lie in scratch files that leave nothing behind; where there is no room for one, in memory."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from stackbone.cache.disk import scratch
from stackbone.cache.disk.scratch import empty_array, take_rows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where scratch files lie, and call everything above 1,000 bytes large."""
    monkeypatch.setattr(scratch, "IN_MEMORY", 1_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def in_file(array: object) -> bool:
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = getattr(array, "base", None)
    return False


@pytest.mark.parametrize(("shape", "large"), [((10, 25), False), ((10, 26), True), ((0, 7), False), ((300,), True)])
def test_only_large_arrays_lie_in_files(shape: tuple[int, ...], *, large: bool) -> None:
    found = empty_array(shape)
    assert (found.shape, found.dtype, in_file(found)) == (shape, np.dtype(np.float32), large)
    found[...] = 3
    assert (found == 3).all()
    assert type(found) is np.ndarray


def test_a_scratch_file_leaves_nothing_behind(folder: Path) -> None:
    found = empty_array((1_000, 4))
    found[:] = np.arange(4_000).reshape(1_000, 4)
    assert list(folder.iterdir()) == []
    assert found.sum() == sum(range(4_000))


@pytest.mark.parametrize("problem", ["no room", "no folder"])
def test_without_room_for_a_file_the_array_is_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if problem == "no room":
        monkeypatch.setattr(scratch, "_reserve", refuse)
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(folder / "absent"))
    found = empty_array((1_000, 4))
    assert not in_file(found)
    assert found.shape == (1_000, 4)


@pytest.mark.parametrize("n", [5, 5_000])
def test_taken_rows_are_those_named_in_their_order(n: int) -> None:
    x = np.arange(3 * n, dtype=np.float32).reshape(n, 3)
    rows = np.random.default_rng(0).permutation(n)[: n // 2 + 1]
    taken = take_rows(x, rows)
    np.testing.assert_array_equal(taken, x[rows])
    assert in_file(taken) == (n > 100)
