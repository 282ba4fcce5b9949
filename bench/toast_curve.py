"""The curve of bench/toast.py: what each method adds to a linear probe, from few training images to many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from toast_training import TASK, run, unpack

from machine import report
from stackbone.cache import usable_cores

SIZES = (500, 1_000, 2_000, 4_000, 8_000, 16_000)
_ALL = 5_000  # training images of a class
_DRAWS = 2_000  # of the bootstrap


def measure_curve(options: Any, folder: Path, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:  # noqa: ANN401
    """Train every method on every number of images for every seed, and print accuracy and points over the probe.

    Images are drawn anew for each seed; smaller sets lie within larger ones. The intervals hold 95%, by a bootstrap
    over seeds and test images, the same draw for both methods of a difference.

    Parameters
    ----------
    options
        Parsed arguments.
    rows
        Name in the table to what a training is told; ``linear`` is among them.
    """
    cifar = options.shared / "data" / "cifar10.zip"
    sizes, n_test, seeds = ((80,), 25, 1) if options.quick else (options.sizes, 1_000, options.seeds)
    common = {"weights": str(options.shared / "models" / "vit_cifar6.safetensors"), "epochs": options.epochs}
    common |= {"test": unpack(cifar, folder, "test", TASK, range(n_test)), "stage": "tune", "start": None}
    tasks: dict[tuple[str, int, int], dict[str, Any]] = {}
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(_ALL).tolist()
        for size in sizes:
            images = unpack(cifar, folder, "train", TASK, order[: size // len(TASK)])
            for name, told in rows.items():
                out = str(folder / f"curve-{len(tasks)}.safetensors")
                tasks[name, size, seed] = common | told | {"images": images, "seed": seed, "out": out}
    longest_first = sorted(tasks, key=lambda key: -key[1])
    with ThreadPoolExecutor(usable_cores()) as pool:
        done = dict(zip(longest_first, pool.map(run, [tasks[key] for key in longest_first]), strict=True))
    hits = {
        (name, size): np.array([_hits(done[name, size, seed]) for seed in range(seeds)])
        for name in rows
        for size in sizes
    }
    linear = {size: hits["linear", size] for size in sizes}
    table = [[name, *(_cell(name, hits[name, size], linear[size]) for size in sizes)] for name in rows]
    title = f"accuracy on {n_test * len(TASK):,} test images of unseen classes, {options.epochs} epochs, {seeds} seeds"
    report(f"{title}; points over linear [95%]", ["method", *(f"{size:,}" for size in sizes)], table, None, None)
    return {
        name: {
            str(size): {
                "accuracy": float(hits[name, size].mean()),
                "interval": interval(hits[name, size]),
                "over linear": float((hits[name, size] - linear[size]).mean()),
                "interval over linear": interval(hits[name, size] - linear[size]),
            }
            for size in sizes
        }
        for name in rows
    }


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return what holds 95% of the means of ``(seeds, images)`` values, both drawn with replacement."""
    rng = np.random.default_rng(0)
    n_seeds, n_images = values.shape
    means = []
    for _ in range(_DRAWS):
        counts = rng.multinomial(n_images, [1 / n_images] * n_images)
        chosen = values[rng.integers(0, n_seeds, n_seeds)].mean(0)
        means.append(float(chosen @ counts) / n_images)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def _hits(figures: dict[str, Any]) -> NDArray[np.float64]:
    return np.array([mark == "1" for mark in figures["hits"]], np.float64)


def _cell(name: str, hits: NDArray[np.float64], linear: NDArray[np.float64]) -> str:
    if name == "linear":
        low, high = interval(hits)
        return f"{hits.mean():.3f} [{low:.3f}, {high:.3f}]"
    low, high = interval(hits - linear)
    return f"{hits.mean():.3f} ({100 * (hits - linear).mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}])"
