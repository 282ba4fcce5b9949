"""Stand-ins for the engines of those who extract."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from stackbone.cache.records.feature_name import POOLED
from stackbone.extract.backbones.backbone import Backbone
from stackbone.extract.embedding import plan
from tests.made.engines import CountingEngine


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Replace the engines by `CountingEngine` and return the images embedded so far, by backbone."""
    counted: dict[str, int] = {}

    def make(backbone: Backbone, *_: object, outputs: Sequence[str] = (POOLED,)) -> CountingEngine:
        return CountingEngine(counted, backbone.name, outputs)

    monkeypatch.setattr(plan, "make_engine", make)
    return counted
