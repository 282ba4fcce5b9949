"""Test parts by scikit-learn's splitters, with groups whole and some rows in no test part.

Works on class codes and group ids (0 upwards, none negative; every row its own where nothing is
grouped) and yields row indices; `stack.folds.folds` makes folds of them.
"""

from collections.abc import Iterator
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import check_random_state

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.text import counted
from stackbone.stack.folds.fold import Fold

ATTEMPTS = 8
"""Seeds (or hashes) tried for grouped test parts that leave every training part every class; the first mostly does."""


class RowDealer:
    """Deals rows by scikit-learn's splitters: another seed for each repeat, the first time the one given.

    Parameters
    ----------
    seed : int
        0 to 2³² - 1.
    """

    def __init__(self, seed: int) -> None:
        check_seed(seed)
        self._seeds = _distinct_seeds(seed)

    def stratified(
        self,
        codes: NDArray[np.int64],
        names: NDArray[np.str_],
        group: NDArray[np.int64],
        tested: NDArray[np.bool_],
        n_splits: int,
    ) -> list[NDArray[np.int64]]:
        """See `stack.folds.dealing.Dealer`.

        ``StratifiedKFold`` where no two tested rows share a group, else ``StratifiedGroupKFold`` (`shuffle_groups`),
        which places group after group greedily and may put all rows of a class into one test part. Then the next seeds
        are tried, `ATTEMPTS` in all. `names` decide nothing.
        """
        rows = np.flatnonzero(tested)
        grouped = len(np.unique(group[rows])) < len(rows)
        parts: list[NDArray[np.int64]] = []
        for seed in islice(self._seeds, ATTEMPTS):
            if grouped:
                shuffled = shuffle_groups(group[rows], seed)
                divided = StratifiedGroupKFold(n_splits).split(rows, codes[rows], shuffled)
            else:
                divided = StratifiedKFold(n_splits, shuffle=True, random_state=seed).split(rows, codes[rows])
            parts = [rows[test] for _, test in divided]
            if all(len(part) and not len(find_lost(codes, part)) for part in parts):
                break
        return parts

    def plain(self, group: NDArray[np.int64], n_splits: int) -> list[NDArray[np.int64]]:
        """See `stack.folds.dealing.Dealer`.

        ``KFold`` over the groups, which is ``GroupKFold(n_splits, shuffle=True, random_state=seed)`` and, where every
        row is its own group, ``KFold`` over the rows.
        """
        splitter = KFold(n_splits, shuffle=True, random_state=next(self._seeds))
        divided = splitter.split(np.arange(group.max() + 1))
        return [np.flatnonzero(np.isin(group, tested)) for _, tested in divided]

    def orders(self, group: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """See `stack.folds.dealing.Dealer`: numpy's permutations."""
        for seed in islice(self._seeds, ATTEMPTS):
            yield np.random.default_rng(seed).permutation(int(group.max()) + 1)


def shuffle_groups(groups: NDArray[Any], random_state: int | np.random.RandomState | None) -> NDArray[np.intp]:
    """Return groups under other numbers, drawn at random, by which ``StratifiedGroupKFold(n_splits)`` is shuffled.

    Before scikit-learn 1.8, ``shuffle=True`` counts the classes of one group for another, and folds lose their class
    proportions (scikit-learn issue 32478). From 1.8 on, these are the very folds of
    ``StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state)``.

    Parameters
    ----------
    groups : NDArray
        ``(n,)`` group of each row: numbers or names.
    random_state : int, RandomState or None
        Seed of the shuffle.

    Returns
    -------
    NDArray[np.intp]
        ``(n,)`` other numbers of the same groups, 0 upwards.
    """
    names, number = np.unique(groups, return_inverse=True)
    order = check_random_state(random_state).permutation(len(names))
    place: NDArray[np.intp] = np.argsort(order)[number]
    return place


def check_seed(seed: int) -> None:
    """Raise `UsageError` unless it is a whole number from 0 to 2³² - 1."""
    if not 0 <= seed < 2**32:
        msg = f"the seed is {seed}; scikit-learn's splitters take 0 to {2**32 - 1}: choose one of these"
        raise UsageError(msg)


def _distinct_seeds(seed: int) -> Iterator[int]:
    """Yield `seed` and then, without end, seeds drawn from it, all different."""
    rng = np.random.default_rng(seed)
    drawn: set[int] = set()
    while True:
        if seed not in drawn:
            drawn.add(seed)
            yield seed
        seed = int(rng.integers(2**32))


def find_lost(codes: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ascending class codes that are in a test part and nowhere else, so that nobody learns them."""
    every, tested = np.bincount(codes), np.bincount(codes[test], minlength=int(codes.max(initial=-1)) + 1)
    return np.flatnonzero((tested > 0) & (tested == every))


def spare_groups(codes: NDArray[np.int64], group: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move whole groups out of a test part until the training part knows every class.

    Of a lost class the group with the fewest rows moves. It is in no other test part, so that it is
    never tested; and as a lost class has two groups or more here, some of the test part remains.

    Parameters
    ----------
    codes, group : NDArray[np.int64]
        ``(n,)`` class codes and group ids.
    test : NDArray[np.int64]
        ``(n_test,)`` rows of the test part, with two groups or more of each class lost to it.

    Returns
    -------
    NDArray[np.int64]
        The rows of `test` that remain.
    """
    while len(lost := find_lost(codes, test)):
        candidates = np.unique(group[codes == lost[0]])
        smallest = candidates[np.bincount(group)[candidates].argmin()]
        test = test[group[test] != smallest]
    return test


def ordered_folds(times: NDArray[np.float64], group: NDArray[np.int64], n_splits: int) -> list[Fold]:
    """Divide rows by time: every fold tests what comes after all that it trains on.

    Where all times differ, exactly ``sklearn.model_selection.TimeSeriesSplit(n_splits)`` of the rows in their order.
    Rows of one time stay on one side: a cut moves to the first of them. Rows that share a group with a test part are
    left out of its training part.

    Parameters
    ----------
    times : NDArray[np.float64]
        ``(n,)`` when each row was made, in any unit.
    group : NDArray[np.int64]
        ``(n,)`` group ids, none negative.
    n_splits : int
        Number of folds.

    Raises
    ------
    StackError
        If there are too few rows or times, or a training part would be empty.
    """
    n = len(times)
    order = np.argsort(times, kind="stable")
    ordered, size = times[order], n // (n_splits + 1)
    if not size:
        message = f"{counted(n, 'image')} cannot be cut into {n_splits + 1} parts in the order of time"
        raise StackError(message)
    starts = np.searchsorted(ordered, ordered[n - size * np.arange(n_splits, 0, -1)])
    bounds = np.append(starts, n)
    if bounds[0] == 0 or (np.diff(bounds) == 0).any():
        message = (
            f"{counted(n, 'image')} of {counted(len(np.unique(times)), 'different time')} cannot be cut into "
            f"{n_splits + 1} parts in the order of time: images of one time stay on one side"
        )
        raise StackError(message)
    folds = []
    for start, end in pairwise(bounds):
        train, test = np.sort(order[:start]), np.sort(order[start:end])
        train = train[~np.isin(group[train], group[test])]
        if not len(train):
            message = "all images before a test part share groups with it, so nothing is left to train on"
            raise StackError(message)
        folds.append(Fold(train, test))
    return folds
