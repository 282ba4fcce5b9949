"""Folds of numeric targets: the division, and what R² and the inner folds need of it.

Refuses with what was found and what was expected; what can be had instead is for `stack.folds.ways_out` to say.
"""

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.folds.class_folds import Ask, check_numbers, name_unit
from stackbone.stack.folds.class_labels import resolve_groups
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.splitters import distinct_seeds, divide_groups

_MIN_TESTED = 2  # images: R² compares with their mean


def divide_rows(n: int, groups: NDArray[np.int64] | None, ask: Ask) -> list[Fold]:
    """Divide rows into shuffled folds, and groups whole.

    Parameters
    ----------
    n : int
        How many rows.
    groups : NDArray[np.int64], optional
        ``(n,)`` group ids.
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
    group = resolve_groups(groups, n)
    n_groups = len(np.unique(group))
    if n_groups < ask.n_splits:
        msg = f"there are {n_groups} {name_unit(groups)} for {ask.n_splits} folds; every fold tests at least one"
        raise StackError(msg)
    return [
        Fold.testing(part, n)
        for seed in islice(distinct_seeds(ask.seed), ask.repeats)
        for part in divide_groups(group, ask.n_splits, seed)
    ]


def divide_targets(y: NDArray[np.float64], groups: NDArray[np.int64] | None, ask: Ask) -> list[Fold]:
    """Divide rows into outer folds that R² can be taken of, and whose training parts can be divided again.

    Parameters
    ----------
    y : NDArray[np.float64]
        ``(n_images,)`` targets.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group ids.
    ask : Ask
        How to divide them.

    Raises
    ------
    StackError
        If there are too few rows (groups).
    """
    folds = divide_rows(len(y), groups, ask)
    check_target_folds(folds, groups, len(y))
    return folds


def check_target_folds(folds: Sequence[Fold], groups: NDArray[np.int64] | None, n: int) -> None:
    """Require two images in every test part, and two images (groups) in every training part.

    Raises
    ------
    StackError
        If a fold has fewer.
    """
    group = resolve_groups(groups, n)
    for number, fold in enumerate(folds, start=1):
        where = f"fold {number} of {len(folds)}"
        if len(fold.test) < _MIN_TESTED:
            msg = f"{where} tests {len(fold.test)} image; R² needs at least {_MIN_TESTED} in every fold"
            raise StackError(msg)
        n_groups = len(np.unique(group[fold.train]))
        if n_groups < 2:
            msg = (
                f"the training part of {where} has {n_groups} of the {name_unit(groups)}; choosing alpha and "
                "out-of-fold predictions need 2"
            )
            raise StackError(msg)
