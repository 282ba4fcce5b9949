"""What stands in for the disk in all tests refuses what the system would."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.mark.parametrize("how", ["text", "path", "bytes"])
def test_fsync_takes_no_path(tmp_path: Path, how: str) -> None:
    path = {"text": str(tmp_path), "path": tmp_path, "bytes": os.fsencode(tmp_path)}[how]
    with pytest.raises(TypeError):
        os.fsync(path)  # type: ignore[arg-type]


def test_fsync_takes_nothing_that_is_closed(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "a", os.O_CREAT | os.O_WRONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fsync(descriptor)
