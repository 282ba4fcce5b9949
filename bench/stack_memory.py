"""Peak memory of `stack:oof` with all baselines, against the size of the features.

Made features of the shapes of CUB-200-2011 (11,788 images; 2,048, 512, 2,048 and 2,048 columns; 20 classes, since the
number of classes costs time and hardly memory), 3 folds. With ``--stages``, four networks of which each is read at its
pooled vector and its five stages (1,280 and 512 columns), from a cache, with penalties for parts: the peak is then told
in units of one network's features, and what lies in scratch files (which the system can move out of memory at any time)
is left out of it. A smaller run tells less: below some ten thousand images what the solvers hold beside the matrix, up
to double-precision copies of small training parts, is many times a block.
``python bench/stack_memory.py [--quick] [--stages [--images N]] [--json FILE]``.
"""

from __future__ import annotations

import resource
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from machine import arguments, report
from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps
from stackbone.cache.disk import scratch
from stackbone.cache.records.parts import Part, RowForm
from stackbone.stack import evaluate, stratified_folds
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import join_features

DIMS = (2048, 512, 2048, 2048)
N_CLASSES = 20
_EVERY_S = 0.02


def resident() -> int:
    """Return the bytes of this process that are in memory now, files that it maps left out."""
    _, resident_pages, shared_pages = map(int, Path("/proc/self/statm").read_text().split()[:3])
    return (resident_pages - shared_pages) * resource.getpagesize()


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


STAGES = (16, 24, 40, 112, 320)
POOLED = 1280
_AT_FULL_SIZE = 100_000


def write_networks(store: FeatureStore, n: int) -> None:
    """Write a cache of four networks with two outputs each, one shard after another."""
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 256, (n, 32), np.uint8)
    codes = np.arange(n) % N_CLASSES
    half = (0.5, 0.5, 0.5)
    parts = tuple(Part(f"stage{number}", width) for number, width in enumerate(STAGES, 1))
    for number in range(4):
        for output, width, form in (("pooled", POOLED, None), ("stages", sum(STAGES), RowForm(parts))):
            spec = FeatureSpec(
                f"net{number}", f"random({number})", (224, 224), 0.875, "center", "bicubic", half, half, "avg"
            )
            spec = replace(spec, output=output)
            centres = 0.1 * rng.standard_normal((N_CLASSES, width), dtype=np.float32)
            for start in range(0, n, 2_048):
                own = slice(start, start + 2_048)
                x = centres[codes[own]] + rng.standard_normal((len(codes[own]), width), dtype=np.float32)
                store.feature_set(spec.architecture, spec).append(spec, digests[own], x, {}, form)
    store.write_dataset(
        DatasetIndex(
            name="made",
            root="/made",
            path=[f"{i}.jpg" for i in range(n)],
            label=[f"{code:02d}" for code in codes],
            split=[""] * n,
            group=[""] * n,
            image_sha256=digests,
            status=np.zeros(n, np.uint8),
            reason=[""] * n,
            stamps=FileStamps(np.full((n, 4), -1, np.int64)),
        )
    )


def measure_networks(n: int, file: Path | None) -> None:
    """Measure and print what joining and fitting four networks with their stages takes."""
    scratch.IN_MEMORY = scratch.IN_MEMORY * n // _AT_FULL_SIZE  # so that a smaller run divides as the full one does
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore(folder)
        write_networks(store, n)
        block = 4 * n * (POOLED + sum(STAGES))
        before, started = resident(), time.perf_counter()
        with Peak() as peak:
            joined = join_features(store)
            folds = stratified_folds(joined.labels, 3, 0)
            evaluate(
                joined.blocks, joined.labels, folds, members=fuse(joined, "parts"), recipes=("oof",), ablation=False
            )
        seconds = time.perf_counter() - started
    times = (peak.n_bytes - before) / block
    row = [f"{n:,}", f"{block / 1e6:.0f}", f"{(peak.n_bytes - before) / 1e6:.0f}", f"{times:.2f}", f"{seconds:.0f}"]
    header = ["images", "one network's features, MB", "peak, MB", "peak over one network", "seconds"]
    figures = {"features": block, "before": before, "peak": peak.n_bytes, "seconds": seconds}
    report("Memory of four networks, pooled and stages", header, [row], figures, file)


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--stages", action="store_true", help="four networks that are read at several places")
    parser.add_argument("--images", type=int, default=_AT_FULL_SIZE, help="with --stages")
    options = parser.parse_args()
    if options.stages:
        measure_networks(10_000 if options.quick else options.images, options.json)
        return
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
