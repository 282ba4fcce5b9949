"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from stack.linear import LinearPath


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the photographs and models that are not part of the repository."""
    beside = Path(__file__).resolve().parents[1].parent / "shared"
    folder = Path(os.environ.get("STACKBONE_TEST_DATA") or beside)
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data in {folder}: set STACKBONE_TEST_DATA to the folder that holds data/")
    return folder


@pytest.fixture(autouse=True, scope="session")
def own_graphs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep converted networks of this session apart from the user's; subprocesses inherit the place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKBONE_GRAPHS", str(tmp_path_factory.mktemp("graphs")))
        yield


@pytest.fixture(scope="module")
def one_blas_thread() -> Iterator[None]:
    """Limit plain references to one thread: with two they are as slow as `stack.evaluate` would be."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scikit-learn's 1,797 handwritten digits: ``(n, 64)`` pixels and ``(n,)`` codes 0 to 9; read-only, so shared.

    Shuffled, since they lie writer by writer: the first rows would say little of the last.
    """
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    pixels, codes = x[order].astype(np.float32), y[order].astype(np.int64)
    pixels.setflags(write=False)
    codes.setflags(write=False)
    return pixels, codes


@pytest.fixture
def exact_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Solve to the last digits of float32, so that what is compared is the method and not where a solver stops."""
    monkeypatch.setitem(LinearPath.__init__.__kwdefaults__ or {}, "tol", 1e-10)
