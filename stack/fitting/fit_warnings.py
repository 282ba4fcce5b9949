"""Warnings of fits, in words and by model: each warning of a solver is shown once, with the models that it concerns.

The filters of warnings belong to the whole process, and threads that set and restore them would undo each other's. So
they are set once, around all fits, and each fit says who it is in a context of its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from stackbone.cache.text import counted

_running: ContextVar[tuple[str, int] | None] = ContextVar("running fit", default=None)
_said: ContextVar[list[str] | None] = ContextVar("what the running fit was warned of", default=None)

_NUMBER = re.compile(r"\d[\d.,]*(e[+-]?\d+)?")


class FitWarnings:
    """What fits were warned of."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, tuple[str, set[int]]]] = {}

    def add(self, message: str) -> None:
        """Note a message for the fit that runs in this thread."""
        model, number = _running.get() or ("", 0)
        said = _said.get()
        if said is not None and message not in said:
            said.append(message)
        # Of messages that differ in their numbers only, the first speaks for all.
        _, numbers = self._found.setdefault(model, {}).setdefault(_NUMBER.sub("#", message), (message, set()))
        numbers.add(number)

    def by_model(self) -> dict[str, list[str]]:
        """Return each model's messages, with the number of its fits (one a fold) that they concern."""
        return {
            model: [f"{message} ({counted(len(numbers), 'fit')})" for message, numbers in self._found[model].values()]
            for model in sorted(self._found)
        }


@contextmanager
def recorded() -> Iterator[FitWarnings]:
    """Record all warnings of every thread meanwhile, and keep them from the terminal."""
    found = FitWarnings()

    def show(message: Warning | str, category: type[Warning], *_: object) -> None:
        text = " ".join(str(message).split())
        found.add(text if issubclass(category, UserWarning) else f"{category.__name__}: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show  # type: ignore[assignment] # called with positions alone
        yield found


@contextmanager
def fitting(model: str, number: int) -> Iterator[None]:
    """Say which fit runs in this thread."""
    tokens = _running.set((model, number)), _said.set([])
    try:
        yield
    finally:
        _running.reset(tokens[0])
        _said.reset(tokens[1])


def messages() -> list[str]:
    """Return what the fit that runs in this thread was warned of so far."""
    return list(_said.get() or [])


def in_words(by_model: dict[str, list[str]]) -> list[str]:
    """Return one sentence for each message, with all models that it concerns."""
    models: dict[str, list[str]] = {}
    for model, texts in by_model.items():
        for text in texts:
            models.setdefault(text, []).append(model)
    return [f"{', '.join(filter(None, named)) or 'a fit'}: {text}" for text, named in models.items()]
