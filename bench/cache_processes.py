"""What a cache is filled with where faults are tried, and the processes that fill and merge it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, Digests, FeatureSet, FeatureSpec, FeatureStore

HERE = Path(__file__).resolve().parent

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
DIM = 256
ROWS_A_COMMIT = 25
N_ROWS = 1_000
Features = NDArray[np.float32]


def digests_of(numbers: Sequence[int] | range) -> Digests:
    """Return the (n, 32) uint8 digests of synthetic images."""
    return np.stack([np.frombuffer(hashlib.sha256(b"image %d" % i).digest(), np.uint8) for i in numbers])


def features_of(digests: Digests) -> Features:
    """Return the (n, `DIM`) float32 row that each digest must have."""
    return np.tile(digests, DIM // 32).astype(np.float32) / np.float32(255)


def open_set(cache: str | Path) -> FeatureSet:
    """Return the one feature set of a cache."""
    return FeatureStore(cache).feature_set("synthetic", SPEC)


def extract(cache: str, first: int = 0, last: int = N_ROWS, seed: int = 0) -> None:
    """Do what `stackbone extract` does to a cache: clean up, ask what is missing, commit it piece by piece.

    Runs in a process of its own, and prints the number of each row once its commit has returned.
    """
    store, feature_set = FeatureStore(cache), open_set(cache)
    store.remove_abandoned()
    numbers = np.random.default_rng(seed).permutation(np.arange(first, last))
    digests = digests_of(numbers.tolist())
    print("ready", flush=True)
    missing = np.flatnonzero(feature_set.missing(digests))
    try:
        for start in range(0, len(missing), ROWS_A_COMMIT):
            rows = missing[start : start + ROWS_A_COMMIT]
            feature_set.append(SPEC, digests[rows], features_of(digests[rows]), {"seed": str(seed)})
            print(*numbers[rows].tolist(), flush=True)
    except CacheError as exc:
        print(exc, file=sys.stderr)
        sys.exit(3)


def merge(cache: str) -> None:
    """Compact a cache, in a process of its own; several shards come out."""
    from stackbone.cache.upkeep import compact as module

    module.TARGET_BYTES = 300 * DIM * 4
    print("ready", flush=True)
    module.compact(open_set(cache))


def start(call: str, *, prelude: str = "") -> subprocess.Popen[str]:
    """Start a function of this module in a process of its own, and wait until it is ready."""
    script = f"import sys\nsys.path.insert(0, {str(HERE)!r})\n{prelude}\n"
    script += f"import cache_processes as processes\nprocesses.{call}"
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    if process.stdout.readline() != "ready\n":
        message = f"{call} did not start: {process.communicate()[1]}"
        raise RuntimeError(message)
    return process


def finish(process: subprocess.Popen[str], allowed: Sequence[int] = (0,)) -> list[int]:
    """Return the numbers of the rows whose commits returned."""
    output, error = process.communicate()
    if process.returncode not in allowed:
        message = f"a process ended with {process.returncode}, not one of {allowed}: {error}"
        raise RuntimeError(message)
    whole_lines = output[: output.rfind("\n") + 1]
    return [int(number) for number in whole_lines.split()]
