"""What training subsets must hold before a classifier is fitted on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

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
