"""Caches broken by kills, damaged shards, full disks and writers side by side, and what then becomes of their rows.

Every row follows from its digest, so every row can be checked. Each trial breaks a cache, looks at what a reader gets,
and then does what a user would: run again; ``verify --repair``, then run again.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cache_processes import (
    DIM,
    N_ROWS,
    ROWS_A_COMMIT,
    SPEC,
    digests_of,
    features_of,
    finish,
    open_set,
    start,
)
from stackbone.cache import CorruptFileError, FeatureStore
from stackbone.cache.records.shard import is_intact
from stackbone.cache.upkeep.compact import compact
from stackbone.cache.upkeep.verify import verify


@dataclass
class Outcome:
    """Counts of one kind of fault."""

    fault: str
    tried: int = 0
    survived: int = 0
    detected: int = 0
    silently_wrong: int = 0
    rows_lost: int = 0
    note: str = ""


def check(outcome: Outcome, cache: str | Path, numbers: Sequence[int] | range) -> bool:
    """Return whether every one of these rows is there and right; count those that are not."""
    digests = digests_of(numbers) if len(numbers) else np.zeros((0, 32), np.uint8)
    feature_set = open_set(cache)
    here = ~feature_set.missing(digests)
    wrong = (feature_set.load(digests[here]) != features_of(digests[here])).any(axis=1) if here.any() else here[:0]
    outcome.silently_wrong += int(wrong.sum())
    outcome.rows_lost += int((~here).sum())
    return bool(here.all() and not wrong.any())


def check_present(outcome: Outcome, cache: str | Path) -> None:
    """Count the rows in a cache that are not what they should be; whole files only."""
    feature_set = open_set(cache)
    everything = digests_of(range(N_ROWS))
    here = everything[~feature_set.missing(everything)]
    if len(here):
        outcome.silently_wrong += int((feature_set.load(here) != features_of(here)).any(axis=1).sum())
    outcome.silently_wrong += sum(not is_intact(path) for path in feature_set.shards())


def is_clean(cache: str | Path) -> bool:
    """Return whether nothing but shards lies in the feature set's folder."""
    return all(path.name.startswith("part-") for path in open_set(cache).folder.glob("*"))


def kills_while_writing(folder: Path, rng: np.random.Generator, n: int) -> Outcome:
    """SIGKILL a writer at a random moment; run again."""
    outcome = Outcome("SIGKILL while writing")
    took_s = _time(folder, "extract")
    n_cut = 0
    for trial in range(n):
        cache = folder / f"kill-{trial}"
        writer = start(f"extract({str(cache)!r})")
        time.sleep(rng.uniform(0, 0.8 * took_s))  # the rest is the interpreter's own end
        writer.kill()
        committed = finish(writer, (-signal.SIGKILL, 0))
        n_cut += writer.returncode != 0
        kept = check(outcome, cache, committed)
        check_present(outcome, cache)
        outcome.detected += bool(finish(start(f"extract({str(cache)!r})")))
        outcome.tried += 1
        outcome.survived += check(outcome, cache, range(N_ROWS)) and kept and is_clean(cache)
        shutil.rmtree(cache)
    outcome.note = f"{n_cut} before the end"
    return outcome


def kills_while_compacting(folder: Path, rng: np.random.Generator, n: int) -> Outcome:
    """SIGKILL `compact` at a random moment; compact again."""
    outcome = Outcome("SIGKILL while compacting")
    whole = folder / "whole"
    finish(start(f"extract({str(whole)!r})"))
    took_s = _time(folder, "merge", whole)
    n_cut = 0
    for trial in range(n):
        cache = folder / f"compact-{trial}"
        shutil.copytree(whole, cache)
        process = start(f"merge({str(cache)!r})")
        time.sleep(rng.uniform(0, took_s))
        process.kill()
        finish(process, (-signal.SIGKILL, 0))
        n_cut += process.returncode != 0
        kept = check(outcome, cache, range(N_ROWS))
        check_present(outcome, cache)
        n_abandoned = FeatureStore(cache).remove_abandoned()
        done = compact(open_set(cache))
        outcome.detected += n_abandoned > 0 or done.rows_before > done.rows_after  # a temporary file, or doubles
        outcome.tried += 1
        outcome.survived += check(outcome, cache, range(N_ROWS)) and kept and is_clean(cache)
        shutil.rmtree(cache)
    outcome.note = f"{n_cut} before the end"
    return outcome


def _time(folder: Path, call: str, source: Path | None = None) -> float:
    """Return how long an undisturbed run takes, the quickest of three."""
    cache, took_s = folder / "timed", []
    for _ in range(3):
        if source:
            shutil.copytree(source, cache)
        process = start(f"{call}({str(cache)!r})")
        started = time.monotonic()
        finish(process)
        took_s.append(time.monotonic() - started)
        shutil.rmtree(cache)
    return min(took_s)


def damage(folder: Path, n: int, fault: str, spoil: Callable[[bytearray], bytes]) -> Outcome:
    """Change the bytes of one shard of three; read, verify and repair, refill."""
    outcome = Outcome(fault)
    whole, cache = folder / f"{fault}s", folder / fault
    digests = digests_of(range(3 * ROWS_A_COMMIT))
    for part in np.array_split(digests, 3):
        open_set(whole).append(SPEC, part, features_of(part), {})
    feature_set, n_refused = open_set(cache), 0
    for trial in range(n):
        shutil.copytree(whole, cache)
        path = Path(str(feature_set.shards()[trial % 3]))
        path.write_bytes(spoil(bytearray(path.read_bytes())))
        try:
            outcome.silently_wrong += int((feature_set.load(digests) != features_of(digests)).any(axis=1).sum())
        except CorruptFileError:
            n_refused += 1
        outcome.detected += [each.path for each in verify(FeatureStore(cache), repair=True).findings] == [path]
        lacking = digests[feature_set.missing(digests)]
        feature_set.append(SPEC, lacking, features_of(lacking), {})
        outcome.tried += 1
        outcome.survived += check(outcome, cache, range(len(digests)))
        shutil.rmtree(cache)
    outcome.note = f"{n_refused} refused by readers, all others read right"
    return outcome


def flip(rng: np.random.Generator) -> Callable[[bytearray], bytes]:
    """Return a function that flips one random bit."""

    def spoil(content: bytearray) -> bytes:
        position = int(rng.integers(8 * len(content)))
        content[position // 8] ^= 1 << position % 8
        return bytes(content)

    return spoil


def truncate(rng: np.random.Generator) -> Callable[[bytearray], bytes]:
    """Return a function that cuts at a random length."""
    return lambda content: bytes(content[: int(rng.integers(len(content)))])


def writers_side_by_side(folder: Path, rng: np.random.Generator, n: int) -> Outcome:
    """Let four writers of overlapping images run at once."""
    outcome = Outcome("4 writers at once")
    for trial in range(n):
        cache = folder / f"writers-{trial}"
        seeds = rng.integers(1 << 30, size=4).tolist()
        calls = [f"extract({str(cache)!r}, {200 * i}, {200 * i + 400}, {seed})" for i, seed in enumerate(seeds)]
        for process in [start(call) for call in calls]:
            finish(process)
        present = {row.tobytes() for row in open_set(cache).digests()}
        exact = present == {row.tobytes() for row in digests_of(range(1_000))}
        outcome.tried += 1
        outcome.survived += check(outcome, cache, range(1_000)) and exact and is_clean(cache)
        check_present(outcome, cache)
        shutil.rmtree(cache)
    outcome.note = "no fault, so nothing to detect"
    return outcome


def full_disks(folder: Path, rng: np.random.Generator, n: int, *, mount: bool) -> Outcome:
    """Run out of space at a random size; make room and run again."""
    outcome = Outcome("full disk")
    needed = N_ROWS * (DIM * 4 + 32)
    for trial in range(n):
        with _small_disk(folder / f"disk-{trial}", int(rng.integers(needed)), mount=mount) as disk:
            cache = disk.folder / "features"
            limit = ROWS_A_COMMIT * (DIM * 4 + 32)
            prelude = "" if disk.is_mounted else _limit_file_size(int(rng.integers(limit)))
            writer = start(f"extract({str(cache)!r})", prelude=prelude)
            committed = finish(writer, (3,))
            outcome.detected += writer.returncode == 3
            kept = check(outcome, cache, committed) and is_clean(cache)
            check_present(outcome, cache)
            disk.make_room()
            finish(start(f"extract({str(cache)!r})"))
            outcome.tried += 1
            outcome.survived += check(outcome, cache, range(N_ROWS)) and kept and is_clean(cache)
            outcome.note = "tmpfs of a random size" if disk.is_mounted else "file size limit (RLIMIT_FSIZE)"
    return outcome


def _limit_file_size(size: int) -> str:
    return f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


@dataclass
class _Disk:
    folder: Path
    is_mounted: bool

    def make_room(self) -> None:
        if self.is_mounted:
            subprocess.run(["mount", "-o", "remount,size=64m", str(self.folder)], check=True)


@contextmanager
def _small_disk(folder: Path, size: int, *, mount: bool) -> Iterator[_Disk]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 8192)}", "stackbone-bench", str(folder)]
    is_mounted = mount and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield _Disk(folder, is_mounted)
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)
        shutil.rmtree(folder)


def break_caches(folder: Path, seed: int | tuple[int, int], share: float, *, mount: bool) -> list[Outcome]:
    """Return the outcome of every kind of fault; of each a share of the usual number is tried."""
    rng = np.random.default_rng(seed)

    def times(n: int) -> int:
        return max(2, round(n * share))

    return [
        kills_while_writing(folder, rng, times(100)),
        kills_while_compacting(folder, rng, times(20)),
        damage(folder, times(500), "bit flip", flip(rng)),
        damage(folder, times(100), "truncation", truncate(rng)),
        writers_side_by_side(folder, rng, times(20)),
        full_disks(folder, rng, times(20), mount=mount),
    ]
