"""bench/gpu.py goes on where a way to run a network fails after its first call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gpu_networks
import pytest


def failing_later(n_good: int) -> Callable[..., Callable[[], object]]:
    def make(*_: object) -> Callable[[], object]:
        left = iter(range(n_good))

        def run() -> object:
            if next(left, None) is None:
                message = "out of memory\nin a later round"
                raise MemoryError(message)
            return None

        return run

    return make


def idle(*_: object) -> Callable[[], object]:
    return lambda: None


@pytest.mark.parametrize("first", [idle, failing_later(20)])
def test_a_way_that_fails_in_a_later_round_is_shown_as_such(monkeypatch: pytest.MonkeyPatch, first: Any) -> None:  # noqa: ANN401
    ways = {"first": (first, 1), "later": (failing_later(20), 1), "last": (idle, 1)}
    monkeypatch.setattr(gpu_networks, "WAYS", ways)
    names = ("efficientnet_lite0",)
    rows, figures = gpu_networks.faster_ways(names, "cpu", 0.0, lambda _: True, 9, quick=True)
    failed = {row[1] for row in rows if row[2:] == ["-", "failed in a later round"]}
    assert failed == ({"later"} if first is idle else {"first", "later"})
    assert figures["efficientnet_lite0"].keys() == {"first", "later", "last"} - failed
    assert rows[-1][:2] == ["efficientnet_lite0", "last"]
    assert rows[-1][3] == "-" if "first" in failed else rows[-1][3].endswith("x")
