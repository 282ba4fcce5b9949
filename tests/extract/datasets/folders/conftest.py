"""Made folders of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from stackbone.extract.datasets.dataset import Dataset

Photos = Callable[..., Path]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """Make files below a folder named photos, empty or with some content, and return the folder."""

    def make(*files: str, **contents: bytes) -> Path:
        folder = tmp_path / "photos"
        for file in files:
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if file.endswith("/") else path.touch()
        return folder

    return make


def counts(dataset: Dataset) -> dict[tuple[str, str], int]:
    """Return how many images have each (label, split)."""
    return dict(Counter(zip(dataset.labels, dataset.splits, strict=True)))
