"""What several methods need of the same domains, computed once, also where they run side by side."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

_T = TypeVar("_T")


class Memo:
    """Values by name, each made by the first who asks for it while others who do so wait.

    Parameters
    ----------
    users : int
        How many will `leave`; when the last has left, what was computed is let go. 0 keeps it for as long as the memo.
    """

    def __init__(self, users: int = 0) -> None:
        self._lock = Lock()
        self._locks: dict[str, Lock] = {}
        self._found: dict[str, Any] = {}
        self._users = users

    def __reduce__(self) -> tuple[type[Memo], tuple[()]]:
        """Go to another process empty: its values are made there again."""
        return Memo, ()

    def get(self, name: str, make: Callable[[], _T]) -> _T:
        """Return the value of that name, made by `make` where there is none yet.

        Parameters
        ----------
        name : str
            Of the value.
        make : callable
            May ask for other values; two that need each other would wait for ever.
        """
        with self._lock:
            own = self._locks.setdefault(name, Lock())
        with own:
            if name not in self._found:
                self._found[name] = make()
            found: _T = self._found[name]
            return found

    def leave(self) -> None:
        """Say that one of the users asks for nothing more."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._found.clear()
