"""Peak memory of `stack:oof` with all baselines, against the size of the features.

Made features of the shapes of CUB-200-2011 (11,788 images; 2,048, 512, 2,048 and 2,048 columns; 20 classes, since the
number of classes costs time and hardly memory), 3 folds. ``python bench/stack_memory.py [--quick] [--json FILE]``.
"""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path

import numpy as np

from machine import arguments, report
from stackbone.stack import evaluate, stratified_folds

DIMS = (2048, 512, 2048, 2048)
N_CLASSES = 20
_EVERY_S = 0.02


def resident() -> int:
    """Return the bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


class Peak:
    """The most memory seen while it watches."""

    def __init__(self) -> None:
        self.n_bytes, self._watching = resident(), True
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._watching = False
        self._thread.join()

    def _watch(self) -> None:
        while self._watching:
            self.n_bytes = max(self.n_bytes, resident())
            time.sleep(_EVERY_S)


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__ or "").parse_args()
    n = 2_000 if options.quick else 11_788
    rng = np.random.default_rng(0)
    codes = np.arange(n) % N_CLASSES
    centres = 0.1 * rng.standard_normal((N_CLASSES, max(DIMS)), dtype=np.float32)
    blocks = {}
    for i, dim in enumerate(DIMS):
        blocks[f"backbone {i + 1}"] = rng.standard_normal((n, dim), dtype=np.float32)
        blocks[f"backbone {i + 1}"] += np.roll(centres, i, axis=1)[codes, :dim]
    y = np.array([f"{code:02d}" for code in codes])
    size, before, started = sum(x.nbytes for x in blocks.values()), resident(), time.perf_counter()
    with Peak() as peak:
        evaluate(blocks, y, stratified_folds(y, 3, 0), recipes=("oof",))
    seconds = time.perf_counter() - started
    times = (peak.n_bytes - before + size) / size
    row = [f"{n:,}", f"{size / 1e6:.0f}", f"{(peak.n_bytes - before) / 1e6:.0f}", f"{times:.2f}", f"{seconds:.0f}"]
    header = ["images", "features, MB", "on top at the peak, MB", "peak over features", "seconds"]
    figures = {"features": size, "before": before, "peak": peak.n_bytes, "seconds": seconds}
    report("Memory of stack:oof with all baselines", header, [row], figures, options.json)


if __name__ == "__main__":
    main()
