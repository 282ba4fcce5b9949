"""Fits on a real Ray say what fits on this machine say, and wide ones take turns."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stackbone.cache import StackError, usable_cores
from stackbone.stack.fitting import on_ray
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, run_alone, run_fits
from tests.conftest import MakeCache
from tests.made.checkout import ROOT
from tests.made.domain_caches import make_domains
from tests.made.small_fits import LARGE, total

pytest.importorskip("ray", reason="the ray extra brings it")


@pytest.mark.slow
@pytest.mark.timeout(280, func_only=True)
@pytest.mark.usefixtures("ray_for_itself")
def test_fits_go_to_a_cluster_and_what_cannot_go_runs_here() -> None:
    lock = Lock()

    def locked() -> float:
        with lock:
            return 7.0

    fits: dict[on_ray.FitKey, Any] = {("sum", number): partial(total, LARGE, float(number)) for number in range(4)}
    fits["locked", 0] = locked
    steps: list[tuple[int, int]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with on_ray.fits_on_ray("local"):
            assert on_ray.is_on_ray()
            with recorded() as warned:
                found = run_fits(fits, None, FitCounter(lambda _, done, total: steps.append((done, total)), 5))
    assert not on_ray.is_on_ray()
    assert found == {key: fit() for key, fit in fits.items() if key[0] != "sum"} | {
        ("sum", number): float(LARGE.sum() * number) for number in range(4)
    }
    assert warned.by_model() == {"sum": ["factor 3.0 (1 fit)"]}
    assert steps[-1] == (5, 5)


Worked = tuple[float, int, int, float, float]


def working(x: NDArray[np.float64], number: int) -> Worked:
    """Return a sum, the process that computed it, with how many threads, and when it began and ended."""
    from threadpoolctl import threadpool_info

    began = time.monotonic()
    threads = [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]
    time.sleep(0.2)
    return float(x.sum() * number), os.getpid(), max(threads), began, time.monotonic()


@pytest.mark.slow
@pytest.mark.timeout(280, func_only=True)
@pytest.mark.usefixtures("ray_for_itself")
def test_wide_fits_take_turns_on_a_machine_each_with_all_its_cores() -> None:
    lock = Lock()

    def locked() -> Worked:
        with lock:
            return 7.0, os.getpid(), 1, 0.0, 0.0

    def refuse() -> Worked:
        message = "one class alone"
        raise StackError(message)

    fits: dict[on_ray.FitKey, Any] = {("wide", number): partial(working, LARGE, number) for number in range(3)}
    fits["locked", 0] = locked
    with on_ray.fits_on_ray("local"):
        found = run_alone(fits, None, FitCounter(None, 4))
        with pytest.raises(StackError, match="one class alone"):
            run_alone({("wide", 0): refuse}, None, FitCounter(None, 1))
    assert found.pop(("locked", 0))[:2] == (7.0, os.getpid())
    assert {key: answer[0] for key, answer in found.items()} == {
        ("wide", number): float(LARGE.sum() * number) for number in range(3)
    }
    assert os.getpid() not in {worked[1] for worked in found.values()}
    assert {worked[2] for worked in found.values()} == {usable_cores()}
    times = sorted(worked[3:] for worked in found.values())
    assert all(ended <= began for (_, ended), (began, _) in pairwise(times))


def as_json(folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *words, "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def without_times(found: Any) -> Any:  # noqa: ANN401
    if isinstance(found, dict):
        return {
            name: without_times(each) for name, each in found.items() if "seconds" not in name and name != "created"
        }
    return [without_times(each) for each in found] if isinstance(found, list) else found


@pytest.mark.slow
@pytest.mark.timeout(500, func_only=True)
@pytest.mark.usefixtures("ray_for_itself")
def test_stack_and_transfer_score_the_same_on_a_cluster(make_cache: MakeCache, tmp_path: Path) -> None:
    make_cache(tmp_path / "features", [str(i % 3) for i in range(90)])
    make_domains(tmp_path / "domains")
    stack = ("stack", "--cv", "3", "--cache", "features")
    transfer = ("transfer", "--source", "studio", "--target", "phone", "--cache", "domains")
    there = as_json(tmp_path, *stack, "--ray", "local")
    again = as_json(tmp_path, *stack)
    assert without_times(again["scores"]) == without_times(there["scores"])  # found in the cache of scores
    shutil.rmtree(tmp_path / "features" / "scores")
    here = as_json(tmp_path, *stack)
    assert without_times(here["scores"]) == without_times(there["scores"])
    assert without_times(as_json(tmp_path, *transfer, "--ray", "local")) == without_times(as_json(tmp_path, *transfer))
