"""The stand-in for Ray in place of it, for wide fits."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from stackbone.stack.fitting import wide_on_ray
from tests.made.wide_nodes import StandIn


@pytest.fixture
def wide_nodes(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = StandIn()

    def worker(run: wide_on_ray._WideRun, node: str, cores: int) -> Any:  # noqa: ANN401
        return made.worker(node, cores, min(cores, run.n_jobs or cores))

    monkeypatch.setattr(wide_on_ray, "loaded_ray", lambda: made)
    monkeypatch.setattr(wide_on_ray, "_worker", worker)
    monkeypatch.setattr(wide_on_ray, "_free_cores", made.free_cores)
    monkeypatch.setattr(wide_on_ray, "translated", nullcontext)
    monkeypatch.setattr(wide_on_ray, "packed_fits", lambda fits: ([(key, []) for key in fits], {}))
    monkeypatch.setattr(wide_on_ray, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(wide_on_ray, "_ALL_CORES_SECONDS", 0.05)
    return made
