"""Numeric labels, one of each image or several: read, and checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.labels.numbers import as_number, split_numbers
from stackbone.cache.text import counted
from stackbone.stack.folds.fold import Fold

_LARGEST = 1e30  # far below the largest float32, 3.4e38, so that sums of products stay finite


def parse_targets(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """Read the numbers that a dataset's labels spell.

    Parameters
    ----------
    labels : NDArray[np.str_]
        ``(n_images,)`` labels, such as ``41.5`` or ``-3e2``.

    Returns
    -------
    NDArray[np.float64]
        ``(n_images,)`` targets, finite, in the labels' unit.

    Raises
    ------
    StackError
        If a label is not a finite number; the message names the first.
    """
    targets = find_targets(labels)
    wrong = np.flatnonzero(~np.isfinite(targets))
    if len(wrong):
        first = ", ".join(f"{str(labels[row])!r} (row {row})" for row in wrong[:5])
        msg = (
            f"{len(wrong)} of {len(labels)} labels are not finite numbers: {first}{', ...' if len(wrong) > 5 else ''}; "
            "regression needs a number for every image, with a decimal point and without its unit, such as 41.5: "
            "correct the label column, or leave out --task regression to classify"
        )
        raise StackError(msg)
    return targets


def find_targets(labels: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return the ``(n_images,)`` numbers that labels spell; NaN or infinity where one spells no finite number."""
    numbers = (as_number(str(label)) for label in labels)
    return np.array([np.nan if number is None else number for number in numbers], np.float64)


def check_targets(y: NDArray[np.float64]) -> None:
    """Require targets that a regression can be fitted to and scored on.

    Parameters
    ----------
    y : NDArray[np.float64]
        ``(n_images,)`` targets.

    Raises
    ------
    StackError
        If `y` is not one-dimensional, a target is not finite, all are equal, or they are larger or differ by less
        than the float32 of saved regressions can hold or tell apart.
    """
    if y.ndim != 1 or len(y) == 0:
        msg = f"targets have shape {y.shape}; expected shape (n_images,): pass one number per image"
        raise StackError(msg)
    bad = np.flatnonzero(~np.isfinite(y))
    if len(bad):
        msg = (
            f"{len(bad)} of {len(y)} targets are NaN or infinite (row {bad[0]} first); every image needs a number: "
            "correct the labels or leave these images out"
        )
        raise StackError(msg)
    largest = int(np.abs(y).argmax())
    if abs(y[largest]) > _LARGEST:
        msg = (
            f"a target is {y[largest]:g} (row {largest}), too large for single precision; expected {_LARGEST:g} at "
            "most, without its sign: correct the label, or divide all labels by a constant"
        )
        raise StackError(msg)
    if np.ptp(y) == 0:
        msg = f"every image has the target {y[0]:g}; there is nothing to predict: check the label column"
        raise StackError(msg)
    if y.std() < 1e-4 * np.abs(y).max():
        msg = (
            f"targets lie between {y.min():.10g} and {y.max():.10g}, so close together for their size that single "
            "precision blurs them: subtract a constant (the smallest, say) from the labels"
        )
        raise StackError(msg)


def parse_several(labels: NDArray[np.str_]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Read the numbers that labels of several numbers spell.

    Parameters
    ----------
    labels : NDArray[np.str_]
        ``(n_images,)`` labels as an index holds them, such as ``length=12.5|weight=3``.

    Returns
    -------
    names : NDArray[np.str_]
        ``(n_targets,)`` of the numbers, in the order of the labels.
    targets : NDArray[np.float64]
        ``(n_images, n_targets)``, finite, each column in its own unit.

    Raises
    ------
    StackError
        If an image lacks one of the numbers, has another, or a number is not finite; the message names the first.
    """
    spelt = [split_numbers(str(label)) for label in labels]
    names = list(spelt[0]) if spelt else []
    targets = np.full((len(spelt), len(names)), np.nan)
    for row, each in enumerate(spelt):
        if list(each) != names:
            msg = (
                f"the label {str(labels[row])!r} (row {row}) does not spell the same numbers as the first, "
                f"{str(labels[0])!r}: every image needs all, such as length=12.5|weight=3. Extract the dataset again "
                "with --label-columns, which embeds no image again"
            )
            raise StackError(msg)
        for column, (name, cell) in enumerate(each.items()):
            number = as_number(cell)
            if number is None:
                msg = (
                    f"the number {name!r} is {cell!r} in row {row}, which is not finite, or no number; expected one "
                    "with a decimal point and without its unit, such as 41.5: correct the column of the table"
                )
                raise StackError(msg)
            targets[row, column] = number
    return np.array(names, np.str_), targets


def check_several(names: NDArray[np.str_], targets: NDArray[np.float64]) -> None:
    """Require numbers each of which a regression can be fitted to and scored on.

    Parameters
    ----------
    names : NDArray[np.str_]
        ``(n_targets,)``.
    targets : NDArray[np.float64]
        ``(n_images, n_targets)``.

    Raises
    ------
    StackError
        If there is none, or one is as `check_targets` refuses it; the message names it.
    """
    if not targets.size:
        msg = f"targets have shape {targets.shape}; expected (n_images, n_targets), not empty"
        raise StackError(msg)
    for name, column in zip(names, targets.T, strict=True):
        try:
            check_targets(column)
        except StackError as exc:
            msg = f"the number {str(name)!r}: {exc}, or leave this number out of --label-columns"
            raise StackError(msg) from exc


def check_groups_apart(folds: Sequence[Fold], group: NDArray[np.int64]) -> None:
    """Require that no group is on both sides of a fold.

    Parameters
    ----------
    folds : sequence of Fold
        The outer folds.
    group : NDArray[np.int64]
        ``(n_images,)`` group ids, none negative.

    Raises
    ------
    StackError
        If one is.
    """
    for number, fold in enumerate(folds, start=1):
        shared = np.intersect1d(group[fold.train], group[fold.test])
        if len(shared):
            in_train, in_test = (rows[group[rows] == shared[0]][0] for rows in (fold.train, fold.test))
            msg = (
                f"{counted(len(shared), 'group')} of fold {number} of {len(folds)} in both its training and test part "
                f"(rows {in_train} and {in_test} share one); scores on them would be too high: "
                "make the folds with these groups"
            )
            raise StackError(msg)
