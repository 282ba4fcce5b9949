"""Penalties of parts of the columns for `SoftmaxRegression`, chosen as the command line chooses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv

from stackbone.cache.errors import StackError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import inner_folds
from stackbone.stack.learners.bases.lr import score_classes
from stackbone.stack.solvers.scales import ColumnParts


def read_widths(parts: Sequence[int], n_features: int) -> tuple[int, ...]:
    """Return the widths of the parts of `n_features` columns; a ValueError says what is wrong with them."""
    widths = np.asarray(parts)
    if widths.ndim != 1 or widths.dtype.kind not in "iu" or not len(widths) or widths.min() < 1:
        msg = f"parts is {parts!r}; expected the number of columns of each part, such as (1280, 16, 24)"
        raise ValueError(msg)
    if widths.sum() != n_features:
        msg = (
            f"parts have {widths.sum():,} columns in all, and X has {n_features:,}: give the width of every part, from "
            "the first column to the last"
        )
        raise ValueError(msg)
    return tuple(widths.tolist())


def weigh_parts(
    x: NDArray[np.floating],
    codes: NDArray[np.int64],
    widths: tuple[int, ...],
    c: float,
    cv: Any,  # noqa: ANN401 - a number, a splitter or an iterable, as scikit-learn has it
    weight: float,
) -> ColumnParts:
    """Return parts with the penalties that held-out rows ask for, see `stack.learners.part_weights`.

    Parameters
    ----------
    x : NDArray[np.floating]
        ``(n, dim)`` features.
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    widths : tuple of int
        Columns of each part.
    c : float
        Inverse regularisation strength.
    cv : int, splitter or iterable of (train, test)
        Folds of the rows.
    weight : float
        What each row counts for.

    Raises
    ------
    ValueError
        If no two classes have rows in two folds, or a training part lacks a class.
    """
    parts, n_classes = ColumnParts.alike(*widths), int(codes.max()) + 1
    if len(widths) == 1:
        return parts
    try:
        if isinstance(cv, int | np.integer):
            folds = inner_folds(codes, np.arange(n_classes).astype(str), 0, n_splits=int(cv))
        else:
            folds = [Fold(train, test) for train, test in check_cv(cv).split(x, codes)]
        found = score_classes(x, codes, x[:0], n_classes, folds, [c], weight=weight, parts=parts)
    except StackError as error:
        msg = f"parts cannot be weighed: {error}"
        raise ValueError(msg) from error
    return parts if found.parts is None else ColumnParts(widths, tuple(found.parts[:, 0].tolist()))
