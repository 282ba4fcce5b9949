"""What must hold before anything is fitted, said in words when it does not."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Features, distinct_blocks

_ROWS = 4096  # checked at a time: what is true of each value takes a byte


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
        finite = [np.isfinite(x[start : start + _ROWS]).all(axis=1) for start in range(0, len(x), _ROWS)]
        rows = np.flatnonzero(~np.concatenate(finite)) if finite else np.arange(0)
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
        If a fold breaks this.
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
