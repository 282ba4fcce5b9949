"""How much memory images may take while they are decoded, over all threads together."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHARE = 4  # the networks, the features and the system need the rest
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class DecodingBudget:
    """Lets threads decode side by side as long as their images fit together, and a larger one by itself.

    Parameters
    ----------
    total
        Bytes for all images together; by default a quarter of `memory_limit`.
    """

    def __init__(self, total: int | None = None) -> None:
        self._limit = memory_limit() if total is None else total * _SHARE
        self._total = self._limit // _SHARE
        self._used = 0
        self._freed = threading.Condition()

    @contextmanager
    def room_for(self, n_bytes: int) -> Iterator[None]:
        """Wait until so many bytes fit, or nothing else is decoded, and hold them for the ``with``.

        Raises
        ------
        MemoryError
            If they are more than this machine has; the message names both.
        """
        if n_bytes > self._limit:
            message = f"decoding it takes {n_bytes / 1e6:,.0f} MB, and this process may use {self._limit / 1e6:,.0f} MB"
            raise MemoryError(message)
        with self._freed:
            self._freed.wait_for(lambda: not self._used or self._used + n_bytes <= self._total)
            self._used += n_bytes
        try:
            yield
        finally:
            with self._freed:
                self._used -= n_bytes
                self._freed.notify_all()


def memory_limit() -> int:
    """Return the bytes of memory that this process may use: the machine's, its container's or its own limit."""
    limits = [_physical(), _address_space()]
    for file in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such controller, or "max"
            limits.append(int(Path(file).read_text()))
    return min(limits)


def _physical() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 8 << 30


def _address_space() -> int:
    try:
        import resource
    except ImportError:  # Windows
        return 1 << 62
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return soft if soft != resource.RLIM_INFINITY else 1 << 62
