"""Commands in processes of their own, which start with the libraries loaded: all are forks of one that is started once.

A start of Python that imports scikit-learn or torch takes seconds, and another package's part of Stackbone is seen by
a process that has not imported Stackbone yet.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

LIBRARIES = ("h5py", "joblib", "rich.console", "scipy.stats", "sklearn.linear_model", "timm", "torch", "typer")


def run_command(
    *arguments: str | Path, cwd: Path, path: Path | None = None, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run ``stackbone`` with arguments in a new process; return its exit code and what it printed.

    Parameters
    ----------
    path
        Folder of packages, as in ``PYTHONPATH``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(LIBRARIES))
    environment = dict(os.environ)
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), environment.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        streams = [os.path.join(folder, name) for name in ("out", "err")]
        words = [str(each) for each in arguments]
        process = context.Process(target=_run, args=(words, str(cwd), path and str(path), environment, streams))
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout_s)
        said = [Path(each).read_text("utf-8") if os.path.exists(each) else "" for each in streams]
        return subprocess.CompletedProcess(words, process.exitcode, *said)


def _run(words: list[str], cwd: str, path: str | None, environment: Mapping[str, str], streams: list[str]) -> None:
    for number, file in zip((1, 2), streams, strict=True):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if path is not None:
        sys.path.insert(0, path)
    assert "stackbone" not in sys.modules
    sys.argv = ["stackbone", *words]
    from stackbone import cli

    cli.main()
