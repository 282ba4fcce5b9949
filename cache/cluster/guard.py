"""A Ray cluster of this machine alone, for one run: it ends when the process that asked for it does, however that ends.

Run as a script: it is told by its standard input, which closes when that process is gone, even by ``kill -9``. Ray's
own processes are children of this one, so that none of them can outlive it.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of Linux
_MOST_SECONDS = 5.0


def main(options: dict[str, Any]) -> None:
    """Start Ray, tell its address on standard output as JSON, and end it when standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's Ctrl-C the run itself is told
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Ray prints what nobody reads
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    try:
        import ray

        ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **options)
        answer = {"address": ray.get_runtime_context().gcs_address}
    except Exception as exc:  # whatever it is, who asked tells it
        answer = {"error": f"{type(exc).__name__}: {exc}"}
    try:
        told.write(json.dumps(answer) + "\n")
        told.flush()
        sys.stdin.buffer.read()
    finally:
        with suppress(Exception):
            ray.shutdown()
        _end_children()


def _end_children() -> None:
    """Kill what Ray left, where the system tells whose children processes are."""
    until = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < until:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        children = _children()
        if not children:
            return
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _children() -> list[int]:
    me, found = os.getpid(), []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            words = status.read_text(errors="replace").rpartition(")")[2].split()
            if int(words[1]) == me:
                found.append(int(status.parent.name))
    return found


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
