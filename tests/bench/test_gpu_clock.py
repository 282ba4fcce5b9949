"""bench/gpu.py begins nothing that would take it past its time, as far as what went before tells."""

from __future__ import annotations

import time

import gpu
import pytest


def test_what_would_not_end_in_time_is_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = gpu.Clock(10)
    assert clock.allows("first")
    now[0] = 4.0
    assert clock.allows("second")
    now[0] = 7.0
    assert not clock.allows("third, which may take four as the first did")
    assert clock.left_out == ["third, which may take four as the first did"]
