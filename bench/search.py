"""How fast and how true the nearest of many images are found: made rows in float16, on disk, mapped into memory.

Rows lie around made centres, each of length 256 (so that no value that counts is below float16's normal numbers), as a
file of ``--images`` times ``--dim`` values in ``--folder``: 2.6 GB for the million by 1,280 of the full run, removed
afterwards. A batch of queries is answered by comparing with every row (`stackbone.stack.exploring.nearest`), by NumPy's
own widening and product block after block, and, where faiss is installed, by its exact flat index and by the index that
`search` keeps above a million images. Recall is the share of the nearest by unrounded float32 rows that is among those
found. A tenth of the rows goes through a cache's shards too, which is what the command reads.
``python bench/search.py [--images N] [--dim N] [--queries N] [--k N] [--repeats N] [--folder DIR] [--quick]``; leave
OMP_NUM_THREADS unset.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import arguments, report
from stackbone.cache import DatasetIndex, FeatureStore, FileStamps
from stackbone.stack.exploring.approximate import Approximate, is_installed, make_index, trained_rows
from stackbone.stack.exploring.explored import explore
from stackbone.stack.exploring.nearest import Nearest, nearest
from stackbone.stack.exploring.rankers import Exact

Floats = NDArray[np.float32]

LENGTH = 256
BLOCK = 20_000
CENTRES = 1000
SPREAD = (
    0.8  # of rows around their centre, in lengths of a centre: cosines of .6 within, as of photographs of one class
)
CACHED = 10  # one row in so many goes through a cache

Search = Callable[[], Nearest]


def unit(x: Floats) -> Floats:
    """Return rows divided by their lengths."""
    found: Floats = x / np.linalg.norm(x, axis=1, keepdims=True)
    return found


def made_blocks(n: int, dim: int) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Yield places of rows and the rows, of length 1: the same at every call."""
    centres = unit(np.random.default_rng(0).standard_normal((CENTRES, dim), np.float32))
    for start in range(0, n, BLOCK):
        rng = np.random.default_rng([1, start])
        m = min(BLOCK, n - start)
        noise = rng.standard_normal((m, dim), np.float32) * np.float32(SPREAD / dim**0.5)
        yield np.arange(start, start + m), unit(centres[rng.integers(0, CENTRES, m)] + noise)


def made_queries(n: int, dim: int) -> Floats:
    """Return rows that lie as the others do, and are none of them."""
    _, rows = next(made_blocks(BLOCK, dim))
    rng = np.random.default_rng(2)
    return unit(rows[:n] + rng.standard_normal((n, dim), np.float32) * np.float32(SPREAD / dim**0.5))


def write_rows(file: Path, n: int, dim: int) -> None:
    """Write the rows as float16 of one length."""
    rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(n, dim))
    for places, x in made_blocks(n, dim):
        rows[places[0] : places[-1] + 1] = x * LENGTH
    rows.flush()


def true_nearest(queries: Floats, n: int, k: int) -> NDArray[np.int64]:
    """Return the nearest by unrounded rows, by a plain sort of the best of each block."""
    cosines, places = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
    for rows, x in made_blocks(n, queries.shape[1]):
        found = queries @ x.T
        cosines = np.hstack([cosines, found])
        places = np.hstack([places, np.broadcast_to(rows, found.shape)])
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        cosines, places = np.take_along_axis(cosines, best, axis=1), np.take_along_axis(places, best, axis=1)
    return places


def numpy_nearest(queries: Floats, rows: NDArray[np.float16], k: int) -> Nearest:
    """Return the nearest by NumPy's own widening of float16, and a partition of all cosines."""
    found = np.hstack([queries @ rows[at : at + BLOCK].astype(np.float32).T for at in range(0, len(rows), BLOCK)])
    found /= LENGTH
    best = np.argpartition(-found, k - 1, axis=1)[:, :k]
    return Nearest(best, np.take_along_axis(found, best, axis=1))


def faiss_ways(queries: Floats, n: int, k: int) -> dict[str, tuple[Search, float]]:
    """Return ways to search by faiss, and how long each took to build, in seconds."""
    import faiss

    started = time.perf_counter()
    flat = faiss.index_factory(queries.shape[1], "SQfp16", faiss.METRIC_INNER_PRODUCT)
    for number, (_, x) in enumerate(made_blocks(n, queries.shape[1])):
        if not number:
            flat.train(x)
        flat.add(x)
    flat_s = time.perf_counter() - started
    chosen = trained_rows(n, 0)
    started = time.perf_counter()
    sample = [x[np.isin(places, chosen)] for places, x in made_blocks(n, queries.shape[1])]
    kept = Approximate(make_index(np.concatenate(sample), made_blocks(n, queries.shape[1]), 0))
    none = np.full(len(queries), -1)

    def exact() -> Nearest:
        cosines, places = flat.search(queries, k)
        return Nearest(places, cosines)

    return {
        "faiss, every row (SQfp16)": (exact, flat_s),
        "index that `search` keeps (faiss)": (lambda: kept.nearest(queries, k, none), time.perf_counter() - started),
    }


def cached_way(folder: Path, queries: Floats, n: int, k: int) -> Search:
    """Return a search through the shards of a cache."""
    store = FeatureStore(folder / "features")
    names = [hashlib.sha256(b"%d" % row).digest() for row in range(n)]
    digests = np.frombuffer(b"".join(names), np.uint8).reshape(n, 32)
    for places, x in made_blocks(n, queries.shape[1]):
        store.add_features("made", digests[places], x, {"made": "by bench/search.py"})
    blank, stamps = [""] * n, FileStamps(np.full((n, 4), -1, np.int64))
    paths = [f"{row}.jpg" for row in range(n)]
    store.write_dataset(
        DatasetIndex("made", "/made", paths, blank, blank, blank, digests, np.zeros(n, np.uint8), blank, stamps)
    )
    explored = explore(store, "made", None)
    return lambda: Exact(explored, "made").nearest(queries, k, np.full(len(queries), -1))


def timed(search: Search, repeats: int) -> tuple[Nearest, float, list[float]]:
    """Return what a search finds, how long it took at first, and then each time, in seconds."""
    seconds = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        found = search()
        seconds.append(time.perf_counter() - started)
    return found, seconds[0], seconds[1:]


def recall(found: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    """Return the share of the true nearest that was found."""
    return float(np.mean([np.isin(want, got).mean() for got, want in zip(found, true, strict=True)]))


def measure(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return a row of figures for each way to search."""
    n, dim, k = options.images, options.dim, options.k
    queries = made_queries(options.queries, dim)
    file = folder / "rows.npy"
    write_rows(file, n, dim)
    rows = np.load(file, mmap_mode="r")
    true = true_nearest(queries, n, k)
    ways: dict[str, tuple[Search, float | None]] = {
        "every row, mapped float16": (lambda: nearest(queries, rows, k, length=LENGTH), None),
        "the same on one core": (lambda: nearest(queries, rows, k, length=LENGTH, workers=1), None),
        "NumPy, mapped float16": (lambda: numpy_nearest(queries, rows, k), None),
    }
    if is_installed():
        ways |= faiss_ways(queries, n, k)
    figures = [_figures(name, n, each, true, options.repeats) for name, each in ways.items()]
    file.unlink()
    fewer = max(1, n // CACHED)
    through = cached_way(folder, queries, fewer, k)
    truth = true_nearest(queries, fewer, k)
    return [*figures, _figures("shards of a cache, float32", fewer, (through, None), truth, options.repeats)]


def _figures(
    name: str, n: int, way: tuple[Search, float | None], true: NDArray[np.int64], repeats: int
) -> dict[str, Any]:
    found, first, seconds = timed(way[0], repeats)
    return {
        "way": name,
        "images": n,
        "recall": recall(found.rows, true),
        "build_s": way[1],
        "first_s": first,
        "seconds": seconds,
        "median_s": statistics.median(seconds),
    }


def main() -> None:
    """Make rows, search them in every way, print a table."""
    parser = arguments(__doc__ or "", images=1_000_000, dim=1280, queries=32, k=12, repeats=5)
    for name, what in (("images", "rows"), ("dim", "columns"), ("queries", "of a batch"), ("k", "nearest")):
        parser.add_argument(f"--{name}", type=int, help=what)
    parser.add_argument("--repeats", type=int, help="searches, after a first one")
    parser.add_argument("--folder", type=Path, help="where the rows are written; else a temporary folder")
    options = parser.parse_args()
    if options.quick:
        options.images, options.repeats = min(options.images, 20_000), min(options.repeats, 3)
    wanted = int(options.images * options.dim * (2 + 4.2 / CACHED) * 1.05)
    parent = options.folder or Path(tempfile.gettempdir())
    if shutil.disk_usage(parent).free < wanted:
        parser.error(f"the rows take {wanted / 1e9:.1f} GB, and {parent} has less: name another with --folder")
    with tempfile.TemporaryDirectory(dir=parent, prefix="search-") as folder:
        figures = measure(options, Path(folder))
    base = figures[0]["median_s"]
    rows = [
        [
            each["way"],
            f"{each['images']:,}",
            f"{each['recall']:.4f}",
            "-" if each["build_s"] is None else f"{each['build_s']:.1f}",
            f"{each['first_s']:.3f}",
            f"{each['median_s']:.3f}",
            f"{each['median_s'] / each['images'] / (base / figures[0]['images']):.2f}",
        ]
        for each in figures
    ]
    title = f"The {options.k} nearest of {options.queries} queries, {options.dim:,} columns; seconds a batch"
    header = ["way", "images", "recall", "to build", "first", "median", "ratio for an image"]
    report(title, header, rows, figures, options.json)


if __name__ == "__main__":
    main()
