"""What comparing transfer methods costs: CPU seconds of each, and peak memory beside the size of the features.

Made features of the shape and spectrum of three EfficientNet-Lites (1,280 columns whose variance falls along their
directions), 4,000 images of each domain, 10 classes that a classifier confuses in part. One division as `transfer --cv
3` makes it: two thirds of the target are seen, with ten labels of each class (or as ``--labels`` says), the others are
answered. Seconds are those of the processor, on one thread, all that methods share counted to the first that asks for
it. Seconds by the clock are those of two backbones fitted side by side, as the command does, and memory is what that
takes on top of what the process held with the features. Beside each method stands what it holds of its own at its peak
on one backbone, what it shares with others included where it makes it (as tracemalloc counts).
``python bench/transfer_speed.py [--quick] [--images N] [--labels none|few:10|all] [--json FILE]``.
"""

from __future__ import annotations

import time
import tracemalloc
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stack_memory import Peak, resident
from threadpoolctl import threadpool_limits
from transfer import SETTINGS, domains_of
from transfer_pairs import Pair

from machine import arguments, report
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.transfer.method import Domains
from stackbone.stack.transfer.registry import METHODS

BACKBONES, DIM, CLASSES = 3, 1280, 10
IMAGES, QUICK = 4000, 400
_DIRECTIONS = 400

Floats = NDArray[np.float32]


def made_pair(n: int, backbones: int) -> Pair:
    """Return two domains of so many images each: one set of classes, seen by two cameras."""
    rng = np.random.default_rng(0)
    labels = [rng.permutation(np.arange(n) % CLASSES) for _ in range(2)]
    blocks: list[dict[str, Floats]] = [{}, {}]
    sizes = (1 / np.sqrt(1 + np.arange(_DIRECTIONS) / 4)).astype(np.float32)
    for number in range(backbones):
        directions = rng.standard_normal((_DIRECTIONS, DIM), dtype=np.float32)
        centres = 0.3 * rng.standard_normal((CLASSES, _DIRECTIONS), dtype=np.float32)
        moved = 0.4 * rng.standard_normal(_DIRECTIONS, dtype=np.float32)
        for camera, (block, codes) in enumerate(zip(blocks, labels, strict=True)):
            inner = centres[codes] + rng.standard_normal((n, _DIRECTIONS), dtype=np.float32) + camera * moved
            noise = 0.3 * rng.standard_normal((n, DIM), dtype=np.float32)
            x = (inner * sizes) @ directions * np.float32(0.15) + noise
            block[f"backbone {number + 1}"] = np.maximum(x, 0)  # as features after a rectifier are
    names = [np.array([f"{code:02d}" for code in each]) for each in labels]
    return Pair(blocks[0], names[0], blocks[1], names[1])


def divide(pair: Pair, labels: str) -> dict[str, Domains]:
    """Return the domains of each backbone: all of the source, and two thirds of the target."""
    return domains_of(pair, SETTINGS[labels], 0, share=1.0)[0]


def seconds_of_each(domains: dict[str, Domains], names: list[str]) -> dict[str, float]:
    """Return the CPU seconds of every method that fits, on all backbones together."""
    found = {}
    with threadpool_limits(limits=1):
        for name in names:
            if any(METHODS[name].fits(each) for each in domains.values()):
                continue
            started = time.process_time()
            for each in domains.values():
                METHODS[name].fit(each)
            found[name] = time.process_time() - started
    return found


def peaks_of_each(domains: Domains, names: list[str]) -> dict[str, int]:
    """Return the bytes that every method that fits allocates at its peak, on one backbone."""
    found = {}
    tracemalloc.start()
    with threadpool_limits(limits=1):
        for name in names:
            if METHODS[name].fits(domains) is None:
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                METHODS[name].fit(domains)
                found[name] = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return found


def fit_all(pair: Pair, labels: str, names: list[str]) -> None:
    """Divide the domains and fit every method, on the one backbone of a pair, as a fold of the command does."""
    (domains,) = divide(pair, labels).values()
    for name in names:
        if METHODS[name].fits(domains) is None:
            METHODS[name].fit(domains)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument(
        "--images", type=int, help=f"of each domain; {IMAGES:,} by default, {QUICK} (and one backbone) with --quick"
    )
    parser.add_argument("--labels", choices=SETTINGS, default="few:10", help="target labels that are shown")
    options = parser.parse_args()
    n = options.images or (QUICK if options.quick else IMAGES)
    names = [name for name, method in METHODS.items() if method.by_default]
    backbones = 1 if options.quick else BACKBONES
    pair = made_pair(n, backbones)
    size = sum(block.nbytes for side in (pair.source, pair.target) for block in side.values())
    seconds = seconds_of_each(divide(pair, options.labels), names)
    peaks = peaks_of_each(next(iter(divide(pair, options.labels).values())), names)
    before, started = resident(), time.perf_counter()
    fits = {
        (name, 0): partial(
            fit_all,
            Pair({name: pair.source[name]}, pair.source_labels, {name: pair.target[name]}, pair.target_labels),
            options.labels,
            names,
        )
        for name in pair.source
    }
    with Peak() as peak:
        run_fits(fits, 2, FitCounter(None, len(fits)))
    clock = time.perf_counter() - started
    total, times = sum(seconds.values()), (peak.n_bytes - before + size) / size
    figures: dict[str, Any] = {
        "images of each domain": n,
        "backbones": backbones,
        "labels": options.labels,
        "cpu seconds": seconds,
        "seconds by the clock": clock,
        "own bytes at the peak": peaks,
        "features": size,
        "before": before,
        "peak": peak.n_bytes,
    }
    rows = [[METHODS[name].family, name, f"{each:.1f}", f"{peaks[name] / 1e6:.0f}"] for name, each in seconds.items()]
    rows.append(["", "all of them", f"{total:.1f}", ""])
    title = f"Transfer methods, {n:,} + {n:,} images, {backbones} backbones, labels {options.labels}"
    report(title, ["family", "method", "CPU seconds", "MB of its own"], rows, figures, options.json)
    print(f"\n{clock:.0f} s by the clock; features {size / 1e6:.0f} MB, at the peak {times:.2f} times as much")


if __name__ == "__main__":
    main()
