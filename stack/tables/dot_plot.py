"""Scores as a dot plot of text: a line per model, its folds as dots, its mean as a disc, on one shared scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stackbone.stack.metrics.model_scores import ModelScore

_LEAST, _MOST = 24, 72  # columns; with fewer it would say less than the table does
_TICK = 12  # columns from one number of the scale to the next, at least


@dataclass(frozen=True)
class _Scale:
    """Round numbers from below the lowest score to above the highest, over so many columns."""

    first: float
    step: float
    n_steps: int
    columns: int

    def place(self, score: float) -> int:
        """Return the column of a score."""
        return round((score - self.first) / (self.n_steps * self.step) * (self.columns - 1))

    def line(self) -> str:
        """Return the numbers, each under its column."""
        text = ""
        digits = max(0, -math.floor(math.log10(self.step)))
        for number in (self.first + i * self.step for i in range(self.n_steps + 1)):
            text = f"{text:<{self.place(number)}}{number:.{digits}f} "
        return text


def dot_plot(scores: Sequence[ModelScore], width: int) -> list[str]:
    """Return the lines of a dot plot, the scale last; none where all scores are equal or `width` is too small.

    Parameters
    ----------
    scores : sequence of ModelScore
        One line each, in this order.
    width : int
        Columns of the terminal.
    """
    names = max(len(score.model) for score in scores)
    columns = min(width - names - 8, _MOST)  # the last number stands to the right of its column
    low, high = min(min(score.folds) for score in scores), max(max(score.folds) for score in scores)
    if columns < _LEAST or not low < high:
        return []
    scale = _scale(low, high, columns)
    lines = [f"{score.model:<{names}}  {_line(score, scale)}" for score in scores]
    return [*lines, f"{'':<{names}}  {scale.line()}".rstrip()]


def _scale(low: float, high: float, columns: int) -> _Scale:
    least = (high - low) / (columns // _TICK)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(round_number * power for round_number in (1, 2, 5, 10) if round_number * power >= least)
    first = math.floor(low / step) * step
    return _Scale(first, step, max(1, math.ceil(round((high - first) / step, 6))), columns)


def _line(score: ModelScore, scale: _Scale) -> str:
    places = sorted(scale.place(fold) for fold in score.folds)
    cells = [" "] * places[0] + ["─"] * (places[-1] - places[0] + 1)
    for place in places:
        cells[place] = "∙"
    cells[scale.place(score.mean)] = "●"
    return "".join(cells)
