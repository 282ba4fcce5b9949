"""How long work reports its progress: types of the callbacks, and the pace that can be told from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

Progress = Callable[[str, int, int], None]
"""Called with (what is going on, done, in all)."""

Steps = Callable[[int, int], None]
"""Called with (done, in all), where it is clear what is going on."""

_LEAST_SECONDS = 3.0  # of watching, and
_LEAST_STEPS = 3  # of work, before a pace means anything
_MEMORY_SECONDS = 20.0  # how long the past counts: work comes in bursts, a batch of images at a time


def silent(_what: str, _done: int, _total: int) -> None:
    """Ignore a report of progress."""


@dataclass
class Pace:
    """How fast some work goes, from what it reported; unknown until that means something.

    The first report starts the clock, so that the time to get ready does not count. What was done since is taken by
    the second and smoothed: between two batches of images nothing seems to happen, and then a whole batch at once.

    Attributes
    ----------
    per_second
        Steps in a second; None while it cannot be told.
    """

    per_second: float | None = None
    _started: tuple[float, int] | None = None
    _last: tuple[float, int] = (0.0, 0)
    _total: int = 0
    _is_over: bool = False

    def report(self, seconds: float, done: int, total: int) -> None:
        """Take note of how much is done at some time of a clock, in seconds."""
        self._total, self._is_over = total, done >= total
        if done < self._last[1]:  # work of the same name begins anew, such as the next fold's
            self.per_second, self._started = None, None
        if self._started is None:
            self._started = self._last = (seconds, done)
            return
        elapsed, steps = seconds - self._started[0], done - self._started[1]
        passed = seconds - self._last[0]
        if elapsed < _LEAST_SECONDS or steps < _LEAST_STEPS or (passed < 1.0 and self.per_second is not None):
            return
        if self.per_second is None:
            self.per_second = steps / elapsed
        else:
            share = 1.0 - math.exp(-passed / _MEMORY_SECONDS)
            self.per_second += share * ((done - self._last[1]) / passed - self.per_second)
        self._last = (seconds, done)

    def rate(self) -> str:
        """Return the speed in words, ``12.3/s`` or, of slow work, ``4.5 s each``; ``""`` while it is not known."""
        if not self.per_second:
            return ""
        return f"{self.per_second:,.1f}/s" if self.per_second >= 1 else f"{1 / self.per_second:,.1f} s each"

    def left(self) -> str:
        """Return the time left in words, ``0:01:30 left``; ``""`` while it is not known, and once all is done."""
        n_left = self._total - self._last[1]
        if not self.per_second or self._is_over:
            return ""
        return f"{timedelta(seconds=round(n_left / self.per_second))} left"
