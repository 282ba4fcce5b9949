"""A training part whose images follow each other in time, divided into inner folds in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.text import counted
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.splitters import ordered_folds
from stackbone.stack.tasks.truth import Truth


def ordered_training(
    truth: Truth, rows: NDArray[np.int64], units: Units, most: int, check: Callable[[Fold], None]
) -> list[Fold]:
    """Return the inner folds in the order of time before which every class of the training part was seen.

    Parameters
    ----------
    truth : Truth
        Of all images.
    rows : NDArray[np.int64]
        ``(n_train,)`` of the training part, among all images.
    units : Units
        Times, groups and digests of the training part.
    most : int
        Inner folds, at most.
    check : callable
        Raises `StackError` unless the training rows of a fold, among all images, know what its others ask for.

    Raises
    ------
    StackError
        If a meta-learner could not learn from what is left.
    """
    if units.times is None:
        message = "these images have no times"
        raise ValueError(message)

    def teaches(fold: Fold) -> bool:
        rest = np.delete(np.arange(len(rows)), fold.train)
        try:
            check(Fold(rows[fold.train], rows[rest]))
        except StackError:
            return False
        return True

    found = [fold for fold in ordered_folds(units.times, units.ids(len(rows)), most) if teaches(fold)]
    if len(found) < 2 or not _ask_twice(truth, rows, found):
        sets = truth.n_classes > 0 and not truth.has_one_class
        every, both = ("label", "images with and without each label") if sets else ("class", "two classes")
        message = (
            f"of {most} inner folds in the order of time, {len(found)} of a training part of "
            f"{counted(len(rows), 'image')} follow on images of every {every}; choosing C and out-of-fold scores "
            f"need 2, with {both} in both"
        )
        raise StackError(message)
    return found


def _ask_twice(truth: Truth, rows: NDArray[np.int64], folds: Sequence[Fold]) -> bool:
    """Return whether two folds over these rows each test what a meta-learner needs of the other: see the message."""
    tested = [truth.values[rows[fold.test]] for fold in folds]
    if not truth.n_classes:
        return True
    if truth.has_one_class:
        n_folds = np.bincount(np.concatenate([np.unique(codes) for codes in tested]))
        return bool(np.count_nonzero(n_folds > 1) >= min(2, truth.n_classes))
    sides = [np.sum([(has == side).any(axis=0) for has in tested], axis=0) for side in (0, 1)]
    return bool(np.min(sides) > 1)
