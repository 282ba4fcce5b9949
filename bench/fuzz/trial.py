"""One fault in one file, read as users have it read, in a process of its own that is stopped where it does not end.

A trial comes to one of

refused         an error in a sentence, of the kind that a command prints before it exits with 1 or 2; or, where the
                file only saves work (scores, checkpoints, kept graphs), it is passed over and made anew
harmless        what is read is what the sound file gives
believed        what is read is another thing, and nothing could tell: the file has no seal by its kind (a table, a
                result), or its seal was renewed after the change, as only an author can. It still is of the form that
                the kind promises: types, shapes, finite numbers
silent          what is read is another thing, though the seal was not renewed, or is not of the kind's form
traceback       any other exception, or a process that was killed by a signal
hang            no end within `LIMIT_S`
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

LIMIT_S = 20
OUTCOMES = ("refused", "harmless", "believed", "silent", "traceback", "hang")


class MadeAnew(Exception):
    """What a reader does without a file that only saves work."""


class OutOfForm(Exception):
    """What was read is not of the form that its kind promises."""


class Kind(Protocol):
    """A kind of file that Stackbone reads."""

    def make(self, folder: Path) -> None:
        """Write a sound one, and what it is read with, into a folder."""

    def spoil(self, folder: Path, rng: np.random.Generator) -> bool:
        """Change it; return whether nothing can tell it from an honest one any more."""

    def read(self, folder: Path) -> object:
        """Return what a user gets of it, comparable; raise `MadeAnew` or `OutOfForm` where that is so."""


@dataclass
class Faults:
    """Counts of one kind of file.

    Attributes
    ----------
    kind
        Its name.
    tried
        Trials.
    counts
        By outcome; see above.
    examples
        Of what must not be: outcome, number of the trial, and the end of what it said.
    """

    kind: str
    tried: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    examples: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, number: int, outcome: str, said: str) -> None:
        """Count one trial."""
        self.tried += 1
        self.counts[outcome] += 1
        if outcome in OUTCOMES[3:]:
            self.examples.append((outcome, number, said))

    @property
    def is_good(self) -> bool:
        """Whether nothing was silent, a traceback or a hang."""
        return not any(self.counts[outcome] for outcome in OUTCOMES[3:])


def outcome_of(kind: Kind, folder: Path, expected: Any, rng: np.random.Generator) -> tuple[str, str]:  # noqa: ANN401
    """Spoil the sound file in a folder and read it; return the outcome and what was said."""
    from stackbone.cache import StackboneError

    is_renewed = kind.spoil(folder, rng)
    try:
        found = kind.read(folder)
    except (StackboneError, MadeAnew) as exc:
        return "refused", str(exc)
    except OutOfForm as exc:
        return "silent", str(exc)
    except BaseException:
        return "traceback", traceback.format_exc(limit=-4)
    if found == expected:
        return "harmless", ""
    return ("believed", "") if is_renewed else ("silent", f"{str(found)[:500]} in place of {str(expected)[:500]}")


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
