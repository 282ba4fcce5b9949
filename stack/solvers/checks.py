"""What training subsets and weights must hold before a classifier is fitted, and fits must promise after it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.text import counted


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
            f"found {counted(n_classes, 'class', 'classes')} and {counted(len(subsets), 'training subset')}; "
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


def check_weights(weights: NDArray[np.float64], n_rows: int, taking_part: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the weights of the rows that take part, if each is a positive number: a row of 0 belongs in no subset.

    Parameters
    ----------
    weights : NDArray[np.float64]
        ``(n_rows,)``.
    n_rows : int
        Rows that there are.
    taking_part : NDArray[np.int64]
        Those that a fit sees.

    Raises
    ------
    UsageError
        If there are more or fewer than rows, or one is not a positive number.
    """
    if weights.shape != (n_rows,):
        msg = f"found weights of shape {weights.shape} for {n_rows} rows; expected one for each row: pass ({n_rows},)"
        raise UsageError(msg)
    own = weights[taking_part]
    wrong = np.flatnonzero(~(np.isfinite(own) & (own > 0)))
    if len(wrong):
        msg = (
            f"{len(wrong)} of {len(own)} weights are not positive numbers (row {taking_part[wrong[0]]} has "
            f"{own[wrong[0]]:g}, first); leave out the rows that are not to count, and correct the others"
        )
        raise UsageError(msg)
    return own


def warn_unproved(c: float, bounds: NDArray[np.float64], promised: float, steps: int) -> None:
    """Warn of fits whose objective is not proved to be near its minimum.

    Parameters
    ----------
    c : float
        Their inverse regularisation strength.
    bounds : NDArray[np.float64]
        ``(n_fits,)`` by how much each can be above it, as a share of it.
    promised : float
        The most that was to be left.
    steps : int
        That the slowest took.
    """
    far = ~(bounds <= promised)
    if far.any():
        msg = (
            f"{int(far.sum())} of {len(far)} fits at C = {c:g} stopped after up to {steps} steps, where "
            f"the objective may be {bounds[far].max():.0e} of itself above its minimum (at most {promised:.0e} was "
            "to be left); choose a smaller C, standardise the features, or allow more iterations"
        )
        warnings.warn(msg, ConvergenceWarning, stacklevel=3)
