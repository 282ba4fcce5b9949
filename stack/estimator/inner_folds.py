"""The inner folds of a stack: made of whatever scikit-learn takes for `cv`, and required to score fairly.

Rows, targets and groups flow in; (train, test) pairs flow out, that give each row one score by members which saw
neither it nor its group.
"""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold, check_cv

from stackbone.cache.text import counted
from stackbone.stack.folds.class_folds import INNER_FOLDS
from stackbone.stack.folds.splitters import shuffle_groups

WITHOUT_FOLDS = ("in-sample", "prefit")
"""Values of `cv` that make no folds."""

Split = tuple[NDArray[np.intp], NDArray[np.intp]]
"""Row indices to fit on, row indices to score."""


def split_rows(
    x: Any,  # noqa: ANN401 - an array, sparse matrix or DataFrame
    y: NDArray[Any],
    groups: NDArray[Any] | None,
    cv: Any,  # noqa: ANN401 - a number, a splitter or an iterable, as scikit-learn has it
    random_state: int | np.random.RandomState | None,
    *,
    classes: bool,
    metadata: Mapping[str, Any] | None = None,
) -> list[Split]:
    """Make the inner folds, and require that they score every row once and honestly.

    Parameters
    ----------
    x, y : ndarray
        ``(n_samples, n_features)`` features and ``(n_samples,)`` targets, which splitters may ask for.
    groups : ndarray, optional
        ``(n_samples,)``; no group may be on both sides of a fold.
    cv : int, None, splitter, iterable of (train, test), "in-sample" or "prefit"
        A number (None: 5): shuffled folds, stratified if `classes`, and by groups where there are any. "in-sample"
        and "prefit": no folds.
    random_state : int, RandomState or None
        Seed of that shuffle.
    classes : bool
        Whether the targets are classes, each of which every training part needs.
    metadata : mapping of str to object, optional
        What a given splitter asked for, by scikit-learn's metadata routing. By default it gets the groups.

    Returns
    -------
    list of Split
        Every row is in exactly one test part; no folds for "in-sample" and "prefit".

    Raises
    ------
    ValueError
        If a number of folds is more than the rows (groups) allow, a row is in no test part or in several, a
        training part shares rows or groups with its test part, or it lacks a class.
    """
    if isinstance(cv, str):
        if groups is not None:
            msg = f"groups were given, but cv={cv!r} makes no folds to keep them together in: give cv a number"
            raise ValueError(msg)
        return []
    asked = {"groups": groups} if metadata is None else metadata
    if cv is None or isinstance(cv, Integral):
        cv, dealt = _splitter(INNER_FOLDS if cv is None else int(cv), y, groups, random_state, classes=classes)
        asked = {"groups": dealt}
    rows = np.arange(len(y))
    try:
        folds = [(rows[np.asarray(a)], rows[np.asarray(b)]) for a, b in check_cv(cv).split(x, y, **asked)]
    except IndexError as error:
        msg = f"a fold of cv points beyond the {len(y)} rows of X ({error}): make folds of these rows"
        raise ValueError(msg) from error
    times = np.bincount(np.concatenate([rows[:0], *(test for _, test in folds)]), minlength=len(y))
    wrong = np.flatnonzero(times != 1)
    if len(wrong):
        msg = (
            f"{len(wrong)} of {len(y)} rows are not in exactly one test part of cv (row {wrong[0]} is in "
            f"{times[wrong[0]]}), so they have no one out-of-fold score: use folds whose test parts divide the rows"
        )
        raise ValueError(msg)
    for number, fold in enumerate(folds, start=1):
        _require_honest(fold, y, groups, f"inner fold {number} of {len(folds)}", classes=classes)
    return folds


def _splitter(
    n_splits: int,
    y: NDArray[Any],
    groups: NDArray[Any] | None,
    random_state: int | np.random.RandomState | None,
    *,
    classes: bool,
) -> tuple[Any, NDArray[Any] | None]:
    """Return a splitter, and the groups to give to it."""
    if classes:
        _require_class_sizes(y, groups, n_splits)
        if groups is not None:
            return StratifiedGroupKFold(n_splits), shuffle_groups(groups, random_state)
        kind = StratifiedKFold
    else:
        kind = KFold if groups is None else GroupKFold
    return kind(n_splits, shuffle=True, random_state=random_state), groups


def _require_class_sizes(y: NDArray[Any], groups: NDArray[Any] | None, n_splits: int) -> None:
    unit = "rows" if groups is None else "groups"
    members = np.arange(len(y)) if groups is None else groups
    sizes = {label: len(np.unique(members[y == label])) for label in np.unique(y)}
    lone = [str(label) for label, size in sizes.items() if size < 2]
    if lone:
        msg = (
            f"{counted(len(lone), 'class', 'classes')} with one {unit[:-1]} only: {', '.join(lone)}; the members that "
            f"score it never saw the class: add {unit} of it"
        )
        raise ValueError(msg)
    largest = max(sizes.values())
    if largest < n_splits:
        msg = (
            f"no class has as many {unit} as cv has folds ({n_splits}); the largest has {largest}: "
            f"set cv to {largest} at most, or add {unit}"
        )
        raise ValueError(msg)


def _require_honest(fold: Split, y: NDArray[Any], groups: NDArray[Any] | None, where: str, *, classes: bool) -> None:
    train, test = fold
    shared = np.intersect1d(train, test)
    if len(shared):
        msg = f"{where} trains on {len(shared)} rows of its test part (row {shared[0]} first): use disjoint folds"
        raise ValueError(msg)
    missing = np.setdiff1d(y, y[train]) if classes else y[:0]
    if len(missing):
        msg = (
            f"the training part of {where} has no row of {counted(len(missing), 'class', 'classes')} ({missing[0]} "
            "first); their scores would be missing: put rows of every class into the training part of every fold"
        )
        raise ValueError(msg)
    if groups is None:
        return
    both = np.intersect1d(groups[train], groups[test])
    if len(both):
        msg = (
            f"{where} has {counted(len(both), 'group')} on both sides ({both[0]} first): "
            "give cv a number, or a splitter that keeps groups together such as StratifiedGroupKFold"
        )
        raise ValueError(msg)
