"""Folds of numeric targets: the division, and what R² and the inner folds need of it.

Refuses with what was found and what was expected; what can be had instead is for `stack.folds.ways_out` to say.
"""

from collections.abc import Sequence

import numpy as np

from stackbone.cache.errors import StackError
from stackbone.stack.folds.class_folds import Ask, check_numbers
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold

_MIN_TESTED = 2  # images: R² compares with their mean


def divide_rows(n: int, units: Units, ask: Ask) -> list[Fold]:
    """Divide rows into shuffled folds, and groups whole.

    Parameters
    ----------
    n : int
        How many rows.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        How to divide them.

    Raises
    ------
    StackError
        If there are fewer rows (groups) than folds.
    UsageError
        If the seed or the number of repeats is out of range.
    """
    check_numbers(ask.n_splits, ask.repeats)
    group = units.ids(n)
    n_groups = len(np.unique(group))
    if n_groups < ask.n_splits:
        msg = f"there are {n_groups} {units.name} for {ask.n_splits} folds; every fold tests at least one"
        raise StackError(msg)
    dealer = units.dealer(ask.seed)
    return [Fold.testing(part, n) for _ in range(ask.repeats) for part in dealer.plain(group, ask.n_splits)]


def divide_targets(n: int, units: Units, ask: Ask) -> list[Fold]:
    """Divide rows into outer folds that R² can be taken of, and whose training parts can be divided again.

    Parameters
    ----------
    n : int
        How many rows: no number decides.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        How to divide them.

    Raises
    ------
    StackError
        If there are too few rows (groups).
    """
    folds = divide_rows(n, units, ask)
    check_target_folds(folds, units, n)
    return folds


def check_target_folds(folds: Sequence[Fold], units: Units, n: int) -> None:
    """Require two images in every test part, and two images (groups) in every training part.

    Raises
    ------
    StackError
        If a fold has fewer.
    """
    group = units.ids(n)
    for number, fold in enumerate(folds, start=1):
        where = f"fold {number} of {len(folds)}"
        if len(fold.test) < _MIN_TESTED:
            msg = f"{where} tests {len(fold.test)} image; R² needs at least {_MIN_TESTED} in every fold"
            raise StackError(msg)
        n_groups = len(np.unique(group[fold.train]))
        if n_groups < 2:
            msg = (
                f"the training part of {where} has {n_groups} of the {units.name}; choosing alpha and "
                "out-of-fold predictions need 2"
            )
            raise StackError(msg)
