"""A head for tests that needs no training."""

from __future__ import annotations

import pytest

from stackbone.stack.detection.head import HEADS
from tests.made.detection import CELLS_HEAD, CellsHead


@pytest.fixture(autouse=True)
def cells_head(monkeypatch: pytest.MonkeyPatch) -> CellsHead:
    """Add the head ``cells`` to those that are known."""
    monkeypatch.setitem(HEADS._ours, CELLS_HEAD.name, CELLS_HEAD)
    monkeypatch.setattr(CellsHead, "n_fits", 0)
    monkeypatch.setattr(CellsHead, "checkpoints", set())
    return CELLS_HEAD
