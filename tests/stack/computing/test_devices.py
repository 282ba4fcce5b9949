"""Devices that solvers run on are those that were asked for, or an error; scores are found whatever solved them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stackbone.cache.errors import UsageError
from stackbone.stack import Evaluation, evaluate, stratified_folds
from stackbone.stack.computing.arithmetic import HOST, computing_with
from stackbone.stack.computing.devices import choose_arithmetic
from stackbone.stack.computing.torch_arithmetic import TorchArithmetic
from tests.stack.evaluation.test_score_cache import FIXED, N, cache_in, made_blocks

pytestmark = pytest.mark.usefixtures("one_blas_thread")

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


def test_the_cpu_is_numpy_and_loads_no_torch() -> None:
    assert choose_arithmetic("cpu") is HOST
    code = (
        "from stackbone.stack.computing.devices import choose_arithmetic; choose_arithmetic('cpu');"
        "import sys; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@no_gpu
def test_auto_without_a_gpu_is_the_cpu() -> None:
    assert choose_arithmetic("auto") is HOST


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused_and_nothing_taken_in_its_place(device: str) -> None:
    with pytest.raises(UsageError, match=rf"'{device}' cannot be used here \(.+\)\. Use --device cpu, or auto"):
        choose_arithmetic(device)


@pytest.mark.parametrize("device", ["mps", "gpu", "", "cuda:x"])
def test_a_device_that_no_solver_runs_on_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match="--device"):
        choose_arithmetic(device)


def run(folder: Path, device: str) -> Evaluation:
    y = np.array(["cat", "dog", "emu"])[np.arange(N) % 3]
    arithmetic = HOST
    if device != "cpu":
        arithmetic = TorchArithmetic("cpu")
        arithmetic.name = device
    with computing_with(arithmetic):
        return evaluate(made_blocks(), y, stratified_folds(y, 2, 0), options=FIXED, cache=cache_in(folder))


def headers(folder: Path) -> list[dict[str, object]]:
    return [json.loads(each.read_bytes()[32:].split(b"\n")[0]) for each in (folder / "scores").iterdir()]


def test_scores_of_a_cpu_serve_on_a_gpu_and_are_told_apart(tmp_path: Path) -> None:
    first, second = run(tmp_path, "cpu"), run(tmp_path, "cuda:0 (Card)")
    assert first.solved_on == []
    assert all("solved_on" not in each for each in headers(tmp_path))
    assert second.n_from_cache == len(headers(tmp_path)) > 0
    assert second.solved_on == ["cpu", "cuda:0 (Card)"]  # the stacks, which are fitted anew, on the latter


def test_scores_of_a_gpu_serve_on_a_cpu_and_say_where_they_are_from(tmp_path: Path) -> None:
    first, second = run(tmp_path, "cuda:0 (Card)"), run(tmp_path, "cpu")
    assert first.solved_on == ["cuda:0 (Card)"]
    assert {each["solved_on"] for each in headers(tmp_path)} == {"cuda:0 (Card)"}
    assert second.n_from_cache == len(headers(tmp_path))
    assert second.solved_on == ["cpu", "cuda:0 (Card)"]


def test_scores_of_both_agree(tmp_path: Path) -> None:
    first, second = run(tmp_path / "a", "cpu"), run(tmp_path / "b", "cuda:0 (Card)")
    for one, other in zip(first.results, second.results, strict=True):
        assert one.mean == pytest.approx(other.mean, abs=1e-9)
