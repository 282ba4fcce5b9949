"""Damaged files of a cache: what is wrong with them, and where they were set aside. Nothing is deleted."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from stackbone.cache.errors import CacheError, CorruptFileError
from stackbone.cache.places.place import Place, is_there, move

SET_ASIDE = "set-aside"


@dataclass(frozen=True)
class Finding:
    """A file that is not sound.

    Attributes
    ----------
    path
        Where it lay.
    problem
        What is wrong with it.
    moved_to
        Where it was set aside; None if it was left in place.
    not_moved
        Why it could not be set aside, else empty.
    """

    path: Place
    problem: str
    moved_to: Place | None = None
    not_moved: str = ""

    def line(self) -> str:
        """Return one line for people."""
        if self.moved_to:
            return f"DAMAGED: {self.problem} [set aside as {self.moved_to}]"
        return f"DAMAGED: {self.problem}" + (f" [could not be set aside: {self.not_moved}]" if self.not_moved else "")


def finding_of(root: Place, path: Place, problem: CacheError, *, repair: bool) -> Finding | None:
    """Return a finding, its file set aside if asked; None where the file is gone by now."""
    if not (repair and isinstance(problem, CorruptFileError)):
        # What the system could not read may be sound: only what was read and found wrong is moved.
        return Finding(path, str(problem))
    try:
        return Finding(path, str(problem), _set_aside(root, path))
    except (OSError, CacheError) as exc:
        if not is_there(path):
            return None
        reason = exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
        return Finding(path, str(problem), not_moved=f"{reason}. Move it out of the cache by hand")


def _set_aside(root: Place, path: Place) -> Place:
    stamp = time.strftime("%Y%m%dT%H%M%S")
    target = root / SET_ASIDE / path.parent.name / f"{path.name}.{stamp}-{uuid.uuid4().hex[:8]}"
    move(path, target)
    return target
