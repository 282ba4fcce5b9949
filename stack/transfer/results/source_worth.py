"""What one of several sources is worth: by itself, and beside the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stackbone.cache.text import counted
from stackbone.stack.metrics.compare import RESAMPLED_T, Difference
from stackbone.stack.metrics.model_scores import ModelScore

HELPS, HURTS, UNSURE = "helps", "hurts", "unsure"
_UNTOLD = "cannot be told"

_CHANCE = 0.05
_ALL_NAMED = 4  # sources; of more those that help or hurt are named, the others counted


@dataclass(frozen=True, eq=False)
class SourceWorth:
    """What one source is worth where its images are simply added.

    Attributes
    ----------
    source : str
        Its name.
    n_images : int
        Images of it that take part, those that other sources hold too among them.
    by : str
        The baseline that learns: ``pooled``, or ``source-only`` without target labels.
    alone, without : ModelScore or None
        How good that baseline is with this source as the only one, and with all others; None where it cannot learn.
    alone_gain : Difference or None
        By how much `alone` is better than the target's labels alone; None without target labels.
    gain : Difference or None
        By how much all sources are better than all without this one.
    why_alone, why_without : str
        Why it could not learn of this one, and of all others; empty where it could, or an earlier version did not keep
        it.
    n_compared : int
        How many differences of all sources are judged together: see `judged_together`.
    """

    source: str
    n_images: int
    by: str
    alone: ModelScore | None
    without: ModelScore | None
    alone_gain: Difference | None
    gain: Difference | None
    why_alone: str = ""
    why_without: str = ""
    n_compared: int = 1

    @property
    def verdict(self) -> str:
        """`HELPS`, `HURTS` or `UNSURE`: beside the others, or else by itself."""
        return self._judged[0]

    @property
    def line(self) -> str:
        """The same in words, without a full stop."""
        return self._judged[1]

    @property
    def _judged(self) -> tuple[str, str]:
        name, beside, alone = repr(self.source), self._told(self.gain), self._told(self.alone_gain)
        if not self.n_images:
            return UNSURE, f"{name} has no image of a shared class"
        if self.gain is not None and beside != UNSURE:
            points = f"{abs(100 * self.gain.mean):.1f} points"
            way = f"gains {points}" if beside == HELPS else f"loses {points}; leave it out"
            return beside, f"{name} {beside}: adding it to the others {way}"
        unlearnt = "cannot be judged, since they alone cannot be learnt from"
        if alone != UNSURE:
            rest = (
                f"beside the others it {unlearnt}" if self.gain is None else f"what it does beside the others {_UNTOLD}"
            )
            return alone, f"{name} {alone} by itself; {rest}"
        if self.gain is None:
            return UNSURE, f"beside the others {name} {unlearnt}"
        return UNSURE, f"whether {name} helps {_UNTOLD}{_without_spread(self.gain)}"

    def _told(self, difference: Difference | None) -> str:
        """Return what a difference shows beyond chance, with all that are judged in mind (Bonferroni)."""
        if difference is None or difference.p_value is None or difference.p_value * self.n_compared >= _CHANCE:
            return UNSURE
        return HELPS if difference.mean > 0 else HURTS

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "source": self.source,
            "n_images": self.n_images,
            "by": self.by,
            "alone": None if self.alone is None else self.alone.to_dict(),
            "without": None if self.without is None else self.without.to_dict(),
            "alone_gain": None if self.alone_gain is None else self.alone_gain.to_dict(),
            "gain": None if self.gain is None else self.gain.to_dict(),
            "why": self.why_without or self.why_alone,
            **({"why_alone": self.why_alone} if self.why_without and self.why_alone else {}),
            "verdict": self.verdict,
        }


def judged_together(worths: Sequence[SourceWorth]) -> list[SourceWorth]:
    """Return the sources judged with the number of differences in mind that all of them are judged by.

    Each source has up to two: beside the others, and by itself. A source without an image has none.
    """
    differences = [each for worth in worths if worth.n_images for each in (worth.gain, worth.alone_gain)]
    n_compared = max(1, sum(each is not None for each in differences))
    return [replace(each, n_compared=n_compared) for each in worths]


def in_words(worths: Sequence[SourceWorth]) -> str | None:
    """Return in a sentence what each source does; None where there is one alone."""
    if not worths:
        return None
    named = worths if len(worths) <= _ALL_NAMED else [each for each in worths if each.verdict != UNSURE]
    said, n_others = [each.line for each in named], len(worths) - len(named)
    if n_others:
        which = (
            "any of them helps" if not named else f"the other {n_others:,} help" if n_others > 1 else "the other helps"
        )
        said.append(f"whether {which} {_UNTOLD}")
    return f"Of {counted(len(worths), 'source')}, {'; '.join(said)}."


def _without_spread(gain: Difference) -> str:
    """Return why nothing can be told where there is no interval."""
    if gain.low is not None:
        return ""
    if not gain.mean:
        return ": without it the score is the same"
    points = f"{100 * gain.mean:+.1f} points"
    if gain.method != RESAMPLED_T:
        return f": every image gives the same difference, {points}, so that there is no interval"
    return (
        f": every fold gives the same difference, {points}, so that there is no interval; more --repeats may give one"
    )
