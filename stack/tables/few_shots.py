"""Few-shot scores as a table for people: a row per model, a column for each number of images a class."""

from __future__ import annotations

from stackbone.cache.text import counted
from stackbone.stack.experiments.shots import FewShots, ShotScores


def title(few: FewShots, metric: str) -> str:
    """Return what the table shows, in one line."""
    draws = f"mean of {counted(few.tries, 'draw')}" + (", with its 95% interval" if few.tries > 1 else "")
    return f"few labels: {metric} after training on so many images of each class ({draws})"


def header(few: FewShots) -> list[str]:
    """Return the table's column titles."""
    return ["model", *(f"{n:,}" for n in few.shots)]


def rows(few: FewShots) -> list[list[str]]:
    """Return one row of cells per model, in the order of `header`."""
    return [[model, *map(_cell, few.of(model))] for model in few.models]


def footnotes(few: FewShots) -> list[str]:
    """Return what there is to know of the numbers, a sentence each."""
    notes = []
    if few.tries > 1:
        notes.append("each interval tells how much the draw of training images matters")
    if few.without_folds:
        listed = ", ".join(map(str, few.without_folds))
        notes.append(
            f"with {listed} of each class nothing is left to choose C by: it is {few.c:g}, and stack:oof is the mean"
        )
    return notes


def _cell(each: ShotScores) -> str:
    return f"{each.mean:.3f}" if each.reach is None else f"{each.mean:.3f} ± {each.reach:.3f}"
