"""Trials of divisions: whether one works, as long as there is patience to find out.

scikit-learn's splitter of groups weighs every group against every fold, so that one trial takes seconds where there
are thousands of groups. A message can wait for a few only.
"""

from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from stackbone.cache.errors import StackError
from stackbone.stack.folds.class_folds import Ask
from stackbone.stack.folds.dealing import Units

_MOST_STEPS = 45_000
_ROWS_A_STEP = 500  # that are divided at once, where no group is weighed
_STEPS_A_GROUP = 4  # that is weighed against a fold: 0.1 ms where there are 200 classes


class Trials:
    """Divisions tried within a budget of steps: a second of weighing groups, or seconds of dividing a million rows.

    Attributes
    ----------
    cut_short : bool
        Whether a trial was not made, as it would have taken too long.
    """

    def __init__(self) -> None:
        self.cut_short = False
        self._left = _MOST_STEPS

    def work(self, steps: int, divide: Callable[[], object]) -> bool:
        """Return whether `divide`, of about so many `steps`, raises no `StackError`; False if these are too many."""
        if steps > self._left:
            self.cut_short = True
            return False
        self._left -= steps
        try:
            divide()
        except StackError:
            return False
        return True

    def most(self, n: int, steps: Callable[[int], int]) -> int:
        """Return the largest number of folds up to `n` that can still be tried; 1 if 2 cannot.

        Parameters
        ----------
        n : int
            The largest to think of.
        steps : callable
            How many steps a number of folds takes; the more folds, the more steps.
        """
        allowed = 1 + bisect_right(range(2, n + 1), self._left, key=steps)
        self.cut_short |= allowed < n
        return allowed


def class_steps(n: int, units: Units, ask: Ask) -> int:
    """Return about how many steps it takes to divide `n` rows of classes, and to divide every training part again."""
    return _placed(n, units) * ask.repeats * (ask.n_splits + (ask.n_splits - 1) * ask.inner_splits)


def split_steps(n: int, units: Units, inner_splits: int) -> int:
    """Return about how many steps it takes to divide one training part of at most `n` rows of classes."""
    return _placed(n, units) * inner_splits


def target_steps(n: int, ask: Ask) -> int:
    """Return about how many steps it takes to divide `n` rows of numbers, of which no group is weighed."""
    return n * ask.n_splits * ask.repeats // _ROWS_A_STEP


def _placed(n: int, units: Units) -> int:
    n_groups = len(np.unique(units.ids(n)))
    return n_groups * _STEPS_A_GROUP if n_groups < n and units.digests is None else n // _ROWS_A_STEP
