"""Commands in processes of their own, which start with the libraries loaded: all are forks of one that is started once.

A start of Python that imports scikit-learn or torch takes seconds, and another package's part of Stackbone is seen by
a process that has not imported Stackbone yet.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

LIBRARIES = (
    *("h5py", "joblib", "pandas", "rich.console", "scipy.stats", "sklearn.linear_model", "timm", "torch"),
    "typer",
)


def run_command(
    *arguments: str | Path,
    cwd: Path,
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: str | None = None,
    timeout_s: float = 240,
) -> subprocess.CompletedProcess[str]:
    """Run ``stackbone`` with arguments in a new process; return its exit code and what it printed.

    Parameters
    ----------
    path
        Folder of packages, as in ``PYTHONPATH``.
    environment
        Variables to add to this process's.
    stdout
        File that standard output goes to, such as ``/dev/full``; what is printed there is not returned.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, err = (os.path.join(folder, name) for name in ("out", "err"))
        streams = (stdout or out, err)
        running = start_command(*arguments, cwd=cwd, path=path, environment=environment, streams=streams)
        code = running.wait(timeout_s)
        said = [Path(each).read_text("utf-8") if os.path.exists(each) else "" for each in (out, err)]
        return subprocess.CompletedProcess([str(each) for each in arguments], code, *said)


def run_code(code: str, *, cwd: Path, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    """Run Python code, as ``python -c`` would, in a new process; return its exit code and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        streams = (os.path.join(folder, "out"), os.path.join(folder, "err"))
        exit_code = _start(_Job([], str(cwd), dict(os.environ), streams, code)).wait(timeout_s)
        return subprocess.CompletedProcess([code], exit_code, *(Path(each).read_text("utf-8") for each in streams))


@dataclass(frozen=True)
class Running:
    """A process that runs: what `subprocess.Popen` is to one that is started anew."""

    process: ForkServerProcess

    def send_signal(self, number: int) -> None:
        """Send it a signal, where it still runs."""
        assert self.process.pid is not None
        if self.process.exitcode is None:
            os.kill(self.process.pid, number)

    def wait(self, timeout_s: float) -> int:
        """Return its exit code; of one that a signal ended, the signal's number below zero.

        Raises
        ------
        subprocess.TimeoutExpired
            If it has not ended in time: it is killed.
        """
        self.process.join(timeout_s)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
            raise subprocess.TimeoutExpired(self.process.name, timeout_s)
        return self.process.exitcode


def start_command(
    *arguments: str | Path,
    cwd: Path,
    streams: tuple[str, str],
    path: Path | None = None,
    environment: Mapping[str, str] | None = None,
    before: str = "",
) -> Running:
    """Start ``stackbone`` with arguments; return once its output and error go to the two files, or terminals, named.

    Parameters
    ----------
    path, environment
        As of `run_command`.
    before
        Python code to run before the command.
    """
    changed = dict(os.environ) | dict(environment or {})
    if path is not None:
        changed["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), changed.get("PYTHONPATH")]))
    code = f"{before}\nfrom stackbone import cli\ncli.main()"
    return _start(
        _Job([str(each) for each in arguments], str(cwd), changed, streams, code, None if path is None else str(path))
    )


@dataclass(frozen=True)
class _Job:
    words: list[str]
    cwd: str
    environment: dict[str, str]
    streams: tuple[str, str]
    code: str
    path: str | None = None


def _start(job: _Job) -> Running:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(job, there), name=" ".join(["stackbone", *job.words]))
    process.start()
    there.close()
    with here:
        here.recv()  # a terminal may be closed here once it is open there
    return Running(process)


def _run(job: _Job, ready: Connection) -> None:
    for number, file in zip((1, 2), job.streams, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOCTTY), number)
    with ready:
        ready.send("ready")
    # As a start makes them: those of the process that this is a fork of know of another file, and seek in it.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for as long as the process lives
    sys.stderr = open(2, "w", closefd=False, buffering=1, errors="backslashreplace")  # noqa: SIM115 - so is this
    # Undo what a shell or nohup that started the tests may have told their children to ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ended_by in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended_by, signal.SIG_DFL)
    os.chdir(job.cwd)
    os.environ.clear()
    os.environ.update(job.environment)
    if job.path is not None:
        sys.path.insert(0, job.path)
    assert "stackbone" not in sys.modules
    sys.argv = ["stackbone", *job.words]
    exec(job.code, {"__name__": "__main__"})
