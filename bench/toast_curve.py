"""The curve of bench/toast.py: what each method adds to a linear probe, from few training images to many."""

from __future__ import annotations

from collections.abc import Iterator
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


def measure_curve(options: Any, folder: Path, rows: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Train every method on every number of images for every seed, and print accuracy and points over the probe.

    The smallest number comes first, and after each training the figures so far are given. Images are drawn anew for
    each seed; smaller sets lie within larger ones. The intervals hold 95%, by a bootstrap over seeds and test images,
    the same draw for both methods of a difference.

    Parameters
    ----------
    options
        Parsed arguments.
    rows
        Name in the table to what a training is told; ``linear`` is the first.
    """
    cifar = options.shared / "data" / "cifar10.zip"
    sizes, n_test, seeds = ((32,), 25, 1) if options.quick else (options.sizes, 1_000, options.seeds)
    common = {"weights": str(options.shared / "models" / "vit_cifar6.safetensors"), "epochs": options.epochs}
    common |= {"test": unpack(cifar, folder, "test", TASK, range(n_test)), "stage": "tune", "start": None}
    orders = [np.random.default_rng(seed).permutation(_ALL).tolist() for seed in range(seeds)]
    found: dict[str, dict[str, Any]] = {name: {} for name in rows}
    for size in sorted(sizes):
        hits: dict[str, list[NDArray[np.float64]]] = {name: [] for name in rows}
        for seed, order in enumerate(orders):
            asked = common | {"images": unpack(cifar, folder, "train", TASK, order[: size // len(TASK)]), "seed": seed}
            tasks = [
                asked | told | {"out": str(folder / f"curve-{size}-{seed}-{number}.safetensors")}
                for number, told in enumerate(rows.values())
            ]
            with ThreadPoolExecutor(usable_cores()) as pool:
                for name, figures in zip(rows, pool.map(run, tasks), strict=True):
                    hits[name].append(_hits(figures))
                    same_seeds = hits["linear"][: len(hits[name])]
                    found[name][str(size)] = _figures(np.array(hits[name]), np.array(same_seeds))
                    yield found
        title = f"accuracy on {n_test * len(TASK):,} test images of unseen classes, {options.epochs} epochs"
        title += f", {seeds} seeds; points over linear [95%]"
        done = [each for each in sorted(sizes) if each <= size]
        table = [[name, *(_cell(name, cells[str(each)]) for each in done)] for name, cells in found.items()]
        report(title, ["training images", *(f"{each:,}" for each in done)], table, None, None)


def _figures(hits: NDArray[np.float64], linear: NDArray[np.float64]) -> dict[str, Any]:
    return {
        "seeds": len(hits),
        "accuracy": float(hits.mean()),
        "interval": interval(hits),
        "over linear": float((hits - linear).mean()),
        "interval over linear": interval(hits - linear),
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


def _cell(name: str, figures: dict[str, Any]) -> str:
    if name == "linear":
        low, high = figures["interval"]
        return f"{figures['accuracy']:.3f} [{low:.3f}, {high:.3f}]"
    low, high = figures["interval over linear"]
    return f"{figures['accuracy']:.3f} ({100 * figures['over linear']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}])"
