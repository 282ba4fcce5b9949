"""How far apart the frames of a video are that are taken, as it is typed: ``2s`` or ``10``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.extract.containers.frames import Frames

USUAL = "1s"

_TYPED = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|sec|min|h)?", re.ASCII | re.IGNORECASE)
_SECONDS = {"ms": Fraction(1, 1000), "s": Fraction(1), "sec": Fraction(1), "min": Fraction(60), "h": Fraction(3600)}
_LEAST = Fraction(1, 1000)
_MOST_FRAMES = 20_000_000


@dataclass(frozen=True)
class Step:
    """How far apart frames are.

    Attributes
    ----------
    seconds
        Between one and the next; 0 where they are counted.
    frames
        How many from one to the next; 0 where they are timed.
    """

    seconds: Fraction = Fraction(0)
    frames: int = 0

    def times(self, video: Frames) -> list[Fraction]:
        """Return the times in seconds of those frames of a video, the first at 0; none where it has no frame.

        Of timed ones the video's header tells how many there are, as a rule; to count frames, the file is read.
        """
        lasts = video.duration if self.seconds else None
        if lasts is None:
            times = video.times()
            if self.frames or not times:
                return times[:: self.frames or 1]
            lasts = times[-1] + _LEAST
        n = max(1, -(-lasts // self.seconds))
        return [at * self.seconds for at in range(min(n, _MOST_FRAMES))]


def read_step(text: str) -> Step:
    """Return what was typed; `UsageError` if it is no time and no number, or makes no frame."""
    found = _TYPED.fullmatch(text.strip())
    if found is None:
        raise _refused(text, "neither a time nor a number")
    number, unit = Fraction(found[1]), (found[2] or "").lower()
    if not unit:
        if number < 1 or number.denominator != 1:
            raise _refused(text, "no number of frames that can be counted")
        return Step(frames=int(number))
    seconds = number * _SECONDS[unit]
    if seconds < _LEAST:
        raise _refused(text, "less than a millisecond, the least that frames are told apart by")
    return Step(seconds=seconds)


def _refused(text: str, what: str) -> UsageError:
    return UsageError(
        f"{typed('--every', text)} is {what}. Expected how far apart the frames of a video are that are taken: a time "
        "such as 1s, 500ms or 2min, or a number such as 10 for every tenth frame. Type one of these, or leave it out."
    )
