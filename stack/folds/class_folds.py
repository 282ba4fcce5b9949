"""Folds of classes: what is asked for, the division, and what inner folds need of its training parts.

Refuses with what was found and what was expected; what can be had instead is for `stack.folds.ways_out` to say.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.class_labels import (
    check_class_sizes,
    class_sizes,
    find_rare,
    find_testable,
    list_classes,
)
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.splitters import ATTEMPTS, find_lost, spare_groups

INNER_FOLDS = 5
"""Inner folds where nobody asks for another number."""

MIN_INNER_GROUPS = 2
"""Images (groups) that a class needs in a training part, so that an inner fold tests it and another learns it."""


@dataclass(frozen=True)
class Ask:
    """How classes are to be divided.

    Attributes
    ----------
    n_splits : int
        Folds of each repeat.
    seed : int
        Of the shuffle.
    repeats : int
        Times that all rows are divided.
    rare : str
        What becomes of classes with fewer images (groups) than folds: ``refuse``, ``drop`` or ``keep``.
    inner_splits : int
        Most inner folds that every training part is divided into.
    """

    n_splits: int
    seed: int = 0
    repeats: int = 1
    rare: str = "refuse"
    inner_splits: int = INNER_FOLDS


def divide_and_check(y: NDArray[np.str_], units: Units, ask: Ask) -> list[Fold]:
    """Divide labelled rows into outer folds whose training parts can be divided again.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        How.

    Returns
    -------
    list of Fold
        Of the rows whose classes `ask` keeps, by their positions among these.

    Raises
    ------
    StackError
        If labels and groups do not allow it.
    UsageError
        If the seed or the number of repeats is out of range.
    """
    if ask.rare == "drop":
        rare = find_rare(y, ask.n_splits, units.groups)
        kept = ~np.isin(y, rare)
        y, units, left = y[kept], units.take(kept), np.unique(y[kept])
        if len(left) < 2:
            found = list_classes(left) if len(left) else "no class"
            msg = (
                f"without the classes too rare for {ask.n_splits} folds ({list_classes(rare)}), {found} is left; "
                "a classifier needs at least 2 classes"
            )
            raise StackError(msg)
    folds = divide_classes(y, units, ask)
    check_inner(y, units, folds, ask)
    return folds


def divide_classes(y: NDArray[np.str_], units: Units, ask: Ask) -> list[Fold]:
    """Divide labelled rows as `stack.folds.folds.stratified_folds` does.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names, of two classes or more.
    units : Units
        What belongs together, and what the rows are dealt by.
    ask : Ask
        How to divide them; rows that it drops are not among these.

    Raises
    ------
    StackError
        If these labels and groups do not allow it.
    UsageError
        If the seed or the number of repeats is out of range.
    """
    check_numbers(ask.n_splits, ask.repeats)
    group = units.ids(len(y))
    names, codes = np.unique(y, return_inverse=True)
    if ask.rare != "keep":
        check_class_sizes(y, ask.n_splits, units.groups)
    tested = find_testable(codes, group, ask.n_splits)
    n_testable = len(np.unique(codes[tested]))
    if n_testable < 2:
        msg = (
            f"{n_testable or 'none'} of {len(names)} classes has at least {ask.n_splits} {units.name}, one to test in "
            "each fold; 2 such classes are needed"
        )
        raise StackError(msg)
    dealer = units.dealer(ask.seed)
    folds = []
    for _ in range(ask.repeats):
        parts = dealer.stratified(codes, names, group, tested, ask.n_splits)
        _check_learnt(parts, names, codes)
        folds += [Fold.testing(part, len(y)) for part in parts]
    return folds


def _find_inner_testable(
    codes: NDArray[np.int64], class_names: NDArray[np.str_], units: Units, where: str
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Mark the ``(n_train,)`` rows that inner folds can test, and count each class's images (groups) among them."""
    group = units.ids(len(codes))
    tested = find_testable(codes, group, MIN_INNER_GROUPS)
    sizes = class_sizes(codes[tested], group[tested], len(class_names))
    if np.count_nonzero(sizes) < 2:
        short = np.setdiff1d(codes, codes[tested])
        found = f" (too few to test of {list_classes(class_names[short])})" if len(short) else ""
        enough = f"only {list_classes(class_names[sizes > 0])}" if sizes.any() else "no class"
        msg = (
            f"{where} has {enough} with at least {MIN_INNER_GROUPS} {units.name}{found}; choosing C "
            "and out-of-fold scores need 2 such classes"
        )
        raise StackError(msg)
    return tested, sizes


def divide_inner(
    codes: NDArray[np.int64],
    class_names: NDArray[np.str_],
    units: Units,
    seed: int,
    n_splits: int,
    where: str,
) -> list[Fold]:
    """Divide a training part as `stack.folds.folds.inner_folds` does; `where` is what the message calls it."""
    check_numbers(n_splits, 1)
    group = units.ids(len(codes))
    tested, sizes = _find_inner_testable(codes, class_names, units, where)
    k = min(n_splits, int(sizes[sizes > 0].min()))
    parts = units.dealer(seed).stratified(codes, class_names, group, tested, k)
    return [Fold.testing(spare_groups(codes, group, part), len(codes)) for part in parts]


def check_inner(y: NDArray[np.str_], units: Units, folds: list[Fold], ask: Ask) -> None:
    """Require that the training part of every fold can be divided into inner folds that a meta-learner can learn from.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    units : Units
        What belongs together, and what the rows are dealt by.
    folds : list of Fold
        Of these rows.
    ask : Ask
        Its seed and its inner folds.

    Raises
    ------
    StackError
        If one cannot.
    """
    names, codes = np.unique(y, return_inverse=True)
    codes = codes.astype(np.int64)
    for number, fold in enumerate(folds, start=1):
        own = units.take(fold.train)
        where = f"the training part of fold {number} of {len(folds)}" if len(folds) > 1 else "the training part"
        inner = divide_inner(codes[fold.train], names, own, ask.seed, ask.inner_splits, where)
        in_folds = np.bincount(np.concatenate([np.unique(codes[fold.train][f.test]) for f in inner]), minlength=2)
        if np.count_nonzero(in_folds > 1) < 2:
            msg = (
                f"{where} has images of {np.count_nonzero(in_folds > 1)} of {len(names)} classes in two inner folds or "
                "more; a meta-learner needs 2 such classes"
            )
            raise StackError(msg)


def check_numbers(n_splits: int, repeats: int) -> None:
    """Raise `StackError` for fewer than two folds, and `UsageError` for no repeat."""
    if n_splits < 2:
        msg = f"{n_splits} cross-validation folds were asked for; at least 2 are needed"
        raise StackError(msg)
    if repeats < 1:
        msg = f"{repeats} repeats of the cross-validation were asked for; at least 1 is needed: choose 1 or more"
        raise UsageError(msg)


def _check_learnt(parts: list[NDArray[np.int64]], names: NDArray[np.str_], codes: NDArray[np.int64]) -> None:
    lost = np.unique(np.concatenate([find_lost(codes, part) for part in parts]))
    if len(lost):
        msg = (
            f"no division into {len(parts)} folds was found that keeps groups together and yet has images of "
            f"every class in every training part ({ATTEMPTS} seeds tried); the last one tests all of "
            f"{list_classes(names[lost])} in one fold"
        )
        raise StackError(msg)
