"""What must hold before anything is fitted, said in words when it does not."""

import difflib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.folds import Fold
from stackbone.stack.folds.per_fold import Features, distinct_blocks


def check_choice(what: str, chosen: str, known: Sequence[str]) -> None:
    """Require that `chosen` is one of the `known` names.

    Raises
    ------
    UsageError
        If it is not; the message names one that is much alike.
    """
    if chosen not in known:
        near = difflib.get_close_matches(chosen, known, n=1)
        meant = f": did you mean {near[0]!r}?" if near else ""
        msg = f"unknown {what} {chosen!r}; there are {', '.join(known)}{meant}"
        raise UsageError(msg)


def check_blocks(blocks: Mapping[str, Features], n_images: int) -> None:
    """Require finite features of every image in every block.

    Parameters
    ----------
    blocks : mapping of str to Features
        Backbone name to its ``(n_images, dim)`` features.
    n_images : int
        Rows that each must have.

    Raises
    ------
    StackError
        If a block is missing rows or columns, or holds NaN or infinity.
    """
    if not blocks:
        msg = "no features were given; name at least one backbone whose features were extracted"
        raise StackError(msg)
    for name, x in distinct_blocks(blocks):
        if x.ndim != 2 or len(x) != n_images or x.shape[1] == 0:
            msg = (
                f"features of {name!r} have shape {x.shape}; expected ({n_images}, dim), one row per label: "
                "features and labels must come from the same dataset"
            )
            raise StackError(msg)
        rows = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(rows):
            msg = (
                f"features of {name!r} hold NaN or infinity in {len(rows)} of {n_images} rows (first rows: "
                f"{', '.join(map(str, rows[:5]))}); every feature must be finite: "
                "verify the cache and extract this backbone again"
            )
            raise StackError(msg)


def check_groups(groups: NDArray[np.int64] | None, n_images: int) -> None:
    """Require one group of every image, if any.

    Raises
    ------
    StackError
        If there are groups of other images.
    """
    if groups is not None and groups.shape != (n_images,):
        msg = f"groups have shape {groups.shape} for {n_images} labels; expected one group of every image"
        raise StackError(msg)


def check_folds(folds: Sequence[Fold], n_images: int) -> None:
    """Require that every fold has training and test rows, none of them in both or beyond the images.

    Raises
    ------
    StackError
        If one has not.
    """
    if not folds:
        msg = "no folds were given; make them with stratified_folds or split_folds"
        raise StackError(msg)
    for number, fold in enumerate(folds, start=1):
        where = f"the training part of fold {number} of {len(folds)}"
        rows = np.concatenate([fold.train, fold.test])
        if len(fold.test) == 0 or len(fold.train) == 0 or rows.min() < 0 or rows.max() >= n_images:
            msg = (
                f"fold {number} of {len(folds)} has {len(fold.train)} training and {len(fold.test)} test rows "
                f"for {n_images} images; neither may be empty or reach beyond them: make folds of these labels"
            )
            raise StackError(msg)
        shared = np.intersect1d(fold.train, fold.test)
        if len(shared):
            msg = (
                f"{where} shares {len(shared)} rows with its test part (row {shared[0]} first); "
                "scores on rows that were learnt mean nothing: make disjoint folds"
            )
            raise StackError(msg)


def check_subsets(codes: NDArray[np.int64], n_classes: int, subsets: Sequence[NDArray[np.int64]]) -> None:
    """Require two classes and one training subset at least, and every class in every subset.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes, 0 to ``n_classes - 1``.
    n_classes : int
        Number of classes.
    subsets : sequence of NDArray[np.int64]
        Rows of each training subset.

    Raises
    ------
    UsageError
        If there are fewer.
    StackError
        If a subset lacks a class.
    """
    if n_classes < 2 or not subsets:
        msg = (
            f"found {n_classes} class(es) and {len(subsets)} training subset(s); "
            "a classifier needs at least 2 classes and 1 subset: check the labels and folds"
        )
        raise UsageError(msg)
    for number, subset in enumerate(subsets, start=1):
        missing = np.setdiff1d(np.arange(n_classes), codes[subset])
        if len(missing):
            named = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            msg = (
                f"training subset {number} of {len(subsets)} ({len(subset)} rows) lacks {len(missing)} of "
                f"{n_classes} classes (codes {named}); no classifier can learn a class it never saw: "
                "put images of every class into every training subset"
            )
            raise StackError(msg)
