"""What one of several sources is worth: by itself, and beside the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackbone.cache.text import counted
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.model_scores import ModelScore

HELPS, HURTS, UNSURE = "helps", "hurts", "unsure"

_CHANCE = 0.05


@dataclass(frozen=True, eq=False)
class SourceWorth:
    """What one source is worth where its images are simply added.

    Attributes
    ----------
    source : str
        Its name.
    n_images : int
        Images of it that take part, those that other sources hold too among them.
    n_sources : int
        How many sources there are, which are all judged.
    by : str
        The baseline that learns: ``pooled``, or ``source-only`` without target labels.
    alone, without : ModelScore or None
        How good that baseline is with this source as the only one, and with all others; None where it cannot learn.
    alone_gain : Difference or None
        By how much `alone` is better than the target's labels alone; None without target labels.
    gain : Difference or None
        By how much all sources are better than all without this one.
    why : str
        Why it could not learn of one of them; empty where it could.
    """

    source: str
    n_images: int
    n_sources: int
    by: str
    alone: ModelScore | None
    without: ModelScore | None
    alone_gain: Difference | None
    gain: Difference | None
    why: str = ""

    @property
    def verdict(self) -> str:
        """`HELPS`, `HURTS` or `UNSURE`: beside the others, or else by itself."""
        return next((said for said in map(self._told, (self.gain, self.alone_gain)) if said != UNSURE), UNSURE)

    @property
    def line(self) -> str:
        """The same in words, without a full stop."""
        if self.gain is None:
            return f"{self.source!r} could not be judged: {self.why}"
        points = f"{abs(100 * self.gain.mean):.1f} points"
        way = "adds" if self.gain.mean > 0 else "costs"
        beside = f"it {way} {points} to what the others teach" if self.gain.mean else "it changes nothing"
        if self._told(self.gain) == HELPS:
            return f"{self.source!r} helps: {beside}"
        if self._told(self.gain) == HURTS:
            return f"{self.source!r} hurts: {beside}; leave it out"
        if self._told(self.alone_gain) == HELPS:
            return f"{self.source!r} helps by itself; beside the others that cannot be told"
        if self._told(self.alone_gain) == HURTS:
            return f"{self.source!r} hurts by itself; beside the others that cannot be told"
        return f"of {self.source!r} it cannot be told"

    def _told(self, difference: Difference | None) -> str:
        """Return what a difference shows beyond chance, with the number of sources in mind (Bonferroni)."""
        if difference is None or difference.p_value is None or difference.p_value * self.n_sources >= _CHANCE:
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
            "why": self.why,
            "verdict": self.verdict,
        }


def in_words(worths: list[SourceWorth]) -> str | None:
    """Return in a sentence what each source does; None where there is one alone."""
    if not worths:
        return None
    return f"Of {counted(len(worths), 'source')}, {'; '.join(each.line for each in worths)}."
