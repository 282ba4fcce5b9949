"""Test parts by scikit-learn's splitters, with groups whole and some rows in no test part.

Works on class codes and group ids (0 upwards, none negative; every row its own where nothing is
grouped) and yields row indices; `stack.folds.folds` makes folds of them.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

from stackbone.cache.errors import UsageError

ATTEMPTS = 8
"""Seeds tried for grouped test parts that leave every training part every class; the first mostly does."""


def distinct_seeds(seed: int) -> Iterator[int]:
    """Yield `seed` and then, without end, seeds drawn from it, all different.

    Parameters
    ----------
    seed : int
        0 to 2³² - 1.

    Raises
    ------
    UsageError
        If `seed` is out of range.
    """
    if not 0 <= seed < 2**32:
        msg = f"the seed is {seed}; scikit-learn's splitters take 0 to {2**32 - 1}: choose one of these"
        raise UsageError(msg)
    return _draw(seed)


def _draw(seed: int) -> Iterator[int]:
    rng = np.random.default_rng(seed)
    drawn: set[int] = set()
    while True:
        if seed not in drawn:
            drawn.add(seed)
            yield seed
        seed = int(rng.integers(2**32))


def divide_stratified(
    codes: NDArray[np.int64],
    group: NDArray[np.int64],
    tested: NDArray[np.bool_],
    n_splits: int,
    seeds: Iterator[int],
) -> list[NDArray[np.int64]]:
    """Divide the tested rows into test parts of about equal class proportions.

    ``StratifiedKFold`` where no two tested rows share a group, else ``StratifiedGroupKFold``, which
    places group after group greedily and may put all rows of a class into one test part. Then the
    next seeds are tried, `ATTEMPTS` in all.

    Parameters
    ----------
    codes, group : NDArray[np.int64]
        ``(n,)`` class codes and group ids.
    tested : NDArray[np.bool_]
        ``(n,)`` rows to divide; each of their classes has `n_splits` groups among them or more, and no
        group is partly among them.
    n_splits : int
        Number of parts.
    seeds : iterator of int
        Where seeds are taken from, as many as needed.

    Returns
    -------
    list of NDArray[np.int64]
        Ascending rows of each test part; of the last seed tried if all were unlucky (`find_lost` tells).
    """
    rows = np.flatnonzero(tested)
    grouped = len(np.unique(group[rows])) < len(rows)
    kind = StratifiedGroupKFold if grouped else StratifiedKFold
    parts: list[NDArray[np.int64]] = []
    for seed in islice(seeds, ATTEMPTS):
        splitter = kind(n_splits, shuffle=True, random_state=seed)
        parts = [rows[test] for _, test in splitter.split(rows, codes[rows], group[rows] if grouped else None)]
        if all(len(part) and not len(find_lost(codes, part)) for part in parts):
            break
    return parts


def divide_groups(group: NDArray[np.int64], n_splits: int, seed: int) -> list[NDArray[np.int64]]:
    """Divide all rows into test parts of about equal numbers of groups.

    ``KFold`` over the groups, which is ``GroupKFold(n_splits, shuffle=True, random_state=seed)`` and,
    where every row is its own group, ``KFold`` over the rows.

    Parameters
    ----------
    group : NDArray[np.int64]
        ``(n,)`` group ids, 0 to the number of groups - 1 without gaps.
    n_splits : int
        Number of parts, at most the number of groups.
    seed : int
        Seed of the shuffle.

    Returns
    -------
    list of NDArray[np.int64]
        Ascending rows of each test part.
    """
    splitter = KFold(n_splits, shuffle=True, random_state=seed)
    divided = splitter.split(np.arange(group.max() + 1))
    return [np.flatnonzero(np.isin(group, tested)) for _, tested in divided]


def find_lost(codes: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ascending class codes that are in a test part and nowhere else, so that nobody learns them."""
    known = np.delete(codes, test)
    lost: NDArray[np.int64] = np.setdiff1d(codes[test], known)
    return lost


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
