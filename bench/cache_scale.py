"""How the cost of a cache grows with rows and shards: time, and peak memory against the stated bounds.

Rows are synthetic. Each measurement runs in a process of its own, so that its peak memory is its own (above that of the
imports). Bounds: an index of 1,000,000 rows opens in under 2 s, loading takes less than 1.2 times the matrix,
streaming less than 500 MB.

``python bench/cache_scale.py [--quick] [--json FILE] [--dir DIR]``: 1,000,000 x 2,048 takes 17 GB of disk while it
compacts and 10 GB of memory while it loads; ``--quick`` does 50,000 x 256.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import arguments, report
from stackbone.cache import DatasetIndex, Digests, FeatureSet, FeatureSpec, FeatureStore, FileStamps
from stackbone.cache.records.shard import read_rows
from stackbone.cache.upkeep.compact import compact

ROOT = Path(__file__).resolve().parents[1]

SPEC = FeatureSpec(
    architecture="synthetic",
    weights="random(0)",
    input_size=(224, 224),
    crop_fraction=0.875,
    crop_mode="center",
    interpolation="bicubic",
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    pooling="avg",
)
ROWS_A_COMMIT = 2048  # as in the figures of docs/reliability.md; `extract` commits 4 MiB, of 2,048 columns 512 rows
_SHARDS = (1, 10, 100, 500)


def digests_of(n: int) -> Digests:
    """Return the (n, 32) uint8 digests of synthetic images."""
    return np.random.default_rng(0).integers(0, 256, (n, 32), dtype=np.uint8)


def features_of(digests: Digests, dim: int) -> NDArray[np.float32]:
    """Return the (n, dim) float32 rows that the digests must have."""
    return np.tile(digests, (1, dim // 32)).astype(np.float32)


def open_set(cache: str | Path) -> FeatureSet:
    """Return the one feature set of a cache."""
    return FeatureStore(cache).feature_set("synthetic", SPEC)


def write(cache: str, n: int, dim: int, n_shards: int) -> dict[str, float]:
    """Commit n rows in so many shards (0: as `extract` does)."""
    digests, feature_set = digests_of(n), open_set(cache)
    before, started = _peak_bytes(), time.monotonic()
    for part in np.array_split(digests, n_shards or -(-n // ROWS_A_COMMIT)):
        feature_set.append(SPEC, part, features_of(part, dim), {"engine": "none"})
    return _measured(started, before, n, n * dim * 4)


def write_index(cache: str, n: int, dim: int, _n_shards: int) -> dict[str, float]:
    """Commit the index of n files in 200 classes."""
    del dim
    numbers = range(n)
    index = DatasetIndex(
        name="synthetic",
        root="/data/photos",
        path=[f"train/class_{i % 200:03}/photograph_{i:07}.jpg" for i in numbers],
        label=[f"class_{i % 200:03}" for i in numbers],
        split=["train"] * n,
        group=[""] * n,
        image_sha256=digests_of(n),
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.random.default_rng(1).integers(0, 1 << 60, (n, 4))),
    )
    before, started = _peak_bytes(), time.monotonic()
    FeatureStore(cache).write_dataset(index)
    size = (Path(cache) / "datasets" / "synthetic.h5").stat().st_size
    return _measured(started, before, n, size)


def open_index(cache: str, n: int, _dim: int, _n_shards: int) -> dict[str, float]:
    """Read the index."""
    size = (Path(cache) / "datasets" / "synthetic.h5").stat().st_size
    before, started = _peak_bytes(), time.monotonic()
    index = FeatureStore(cache).dataset()
    figures = _measured(started, before, n, size)
    _require(len(index) == n and index.path[-1].endswith(f"{n - 1:07}.jpg"))
    return figures


def missing(cache: str, n: int, dim: int, _n_shards: int) -> dict[str, float]:
    """Ask which of n images lack features, as every `extract` does."""
    digests = digests_of(n)
    before, started = _peak_bytes(), time.monotonic()
    _require(not open_set(cache).missing(digests).any())
    return _measured(started, before, n, n * dim * 4)


def load(cache: str, n: int, dim: int, _n_shards: int) -> dict[str, float]:
    """Load all rows in another order than they were written in."""
    digests = digests_of(n)[np.random.default_rng(2).permutation(n)]
    before, started = _peak_bytes(), time.monotonic()
    matrix = open_set(cache).load(digests)
    figures = _measured(started, before, n, n * dim * 4)
    for start in range(0, n, 4096):
        rows = slice(start, start + 4096)
        _require(bool((matrix[rows] == features_of(digests[rows], dim)).all()))
    return figures


def stream(cache: str, n: int, dim: int, _n_shards: int) -> dict[str, float]:
    """Read shard after shard."""
    before, started, total = _peak_bytes(), time.monotonic(), 0
    for _, (digests, features) in open_set(cache).read_each(read_rows):
        _require(bool((features[:, 0] == digests[:, 0]).all()))
        total += len(features)
    _require(total == n)
    return _measured(started, before, n, n * dim * 4)


def merge(cache: str, n: int, dim: int, _n_shards: int) -> dict[str, float]:
    """Compact the shards to about 64 MiB each."""
    before, started = _peak_bytes(), time.monotonic()
    _require(compact(open_set(cache)).rows_after == n)
    return _measured(started, before, n, n * dim * 4)


def _require(holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        message = "the cache gave other rows than were written"
        raise RuntimeError(message)


def _measured(started: float, before: int, n: int, n_bytes: int) -> dict[str, float]:
    return {
        "seconds": time.monotonic() - started,
        "rows": n,
        "bytes": n_bytes,
        "peak_bytes": _peak_bytes() - before,
    }


def _peak_bytes() -> int:
    """Return the most memory this process ever had; `ru_maxrss` would count its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


def measure(call: str, cache: Path, n: int, dim: int, n_shards: int = 0) -> dict[str, float]:
    """Run one of the functions above in a process of its own."""
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--run",
        call,
        str(cache),
        str(n),
        str(dim),
        str(n_shards),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{call} failed: {done.stderr}"
        raise RuntimeError(message)
    found: dict[str, float] = json.loads(done.stdout)
    return {**found, "shards": len(open_set(cache).shards())}


def sizes(folder: Path, n: int, dim: int) -> dict[str, dict[str, float]]:
    """Measure each step on one cache of n rows."""
    cache = folder / "rows"
    figures = {"write index": measure("write_index", cache, n, dim), "open index": measure("open_index", cache, n, dim)}
    for title, call in (("write", "write"), ("missing", "missing"), ("load", "load"), ("stream", "stream")):
        figures[title] = measure(call, cache, n, dim)
    figures["compact"] = measure("merge", cache, n, dim)
    figures["load compacted"] = measure("load", cache, n, dim)
    shutil.rmtree(cache)
    return figures


def shards(folder: Path, n: int, dim: int) -> dict[int, dict[str, dict[str, float]]]:
    """Measure the same rows in few and in many shards."""
    figures = {}
    for n_shards in _SHARDS:
        cache = folder / f"shards-{n_shards}"
        steps = ("write", "missing", "load", "stream", "merge")
        figures[n_shards] = {step: measure(step, cache, n, dim, n_shards) for step in steps}
        shutil.rmtree(cache)
    return figures


def _size_rows(figures: dict[str, dict[str, float]]) -> list[list[str]]:
    rows = []
    for step, f in figures.items():
        ratio = f"{f['peak_bytes'] / f['bytes']:.2f}" if "load" in step else ""
        rate = [f"{f['rows'] / f['seconds']:,.0f}", f"{f['bytes'] / f['seconds'] / 1e6:,.0f}"]
        peak = f"{f['peak_bytes'] / 1e6:,.0f}"
        rows.append([step, f"{f['seconds']:.2f}", *rate, peak, ratio, f"{f['shards']:.0f}"])
    return rows


def _broken_bounds(figures: dict[str, dict[str, float]]) -> list[str]:
    broken = []
    if figures["open index"]["seconds"] >= 2:
        broken.append(f"opening the index took {figures['open index']['seconds']:.1f} s, not under 2 s")
    for step in ("load", "load compacted"):
        ratio = figures[step]["peak_bytes"] / figures[step]["bytes"]
        # A small matrix is no measure: two shards beside it weigh as much.
        if figures[step]["bytes"] > 1 << 30 and ratio >= 1.2:
            broken.append(f"{step} took {ratio:.2f} times the matrix, not under 1.2")
    if figures["stream"]["peak_bytes"] >= 500e6:
        broken.append(f"streaming took {figures['stream']['peak_bytes'] / 1e6:.0f} MB, not under 500")
    return broken


def main() -> int:
    """Measure, print, and return 1 if a bound is broken."""
    parser = arguments(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where the caches are made")
    parser.add_argument("--rows", type=int, help="instead of 1,000,000 (50,000 with --quick)")
    parser.add_argument("--dim", type=int, help="instead of 2,048 (256 with --quick)")
    parser.add_argument("--run", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        call, cache, *numbers = options.run
        calls: dict[str, Any] = globals()
        print(json.dumps(calls[call](cache, *map(int, numbers))))
        return 0
    n, dim = options.rows or (50_000 if options.quick else 1_000_000), options.dim or (256 if options.quick else 2048)
    with tempfile.TemporaryDirectory(prefix="stackbone-scale-", dir=options.dir) as folder:
        by_size = sizes(Path(folder), n, dim)
        few = min(n, 100_000)
        by_shards = shards(Path(folder), few, 256)
    figures: dict[str, Any] = {"rows": n, "dim": dim, "steps": by_size, "by shards": by_shards}
    header = ["step", "s", "rows/s", "MB/s", "peak MB", "peak / matrix", "shards after"]
    report(f"Steps on {n:,} x {dim:,} float32", header, _size_rows(by_size), figures, None)
    header = ["shards", *(f"{step}, s" for step in by_shards[1]), "peak of load, MB"]
    rows = [
        [str(n_shards), *(f"{f['seconds']:.2f}" for f in each.values()), f"{each['load']['peak_bytes'] / 1e6:.0f}"]
        for n_shards, each in by_shards.items()
    ]
    report(f"The same {few:,} x 256 rows in few and many shards", header, rows, figures, options.json)
    broken = _broken_bounds(by_size)
    print("\n" + ("; ".join(["FAILED", *broken]) if broken else "within the bounds"))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
