"""`stack` of features far larger than memory allows: time by the clock and of the processor, and the memory it takes.

Writes a cache of made features of ten classes, and runs ``stackbone stack --cv 3 --recipe oof`` on it in a process
of its own, whose memory is looked at ten times a second: what is its own (anonymous), and all that is resident, which
counts the pages of the scratch file that the system can drop at any moment. Bound at 1,000,000 x 2,048: 6 GB of its
own. That takes 17 GB of disk, half of it for the scratch file. Of several rounds the seconds are medians, and the
memory is the largest.
``python bench/stack_large.py [--rows 1000000] [--dim 2048] [--rounds 1] [--dir DIR] [--quick] [--json FILE]``; a quick
run has three rounds.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from machine import arguments, report
from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, FileStamps

ROOT = Path(__file__).resolve().parents[1]
N_CLASSES, ROWS_A_SHARD = 10, 8192
MOST_BYTES = 6e9
_APART = 0.035  # of class means: scores well between chance and 1
_EVERY_S = 0.1
_HALF = (0.5, 0.5, 0.5)
_SPEC = FeatureSpec("made", "random(0)", (224, 224), 0.875, "center", "bicubic", _HALF, _HALF, "avg")


def write_cache(cache: Path, n: int, dim: int) -> None:
    """Write n rows of features whose columns differ in mean and spread, and the index of their images."""
    rng, store = np.random.default_rng(0), FeatureStore(cache)
    digests = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    codes = rng.integers(0, N_CLASSES, n)
    means = _APART * rng.standard_normal((N_CLASSES, dim), dtype=np.float32)
    scale, shift = rng.uniform(0.1, 2, dim).astype(np.float32), rng.uniform(0, 2, dim).astype(np.float32)
    feature_set = store.feature_set("made", _SPEC)
    for start in range(0, n, ROWS_A_SHARD):
        rows = slice(start, start + ROWS_A_SHARD)
        x = rng.standard_normal((len(codes[rows]), dim), dtype=np.float32)
        x += means[codes[rows]]
        x *= scale
        x += shift
        feature_set.append(_SPEC, digests[rows], x, {"engine": "none"})
    nothing = [""] * n
    store.write_dataset(
        DatasetIndex(
            name="made",
            root="/made",
            path=[f"class_{code}/{i:07d}.jpg" for i, code in enumerate(codes.tolist())],
            label=[f"class_{code}" for code in codes.tolist()],
            split=nothing,
            group=nothing,
            image_sha256=digests,
            status=np.zeros(n, np.uint8),
            reason=nothing,
            stamps=FileStamps(np.full((n, 4), -1, np.int64)),
        )
    )


def run(words: list[str], scratch: Path) -> dict[str, Any]:
    """Run a command of Stackbone's; return its seconds, the peaks of its memory in bytes, and what it wrote."""
    started, own, resident = time.monotonic(), 0, 0
    before = _processor_seconds()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "stackbone", *words],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(scratch)},
            stdout=out,
            stderr=err,
        )
        while process.poll() is None:
            memory = _memory(process.pid)
            own, resident = max(own, memory.get("RssAnon", 0)), max(resident, memory.get("VmHWM", 0))
            time.sleep(_EVERY_S)
        for each in (out, err):
            each.seek(0)
        if process.returncode:
            raise RuntimeError(err.read().decode(errors="replace")[-3000:])
        seconds = time.monotonic() - started
        processor = _processor_seconds() - before
        return {
            "seconds": seconds,
            "cpu_s": processor,
            "own": own,
            "resident": resident,
            "said": json.loads(out.read()),
        }


def _processor_seconds() -> float:
    """Return the processor seconds of all programs that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(process: int) -> dict[str, int]:
    """Return what the system says of a process's memory, in bytes."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    fields = (line.split() for line in lines if line.endswith("kB"))
    return {name.rstrip(":"): int(number) << 10 for name, number, _ in fields}


def _afresh(words: list[str], cache: Path, scratch: Path) -> dict[str, Any]:
    """Return what `run` does, once what an earlier round computed is gone."""
    shutil.rmtree(cache / "scores", ignore_errors=True)
    found = run(words, scratch)
    print(f"{found['seconds']:.0f} s", file=sys.stderr, flush=True)
    return found


def _together(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median seconds of some rounds, the largest memory, and the last one's result."""
    seconds = {name: statistics.median(each[name] for each in rounds) for name in ("seconds", "cpu_s")}
    memory = {name: max(each[name] for each in rounds) for name in ("own", "resident")}
    each = [{name: one[name] for name in (*seconds, *memory)} for one in rounds]
    return {**seconds, **memory, "rounds": each, "said": rounds[-1]["said"]}


def main() -> int:
    """Measure, print, and return 1 if a bound is broken."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=1, help="runs of the same command")
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()), help="where all is made")
    options = parser.parse_args()
    n, dim, rounds = (20_000, 256, 3) if options.quick else (options.rows, options.dim, options.rounds)
    with tempfile.TemporaryDirectory(prefix="stackbone-large-", dir=options.dir) as folder:
        cache, scratch = Path(folder, "cache"), Path(folder, "scratch")
        scratch.mkdir()
        started = time.monotonic()
        write_cache(cache, n, dim)
        print(f"made {n:,} x {dim:,} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        words = ["stack", "--cv", "3", "--recipe", "oof", "--cache", str(cache), "--json"]
        found = _together([_afresh(words, cache, scratch) for _ in range(rounds)])
    models = found.pop("said")
    rows = [[f"{n:,} x {dim:,}", f"{4e-9 * n * dim:.2f}", *(f"{found[each]:.0f}" for each in ("seconds", "cpu_s"))]]
    rows[0] += [f"{found[each] / 1e9:.2f}" for each in ("own", "resident")]
    header = [
        "features",
        "GB",
        "seconds",
        "CPU seconds",
        "memory of its own, GB",
        "resident, scratch file included, GB",
    ]
    figures = {"rows": n, "dim": dim, **found, "result": models}
    report("stack --cv 3 of many rows, 10 classes", header, rows, figures, options.json)
    print("\n" + json.dumps({name: models.get(name) for name in ("models", "chosen", "warnings")})[:3000])
    is_broken = found["own"] > MOST_BYTES
    print("FAILED: over 6 GB" if is_broken else "within the bound")
    return int(is_broken)


if __name__ == "__main__":
    sys.exit(main())
