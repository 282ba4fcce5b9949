"""What watches over a Ray cluster of this machine alone: none of its processes outlives the one that asked for it.

Run as a script: it is told by its standard input, which closes when that process is gone, even by ``kill -9``. It
never calls Ray, which may hang: `own_cluster` does, and is its child, as all become that Ray leaves behind.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of Linux
_SHUTDOWN_SECONDS = 8.0  # for a cluster that had started to end by itself
_MOST_SECONDS = 5.0  # to end what is left


def main(options: str) -> None:
    """Start a cluster, pass on what it tells of itself, and end it when standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal's Ctrl-C the run itself is told; children, too
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_ADOPT_ORPHANS, 1, 0, 0, 0)
    command = [sys.executable, str(Path(__file__).with_name("own_cluster.py")), options]
    cluster = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if _has_told(cluster):
            sys.stdin.buffer.read()
            with suppress(subprocess.TimeoutExpired):
                cluster.communicate(timeout=_SHUTDOWN_SECONDS)
    finally:
        _end_children()


def _has_told(cluster: subprocess.Popen[bytes]) -> bool:
    """Pass on the line that a cluster tells when it has started or failed; False if it is not to be waited for."""
    assert cluster.stdout
    ready, _, _ = select.select([sys.stdin, cluster.stdout], [], [])
    if sys.stdin in ready:
        return False
    line = cluster.stdout.readline()
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
    return bool(line)


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
    main(sys.argv[1])
