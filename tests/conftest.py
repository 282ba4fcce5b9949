"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits


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
