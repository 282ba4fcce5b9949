"""Several numbers of one image, as the text that an index holds: each with its name, in one order, bars between."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from stackbone.cache.labels.sets import BAR

NUMBERS = "numbers"
"""The form of labels that are several numbers."""

EQUALS = "="


def join_numbers(names: Sequence[str], cells: Sequence[str]) -> str:
    """Return the text of the numbers of an image: ``length=12.5|weight=3``.

    Parameters
    ----------
    names
        What each number is called: see `name_problem`.
    cells
        The numbers, as their table writes them.
    """
    return BAR.join(f"{name}{EQUALS}{cell}" for name, cell in zip(names, cells, strict=True))


def split_numbers(text: str) -> dict[str, str]:
    """Return what a text says of each number, by name; nothing of the empty text of an unlabelled image."""
    pairs = (each.partition(EQUALS) for each in text.split(BAR) if each)
    return {name: cell for name, _, cell in pairs}


def name_problem(name: str) -> str | None:
    """Return what a number's name holds that the text of numbers has between its parts; None if nothing."""
    return next((mark for mark in (BAR, EQUALS) if mark in name), None)


def as_number(text: str) -> float | None:
    """Return the finite number that a text spells, with a decimal point and without a unit; None if it spells none."""
    try:
        # Python reads "1_2" as twelve; in a label it is a name.
        number = math.nan if "_" in text else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def ranges(texts: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Return the least and the greatest of each number, by its name."""
    found: dict[str, tuple[float, float]] = {}
    for text in texts:
        for name, cell in split_numbers(text).items():
            if (number := as_number(cell)) is not None:
                low, high = found.get(name, (number, number))
                found[name] = min(low, number), max(high, number)
    return found
