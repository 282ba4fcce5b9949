"""Outer folds that are not drawn: given by the user, one image or group left out at a time, or in the order of time.

Each is held to what folds that are drawn are held to, down to the inner folds of every training part.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from stackbone.cache import StackError
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import GIVEN, LOGO, LOO, ORDERED, Division
from stackbone.stack.divisions.further_columns import find_column, read_times
from stackbone.stack.divisions.given_folds import given_folds, ungrouped
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.divisions.own_split import cross_validation
from stackbone.stack.folds.class_labels import list_classes, resolve_groups
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.splitters import ordered_folds
from stackbone.stack.folds.trials import Trials
from stackbone.stack.folds.ways_out import join_ways

Images = TypeVar("Images", bound=LabelledImages)

_ROWS_A_STEP = 500  # that are divided at once, see `stack.folds.trials`


def planned_folds(images: Images, division: Division, *, advise: bool = True) -> tuple[Images, list[Fold]]:
    """Return the images without classes that are dropped, with the times that inner folds follow, and the outer folds.

    Parameters
    ----------
    images : LabelledImages
        All images that take part.
    division : Division
        Of another plan than `DEALT`.
    advise : bool
        Whether to look for what would do where the folds are refused, which takes seconds.

    Raises
    ------
    StackError
        If labels, groups or the column do not allow it; the message names what does.
    UsageError
        If there is no such column, or no file.
    """
    images.truth(division.kind)
    if division.plan == ORDERED:
        column = division.column or ""
        cells = find_column(images.index, "--time-column", column)
        own = [cells[row] for row in images.rows]
        images = replace(images, times=read_times(own, images.paths, column))
    says_how = division.plan != ORDERED  # what refuses to divide, not what is refused below
    try:
        found, folds, notes = _without_lost(images, division)
        says_how = False
        _check(found, folds, division)
    except StackError as exc:
        if says_how or not advise:
            raise
        message = f"{exc}{_ways(images, division)}"
        raise StackError(message) from exc
    return replace(found, notes=[*found.notes, *notes]), folds


def _without_lost(images: Images, division: Division) -> tuple[Images, list[Fold], list[str]]:
    """Divide; with ``--rare drop``, without the classes that a fold tests and its training part lacks."""
    n = len(images.rows)
    folds, notes = _divide(images, division)
    lost = _lost(images, folds, division)
    dropped: list[str] = []
    while division.rare == "drop" and len(lost):
        dropped += lost
        images = images.take(np.flatnonzero(~np.isin(images.labels, lost)))
        if len(np.unique(images.labels)) < 2:
            message = f"without the classes that a training part lacks ({', '.join(dropped)}), fewer than 2 are left"
            raise StackError(message)
        folds, notes = _divide(images, division)
        lost = _lost(images, folds, division)
    if dropped:
        left = counted(n - len(images.rows), "image")
        notes.append(
            f"left out, tested by a fold whose training part lacks them ({left}): {', '.join(sorted(dropped))}"
        )
    return images, folds, notes


def _lost(images: LabelledImages, folds: list[Fold], division: Division) -> list[str]:
    """Return the classes that a fold tests and its training part lacks."""
    lost: set[str] = set()
    for fold in folds:
        rows = np.concatenate([fold.train, fold.test])
        unknown = division.kind.unknown(images.labels[rows], np.arange(len(rows)) >= len(fold.train))
        lost |= set(map(str, unknown))
    return sorted(lost)


def _divide(images: LabelledImages, division: Division) -> tuple[list[Fold], list[str]]:
    if division.plan == GIVEN:
        return given_folds(images, division)
    if division.plan == ORDERED:
        return _by_time(images, division)
    if division.plan == LOGO:
        return _groups_out(images, division)
    return _images_out(images, division)


def _images_out(images: LabelledImages, division: Division) -> tuple[list[Fold], list[str]]:
    n = len(images.rows)
    if images.groups is not None and len(np.unique(images.groups)) < n:
        message = (
            f"--cv {LOO} leaves out one image at a time, and {counted(images.n_groups or 0, 'group')} of {n:,} images "
            f"belong together: what was learnt of the others of a group would be recognised. Type --cv {LOGO} to leave "
            f"out each group, or {ungrouped(images)} if they may be divided"
        )
        raise StackError(message)
    division.check_number(n, "image")
    note = (
        "each fold tests one image: read accuracy and log-loss, whose means over folds are those over images, and "
        "not macro-F1 and calibration error, which one image does not have"
    )
    return [Fold.testing(np.array([row]), n) for row in range(n)], [note]


def _groups_out(images: LabelledImages, division: Division) -> tuple[list[Fold], list[str]]:
    if images.groups is None:
        message = (
            f"--cv {LOGO} leaves out one group at a time, and the dataset {images.index.name!r} is not grouped. Type "
            "--group-by folder, or name the table's column of groups: `stackbone extract TABLE --group-column COLUMN`"
        )
        raise StackError(message)
    groups = np.unique(images.groups)
    if len(groups) < 2:
        message = f"--cv {LOGO} needs at least 2 groups, and all {len(images.rows):,} images are in one"
        raise StackError(message)
    division.check_number(len(groups), "group")
    n = len(images.groups)
    return [Fold.testing(np.flatnonzero(images.groups == group), n) for group in groups], []


def _by_time(images: LabelledImages, division: Division) -> tuple[list[Fold], list[str]]:
    times = images.times
    if times is None:
        message = "images in the order of time have times"
        raise TypeError(message)
    folds = ordered_folds(times, resolve_groups(images.groups, len(times)), division.cv)
    n_first = len(times) - sum(len(fold.test) for fold in folds)
    n_apart = sum(int((times < times[fold.test].min()).sum()) - len(fold.train) for fold in folds)
    notes = [
        f"each fold tests what comes after its training images in {division.column!r}; the first "
        f"{counted(n_first, 'image')} {'is' if n_first == 1 else 'are'} never tested"
    ]
    if n_apart:
        notes.append(f"training parts leave out {counted(n_apart, 'image')} in all, whose groups are tested there")
    return folds, notes


def _check(images: LabelledImages, folds: list[Fold], division: Division) -> None:
    """Refuse folds that cannot be scored fairly, or whose training parts cannot be divided again."""
    task, units = division.kind, images.units(division.dealing)
    for number, fold in enumerate(folds, start=1):
        if lost := _lost(images, [fold], division):
            message = (
                f"the training part of fold {number} of {len(folds)} has no image of {list_classes(np.array(lost))}, "
                "which the fold tests; no classifier can learn a class it never saw"
            )
            raise StackError(message)
    truth = images.truth(task)
    task.check_folds(truth, images.groups, folds)
    if images.times is None:
        task.check_split(images.labels, units, folds, division.ask())
        return
    for number, fold in enumerate(folds, start=1):
        try:
            task.divide_training(truth, fold.train, units, division.seed, division.inner_splits)
        except StackError as exc:
            message = f"fold {number} of {len(folds)} in the order of {division.column!r}: {exc}"
            raise StackError(message) from exc


def _ways(images: LabelledImages, division: Division) -> str:
    """Return what was tried and works in place of these folds, for the end of a message."""
    trials = Trials()

    def works(other: Division) -> bool:
        return trials.work(1 + len(images.rows) * other.cv // _ROWS_A_STEP, lambda: _try(images, other))

    ways = []
    if "drop" in division.kind.rare and division.rare == "refuse" and works(replace(division, rare="drop")):
        ways.append("leave out the classes that a fold tests and its training part lacks (--rare drop)")
    if division.plan == ORDERED:
        numbers = [n for n in range(division.cv - 1, 1, -1) if works(replace(division, cv=n))][:1]
        ways += [f"ask for {n} folds ({typed('--time-column', division.column, '--cv', n)})" for n in numbers]
        fewer = [n for n in (3, 2) if n < division.inner_splits and works(replace(division, inner_splits=n))][:1]
        ways += [f"ask for {n} inner folds (--inner-cv {n})" for n in fewer]
    if not ways or division.plan != ORDERED:
        ways += cross_validation(trials, images, division)
    return join_ways(ways, trials)


def _try(images: LabelledImages, division: Division) -> None:
    found, folds, _ = _without_lost(images, division)
    _check(found, folds, division)
