"""Damaged files of a cache: what is wrong with them, and where they were set aside. Nothing is deleted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from stackbone.cache.errors import CacheError, CorruptFileError
from stackbone.cache.places.place import Place, Seen, is_there, move, seen_at

SET_ASIDE = "set-aside"
_CHANGED = "it was written meanwhile, and was left as it is. Run `stackbone verify` again"


@dataclass(frozen=True)
class Damage:
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


def damage_of(
    root: Place, path: Place, problem: CacheError, *, repair: bool, check: Callable[[], object]
) -> Damage | None:
    """Return what is wrong with a file, set aside if asked; None where it is gone, or a sound one in its place, by now.

    Parameters
    ----------
    check
        Looks at the file once more, and raises where it is not sound: between the look that found the problem and this
        one another machine may have written it.
    """
    if not (repair and isinstance(problem, CorruptFileError)):
        # What the system could not read may be sound: only what was read and found wrong is moved.
        return Damage(path, str(problem))
    try:
        seen = seen_at(path)
        try:
            check()
        except CorruptFileError:
            moved_to = _set_aside(root, path, seen)
            return Damage(path, str(problem), moved_to, "" if moved_to else _CHANGED)
        return None
    except (OSError, CacheError) as exc:
        if not is_there(path):
            return None
        reason = exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
        return Damage(path, str(problem), not_moved=f"{reason}. Move it out of the cache by hand")


def _set_aside(root: Place, path: Place, seen: Seen) -> Place | None:
    """Return where a file was set aside; None if it was written meanwhile."""
    stamp = time.strftime("%Y%m%dT%H%M%S")
    target = root / SET_ASIDE / path.parent.name / f"{path.name}.{stamp}-{uuid.uuid4().hex[:8]}"
    return target if move(path, target, seen) else None
