"""Logistic regressions of `stack` on a GPU and on the CPU, for `bench/gpu.py`: seconds, crossover, and the difference.

Both sides solve the same problem from nothing, matrix and second moments included. The largest is given few steps on
the CPU, where all would take many minutes; the GPU then has as many, beside a whole run of its own. It is solved once;
of the others the two sides take turns, and medians are told.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from stack_speed import make_features
from stackbone.stack.computing.arithmetic import HOST, Arithmetic, computing_with
from stackbone.stack.computing.torch_arithmetic import TorchArithmetic
from stackbone.stack.solvers.linear import LinearMap, LinearPath

SIZES = ((1000, 512, 10), (4000, 1280, 10), (8000, 2048, 200), (30_000, 2048, 200), (100_000, 4096, 1000))
QUICK_SIZES = ((500, 128, 5), (2000, 512, 20))
C = 0.01
FEW_STEPS = 5
_LARGE = 10**11  # rows x columns x classes, from which the CPU gets few steps


def solve(
    arithmetic: Arithmetic, x: NDArray[np.float32], codes: NDArray[np.int64], n_classes: int, most: int
) -> tuple[float, int, LinearMap]:
    """Return seconds, steps and what was found."""
    started = time.perf_counter()
    with computing_with(arithmetic), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the few steps
        everyone = [np.arange(len(x))]
        path = LinearPath(x, codes, n_classes, everyone, loss="log", standardise=True, max_iter=most)
        (found,) = path.solve(C)
    return time.perf_counter() - started, path.iterations, found


def measure_solvers(
    device: str, allows: Callable[[str], bool], rounds: int, *, quick: bool
) -> tuple[list[list[str]], list[dict[str, Any]]]:
    """Return rows and figures of every size."""
    on_device = TorchArithmetic(device)
    rows: list[list[str]] = []
    figures: list[dict[str, Any]] = []
    solve(on_device, *make_features(200, 32, 3), 3, 50)  # what a device loads for its first product is not counted
    for n, dim, n_classes in QUICK_SIZES if quick else SIZES:
        if not allows(f"solvers of {n} x {dim} x {n_classes}"):
            continue
        x, codes = make_features(n, dim, n_classes)
        large = n * dim * n_classes > _LARGE
        most = FEW_STEPS if large else 1000
        turns = [
            [solve(each, x, codes, n_classes, most) for each in (on_device, HOST)]
            for _ in range(1 if large else rounds)
        ]
        there, here = (statistics.median(seconds for seconds, _, _ in side) for side in zip(*turns, strict=True))
        (_, steps, found), (_, _, expected) = turns[0]
        whole = solve(on_device, x, codes, n_classes, 1000) if large else (there, steps, found)
        coef = float(np.abs(found.coef - expected.coef).max() / np.abs(expected.coef).max())
        some = x[:1000]
        said = expected.decide(some)
        outputs = float(np.abs(found.decide(some) - said).max() / np.abs(said).max())
        figures.append(
            {
                "size": [n, dim, n_classes],
                "steps": steps,
                "device_s": there,
                "cpu_s": here,
                "whole_device_s": whole[0],
                "whole_steps": whole[1],
                "coefficients": coef,
                "outputs": outputs,
            }
        )
        told = f"{steps} (of {whole[1]}, {whole[0]:.1f} s on the GPU)" if large else str(steps)
        numbers = [f"{there:.2f}", f"{here:.2f}", f"{here / there:.2f}", told, f"{coef:.0e}", f"{outputs:.0e}"]
        rows.append([f"{n:,}", f"{dim:,}", f"{n_classes:,}", *numbers])
        print("\t".join(rows[-1]), file=sys.stderr, flush=True)
    return rows, figures
