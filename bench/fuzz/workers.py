"""Processes that try faults, each with limits of time and memory, and replaced where it does not survive one."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np

from fuzz.trial import LIMIT_S, Faults, Kind, outcome_of

MEMORY_BYTES = 3 << 30
"""Address space that a reader gets beyond what its libraries take."""

_STARTING_S = 300.0  # of a worker that imports its libraries beside others, and makes the sound file


def try_faults(numbers: Mapping[str, Sequence[int]], folder: Path, seed: int, n_workers: int) -> list[Faults]:
    """Return what became of trials, by kind of file; the same kind, number and seed make the same fault.

    Parameters
    ----------
    numbers
        Name of each kind, as of `fuzz.kinds.KINDS`, to the numbers of its trials.
    folder
        Where files are made.
    """
    faults = {name: Faults(name) for name in numbers}
    waiting = [(name, number) for name, listed in numbers.items() for number in listed][::-1]
    workers = [_Worker(folder, seed) for _ in range(min(n_workers, len(waiting)))]
    try:
        while waiting or any(worker.job for worker in workers):
            for worker in workers:
                if not worker.job and waiting:
                    worker.begin(waiting.pop())
                if worker.job and (found := worker.result(0.5 / len(workers))):
                    (name, number), outcome, said = found
                    faults[name].add(number, outcome, said)
    finally:
        for worker in workers:
            worker.stop()
    return list(faults.values())


class _Worker:
    """A process that does trials, and is replaced where it was killed or does not answer."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._arguments = (folder, seed)
        self.job: tuple[str, int] | None = None
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, job: tuple[str, int]) -> None:
        """Have a trial done: the name of a kind, and a number."""
        self.job = job
        self._is_ready = False
        self._left_s = _STARTING_S
        self._connection.send(job)

    def result(self, wait_s: float) -> tuple[tuple[str, int], str, str] | None:
        """Return (job, outcome, what was said) once it is known."""
        if wait([self._connection], wait_s):
            try:
                found = self._connection.recv()
            except (EOFError, ConnectionResetError):
                return self._replaced("traceback", "the process was ended: ")
            if found == "ready":
                self._is_ready, self._left_s = True, float(LIMIT_S)
                return None
            return self._done(*found)
        self._left_s -= wait_s
        return self._replaced("hang", f"no end within {LIMIT_S} s: ") if self._left_s <= 0 else None

    def _replaced(self, outcome: str, said: str) -> tuple[tuple[str, int], str, str]:
        self._process.kill()
        self._process.join()
        said += f"exit code {self._process.exitcode}"
        if not self._is_ready:
            message = f"no sound file of the kind {self.job} could be made: {said}; see the error above"
            raise RuntimeError(message)
        self._start()
        return self._done(outcome, said)

    def _done(self, outcome: str, said: str) -> tuple[tuple[str, int], str, str]:
        assert self.job
        job, self.job = self.job, None
        return job, outcome, said

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _work(connection: Connection, folder: Path, seed: int) -> None:
    from fuzz.kinds import KINDS

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    prepared = ""
    while True:
        try:
            name, number = connection.recv()
        except EOFError:
            return
        if name != prepared:
            _limit_memory(resource.RLIM_INFINITY)
            kind, prepared = KINDS[name](), name
            own = Path(tempfile.mkdtemp(dir=folder))
            sound, spoilt = own / "sound", own / "spoilt"
            expected = _prepare(kind, sound, spoilt)
            _limit_memory(MEMORY_BYTES)
        connection.send("ready")
        shutil.rmtree(spoilt)
        shutil.copytree(sound, spoilt)
        connection.send(outcome_of(kind, spoilt, expected, np.random.default_rng([seed, number])))


def _prepare(kind: Kind, sound: Path, spoilt: Path) -> object:
    """Make a sound file, and return what is read of it where the spoilt ones will lie."""
    sound.mkdir()
    kind.make(sound)
    shutil.copytree(sound, spoilt)
    return kind.read(spoilt)


def _limit_memory(more: int) -> None:
    """Limit the address space to what is taken now and `more` bytes."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (more if more == resource.RLIM_INFINITY else used + more, hard))
