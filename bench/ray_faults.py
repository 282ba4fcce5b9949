"""Runs over a real Ray cluster of two node processes, of which a worker, a node or the head is killed, hangs or fails.

Every row follows from its image, and what it must be is computed once without Ray: all rows of every run are compared
byte for byte. A run that ends with an error, or without some images, is run again. The cluster is started once; a node
that was killed is replaced by a new one after its trial. Of a run whose head was killed the next must find what was
committed, and bring the rest.
"""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import ray_stub
from PIL import Image

from cache_faults import Outcome
from stackbone.cache import FeatureStore, StackboneError
from stackbone.cache.cluster.joining import joined
from stackbone.extract.embedding.cluster.placing import ClusterOptions

HERE = Path(__file__).resolve().parent
N_IMAGES = 160
WORKER_TIMEOUT = 10.0  # no worker is ended that is only slow where a machine is busy
_BUSY_SECONDS = 0.8  # in which most runs end, once a worker has begun
_GONE_SECONDS = 30.0  # after which no worker of a trial may be left
_NODES = (sys.executable, "-m", "tests.made.ray_nodes")
_END_SECONDS = 30.0  # for the nodes to end by themselves
_MOST_SECONDS = 120.0  # for a cluster or a node to start, or a head's first worker
_OWN = {  # what workers do to themselves
    "sleep": "worker sleeps for ever",
    "stop": "worker stopped (SIGSTOP)",
    "full": "disk full for one worker",
    "read-only": "cache read-only for one worker",
    "memory": "no memory for one worker",
}
_KINDS = {"worker": "worker killed (SIGKILL)", "node": "node killed", "head": "head of the run killed", **_OWN}
_NEEDS_ROOT = "read-only"


def break_rays(folder: Path, trials: range, seed: int) -> list[Outcome]:
    """Return the outcome of every kind of fault, each tried with these numbers."""
    photos = folder / "photos"
    _write_photos(photos)
    with _cluster() as cluster:
        bench = _Bench(folder, photos, cluster, _rows_without_ray(folder, photos))
        outcomes = []
        for place, (kind, said) in enumerate(_KINDS.items()):
            if kind == _NEEDS_ROOT and not _may_mount():
                print(f"not tried, since it needs root: {said}", file=sys.stderr)
                continue
            outcome, bench.n_again = Outcome(f"Ray: {said}"), 0
            for trial in trials:
                bench.attempt(outcome, kind, np.random.default_rng([seed, place, trial]))
            outcomes.append(outcome)
    return outcomes


def _may_mount() -> bool:
    return sys.platform == "linux" and os.geteuid() == 0


def _write_photos(folder: Path) -> None:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(N_IMAGES):
        pixels = rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")


def _rows_without_ray(folder: Path, photos: Path) -> dict[bytes, bytes]:
    cache = folder / "expected"
    ray_stub.embed(photos, ray_stub.Fault("none", folder, cache), None)
    expected = _rows(cache)
    assert len(expected) == N_IMAGES
    return expected


def _rows(cache: Path) -> dict[bytes, bytes]:
    """Return the rows of a cache, by digest."""
    found = FeatureStore(cache).feature_sets() if cache.is_dir() else []
    rows: dict[bytes, bytes] = {}
    for each in found:
        digests = np.unique(each.digests(), axis=0)
        rows |= {key.tobytes(): row.tobytes() for key, row in zip(digests, each.load(digests), strict=True)}
    return rows


@dataclass
class _Cluster:
    """The nodes, as `tests.made.ray_nodes` has them."""

    process: subprocess.Popen[str]
    address: str

    def ask(self, what: str) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        _answer(self.process)


def _answer(process: subprocess.Popen[str]) -> str:
    """Return the line that the nodes answer with."""
    assert process.stdout
    if not select.select([process.stdout], [], [], _MOST_SECONDS)[0] or not (line := process.stdout.readline()):
        message = f"the nodes of a Ray cluster did not answer within {_MOST_SECONDS:.0f} s"
        raise RuntimeError(message)
    return line.strip()


@contextmanager
def _cluster() -> Iterator[_Cluster]:
    """Start a head and two nodes of a core each, connect this process, and end all of it."""
    path = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": path}
    with subprocess.Popen(
        _NODES,
        cwd=HERE.parent,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stdin
        try:
            with process.stdin:  # which ends the nodes when it closes
                address = _answer(process)
                with joined(address):
                    yield _Cluster(process, address)
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Wait until the nodes have ended, and end those that hang."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


class _Told(logging.Handler):
    """Keeps what a run warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@dataclass
class _Bench:
    folder: Path
    photos: Path
    cluster: _Cluster
    expected: dict[bytes, bytes]
    n_trials: int = 0
    n_again: int = 0  # of this kind, runs that ended with an error or without some images

    def attempt(self, outcome: Outcome, kind: str, rng: np.random.Generator) -> None:
        """Try one fault, and count what came of it."""
        self.n_trials += 1
        folder = self.folder / f"trial-{self.n_trials}"
        folder.mkdir()
        fault = ray_stub.Fault(kind if kind in _OWN else "none", folder, folder / "features", int(rng.integers(8)))
        if kind == "head":
            noticed, is_well = self._kill_head(outcome, fault, rng)
        else:
            killed: list[int] = []  # workers at the time

            def kill_node(workers: list[int]) -> None:
                killed.extend(workers)
                self.cluster.ask("kill")

            strike = {"worker": _kill_worker, "node": kill_node}.get(kind)
            told, is_well = self._embed(outcome, fault, strike, float(rng.uniform(0, _BUSY_SECONDS)))
            noticed = bool(told)
            if killed:
                self.cluster.ask("add")
        outcome.tried += 1
        outcome.detected += noticed
        outcome.survived += is_well and _are_gone(_workers(folder))
        shutil.rmtree(folder)

    def _embed(
        self,
        outcome: Outcome,
        fault: ray_stub.Fault,
        strike: Callable[[list[int]], None] | None = None,
        after_seconds: float = 0.0,
    ) -> tuple[list[str], bool]:
        """Embed everything while something strikes; return what was told, and whether all rows are there and right."""
        told, logger, done = _Told(), logging.getLogger("stackbone"), threading.Event()

        def wait_and_strike() -> None:
            while not (workers := _workers(fault.folder)):
                if done.wait(0.02):
                    return
            if strike and not done.wait(after_seconds):
                strike(workers)

        striking = threading.Thread(target=wait_and_strike)
        logger.addHandler(told)
        striking.start()
        try:
            if not self._ends_well(told, fault):  # as a user would
                self.n_again += 1
                outcome.note = f"{self.n_again} by running again"
                self._ends_well(told, replace(fault, kind="none"))
        finally:
            done.set()
            striking.join()
            logger.removeHandler(told)
        return told.messages, self._are_right(outcome, fault.cache)

    def _ends_well(self, told: _Told, fault: ray_stub.Fault) -> bool:
        options = ClusterOptions(self.cluster.address, worker_timeout=WORKER_TIMEOUT)
        try:
            return not ray_stub.embed(self.photos, fault, options).n_failed_now
        except StackboneError as exc:
            told.messages.append(str(exc))
            return False

    def _are_right(self, outcome: Outcome, cache: Path, *, all_of_them: bool = True) -> bool:
        found = _rows(cache)
        n_wrong = sum(self.expected.get(key) != row for key, row in found.items())
        n_lost = len(self.expected.keys() - found.keys()) if all_of_them else 0
        outcome.silently_wrong += n_wrong
        outcome.rows_lost += n_lost
        return not n_wrong and not n_lost

    def _kill_head(self, outcome: Outcome, fault: ray_stub.Fault, rng: np.random.Generator) -> tuple[bool, bool]:
        """Kill the process that hands out the work; return whether the next run had some left, and found all well."""
        words = [str(self.photos), str(fault.cache), self.cluster.address, str(fault.folder)]
        script = f"import ray_stub; ray_stub.embed_as_head(*{words!r})"
        silent = subprocess.DEVNULL
        head = subprocess.Popen([sys.executable, "-c", script], cwd=HERE, stdout=silent, stderr=silent)
        until = time.monotonic() + _MOST_SECONDS
        while head.poll() is None and not _workers(fault.folder):
            if time.monotonic() > until:
                head.kill()
                message = f"the head of a run had no worker within {_MOST_SECONDS:.0f} s"
                raise RuntimeError(message)
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0, _BUSY_SECONDS)))
        if head.poll():
            message = f"the head of a run ended by itself, with {head.returncode}"
            raise RuntimeError(message)
        head.kill()
        head.wait()
        sound = self._are_right(outcome, fault.cache, all_of_them=False)
        n_before = len(_rows(fault.cache))
        _, is_well = self._embed(outcome, fault)
        return n_before < N_IMAGES, sound and is_well


def _workers(folder: Path) -> list[int]:
    """Return the processes that began to embed in a trial."""
    return [int(each.name.partition("-")[2]) for each in folder.glob("worker-*")]


def _kill_worker(workers: list[int]) -> None:
    with suppress(ProcessLookupError):  # its run has ended
        os.kill(workers[0], signal.SIGKILL)


def _are_gone(workers: list[int]) -> bool:
    until = time.monotonic() + _GONE_SECONDS
    while any(map(_lives, workers)):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _lives(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # which nobody may have asked after
