"""Tables beside the images that they list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made.listings import touch


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Write a table, beside a few images unless told otherwise, and return its path."""

    def write(
        text: str | bytes, name: str = "list.csv", *, images: tuple[str, ...] = ("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    ) -> Path:
        touch(tmp_path, *images)
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write
