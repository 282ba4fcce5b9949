"""How long work tells of its progress: the types of the callbacks that it takes."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (what is going on, done, in all)."""

Steps = Callable[[int, int], None]
"""Called with (done, in all), where it is clear what is going on."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Take a report of progress and do nothing with it."""
