"""How many labels of the target a method may see."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.cache import UsageError
from stackbone.cache.text import typed

SETTINGS = ("none", "few:K", "all")

MOST_SHOTS = 10_000


@dataclass(frozen=True)
class Setting:
    """Target labels that are shown.

    Attributes
    ----------
    shots : int, optional
        Labelled target images of each class; 0 for none, None for all that are trained on.
    """

    shots: int | None

    @property
    def name(self) -> str:
        """As it is typed: ``none``, ``few:10`` or ``all``."""
        return "all" if self.shots is None else f"few:{self.shots}" if self.shots else "none"

    @property
    def in_words(self) -> str:
        """What is shown, for a title."""
        if self.shots is None:
            return "all labels of the target's training parts"
        if not self.shots:
            return "no target labels"
        return f"{self.shots:,} labelled target image{'' if self.shots == 1 else 's'} of each class"


def parse_settings(text: str) -> list[Setting]:
    """Return the settings that ``--target-labels`` lists, from the fewest labels to the most.

    Raises
    ------
    UsageError
        If it lists anything else, or nothing.
    """
    found = {_parse(word.strip()) for word in text.split(",")}
    return sorted(found, key=lambda each: float("inf") if each.shots is None else each.shots)


def _parse(word: str) -> Setting:
    if word in ("none", "all"):
        return Setting(0 if word == "none" else None)
    kind, _, number = word.partition(":")
    if kind == "few" and number.isdecimal() and len(number) < 9 and 1 <= int(number) <= MOST_SHOTS:
        return Setting(int(number))
    expected = f"expected none, all, or few:K with K labelled images of each class from 1 to {MOST_SHOTS:,}"
    message = f"{typed('--target-labels', word)}: {expected}. Type --target-labels few:10, or several: none,few:10,all"
    raise UsageError(message)
