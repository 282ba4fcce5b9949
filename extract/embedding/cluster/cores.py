"""The cores of a worker: a share of its machine's that no other worker of the run has."""

from __future__ import annotations

import os
from contextlib import suppress


def share_of_cores(cores: list[int], n: int, slot: int) -> list[int]:
    """Return n of a machine's cores for the worker with this number there; from the first again where they run out."""
    return sorted({cores[(slot * n + number) % len(cores)] for number in range(min(n, len(cores)))})


def bind_to_cores(n: int, slot: int) -> None:
    """Let all threads of this process run on a share of the machine's cores, and those that they start."""
    if not hasattr(os, "sched_setaffinity"):
        return
    share, bound = share_of_cores(sorted(os.sched_getaffinity(0)), n, slot), set[int]()
    while waiting := _threads() - bound:  # those that an unbound one started meanwhile too
        for thread in waiting:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, share)
        bound |= waiting


def _threads() -> set[int]:
    try:
        return {int(name) for name in os.listdir("/proc/self/task")}
    except FileNotFoundError:  # a system without it
        return {0}
