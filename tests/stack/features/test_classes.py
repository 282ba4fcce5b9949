"""Whether labels name classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stackbone.stack.features.classes import are_numbers, unclassed
from tests.conftest import MakeCache

N = 150


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["cat", "dog"] * 75, ""),
        ([str(i % 2) for i in range(N)], ""),
        ([str(i % 30) for i in range(N)], ""),  # five of each, as classes come back
        ([str(i % 30) if i else "" for i in range(N)], "labels are numbers"),
        ([str(i) for i in range(N)], "labels are numbers"),
        ([f"{i % 30}.5" for i in range(N)], "labels are numbers"),
        ([""] * N, "no image has a label"),
    ],
)
def test_numbers_that_come_back_are_classes(
    tmp_path: Path, make_cache: MakeCache, labels: list[str], said: str
) -> None:
    index = replace(make_cache(tmp_path, ["cat"] * N).dataset(), label=labels)
    assert unclassed(index) == said
    assert are_numbers(index) == (said == "labels are numbers")
