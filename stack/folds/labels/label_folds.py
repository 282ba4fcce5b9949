"""Folds of images with any number of labels: outer and inner ones, and what is refused.

Every training part has an image with each label and one without it; every test part of a cross-validation has both too,
wherever groups allow it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.text import counted
from stackbone.stack.folds.class_folds import Ask, check_numbers
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.labels.presence import Presence, check_both_sides, find_rare_labels, say_rare, sides
from stackbone.stack.folds.labels.stratification import stratify
from stackbone.stack.folds.splitters import ATTEMPTS
from stackbone.stack.folds.trials import Trials
from stackbone.stack.folds.ways_out import join_ways

_USUAL_FOLDS = (3, 2, 5)


def divide_labels(names: NDArray[np.str_], presence: Presence, units: Units, ask: Ask) -> list[Fold]:
    """Divide images into outer folds whose training parts can be divided again.

    Parameters
    ----------
    names : NDArray[np.str_]
        ``(n_labels,)``.
    presence : NDArray[np.int8]
        ``(n_images, n_labels)``.
    units : Units
        What belongs together, and what the images are dealt by.
    ask : Ask
        How; labels that it drops decide nothing.

    Raises
    ------
    StackError
        If a label is too rare or too common, or no division was found that keeps groups whole and can be learnt from.
    UsageError
        If the seed or the number of repeats is out of range.
    """
    check_numbers(ask.n_splits, ask.repeats)
    group = units.ids(len(presence))
    rare = find_rare_labels(presence, group, ask.n_splits)
    if ask.rare == "drop":
        names, presence = names[~rare], presence[:, ~rare]
        if not len(names):
            msg = f"no label is left without those that are too rare or too common for {ask.n_splits} folds"
            raise StackError(msg)
    elif rare.any():
        msg = (
            f"{counted(int(rare.sum()), 'label is', 'labels are')} too rare or too common for the {ask.n_splits} folds "
            f"asked for: {say_rare(names, presence, group, ask.n_splits)}; every fold needs "
            f"{units.name} with each label, and others without it"
        )
        raise StackError(msg)
    dealer = units.dealer(ask.seed)
    folds: list[Fold] = []
    for _ in range(ask.repeats):
        dealt = (stratify(presence, group, order, ask.n_splits) for order in dealer.orders(group))
        folds += _best(names, presence, dealt, ask.n_splits)
    for number, fold in enumerate(folds, start=1):
        where = f"the training part of fold {number} of {len(folds)}"
        divide_inner_labels(presence[fold.train], units.take(fold.train), ask.seed, ask.inner_splits, where)
    return folds


def _best(names: NDArray[np.str_], presence: Presence, dealt: Iterable[NDArray[np.int64]], n_splits: int) -> list[Fold]:
    """Return the first division whose parts all have both sides of every label, else the one that lacks fewest."""
    found: list[tuple[int, list[Fold]]] = []
    for fold in dealt:
        parts = [Fold.testing(np.flatnonzero(fold == number), len(presence)) for number in range(n_splits)]
        everyone = [(np.arange(len(rows)), rows) for part in parts for rows in (part.train, part.test)]
        lacking = sum(int(find_rare_labels(presence[rows], own, 1).sum()) for own, rows in everyone)
        empty = sum(not len(part.test) for part in parts)
        found.append((lacking + len(names) * n_splits * empty, parts))
        if not found[-1][0]:
            break
    _, parts = min(found, key=lambda each: each[0])
    try:
        for number, part in enumerate(parts, start=1):
            check_both_sides(names, presence[part.train], f"the training part of fold {number} of {n_splits}")
    except StackError as exc:
        msg = f"no division was found that keeps groups together ({ATTEMPTS} orders of them tried): {exc}"
        raise StackError(msg) from exc
    return parts


def divide_inner_labels(presence: Presence, units: Units, seed: int, n_splits: int, where: str) -> list[Fold]:
    """Divide a training part into the folds that serve C, out-of-fold scores, thresholds and the meta-learner.

    Every training part has both sides of each label. Where that takes it, an image is in no test part: that of a side
    that one image (group) has alone, and what shares a group with it.

    Parameters
    ----------
    presence : NDArray[np.int8]
        ``(n_train, n_labels)``, both sides of every label among them.
    units : Units
        Of these rows.
    seed : int
        Of the order in which they are dealt.
    n_splits : int
        Most folds to make, at least 2.
    where : str
        What the message calls the training part.

    Raises
    ------
    StackError
        If fewer than two images (groups) can be tested.
    """
    check_numbers(n_splits, 1)
    group = units.ids(len(presence))
    tested = np.flatnonzero(~_needed(presence, group))
    unit = np.unique(group[tested], return_inverse=True)[1]
    n_units = len(np.unique(unit))
    if n_units < 2:
        msg = (
            f"{where} has {n_units} of its {units.name} to test and others to learn each label from; choosing C and "
            "out-of-fold scores need 2"
        )
        raise StackError(msg)
    k = min(n_splits, n_units)
    order = next(iter(units.take(tested).dealer(seed).orders(unit)))
    fold = stratify(presence[tested], unit, order, k)
    parts = [_spared(presence, group, tested[fold == number]) for number in range(k)]
    return [Fold.testing(part, len(presence)) for part in parts if len(part)]


def _needed(presence: Presence, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the images of groups that alone have a side of some label: they are learnt from in every fold."""
    alone = sides(presence, group) < 2
    needed = ((presence == 1) & alone[1]).any(axis=1) | ((presence == 0) & alone[0]).any(axis=1)
    return np.isin(group, group[needed])


def _spared(presence: Presence, group: NDArray[np.int64], test: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move whole groups out of a test part until the training part has both sides of every label.

    Of a lost side the group with the fewest images moves; it is in no other test part, so that it is never tested.
    """
    sizes = np.bincount(group)
    while len(test):
        known = np.delete(presence, test, axis=0)
        lost = np.argwhere(np.stack([(known == 0).sum(axis=0), (known == 1).sum(axis=0)]) == 0)
        if not len(lost):
            break
        side, label = lost[0]
        candidates = np.unique(group[test[presence[test, label] == side]])
        test = test[group[test] != candidates[sizes[candidates].argmin()]]
    return test


def ways_for_labels(names: NDArray[np.str_], presence: Presence, units: Units, ask: Ask) -> str:
    """Return what can be done where `divide_labels` refused, for the end of a message; each way is tried."""
    trials, steps = Trials(), label_steps(len(presence), units, ask)

    def works(other: Ask) -> bool:
        return trials.work(steps, lambda: divide_labels(names, presence, units, other))

    # First, as it is what helps most often, and what is tried ends with a budget.
    drops = ask.rare == "refuse" and works(replace(ask, rare="drop"))
    ways = []
    numbers = [str(n) for n in sorted(_USUAL_FOLDS) if n != ask.n_splits and works(replace(ask, n_splits=n))]
    if numbers:
        ways.append(f"ask for {' or '.join(numbers)} folds")
    if drops:
        ways.append("leave these labels out (--rare drop)")
    return join_ways(ways, trials)


def label_steps(n: int, units: Units, ask: Ask) -> int:
    """Return about how many steps of `stack.folds.trials.Trials` it takes to divide `n` images and each part again."""
    n_units = len(np.unique(units.ids(n)))
    return n_units * ask.repeats * (1 + ask.n_splits)
