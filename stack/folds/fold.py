"""One division of the rows into training and test part, and what makes it fair to score on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.text import counted
from stackbone.stack.folds.class_labels import list_classes, list_first


@dataclass(frozen=True, eq=False)
class Fold:
    """One train/test division of the rows of a dataset.

    Attributes
    ----------
    train : NDArray[np.int64]
        ``(n_train,)`` ascending row indices to fit on.
    test : NDArray[np.int64]
        ``(n_test,)`` ascending row indices to score on; none of them is in `train`.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]

    @classmethod
    def testing(cls, test: NDArray[np.integer], n: int) -> "Fold":
        """Return the fold that tests these ascending rows and trains on all others of `n`."""
        return cls(np.delete(np.arange(n, dtype=np.int64), test), test.astype(np.int64, copy=False))


@dataclass(frozen=True, eq=False)
class Kept:
    """The images that are divided, where some are left out, or some of what their labels say.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n_kept,)`` ascending rows.
    labels : NDArray[np.str_]
        ``(n_kept,)`` their labels.
    note : str, optional
        What was left out, in words; None if nothing was.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.str_]
    note: str | None


def check_fold_classes(y: NDArray[np.str_], fold: Fold, where: str) -> None:
    """Require that a training part knows every class that its test part asks for, and at least two.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    fold : Fold
        The fold to look at.
    where : str
        What to call the training part in the message.

    Raises
    ------
    StackError
        If a class of the test part has no training row, or the training part has one class only.
    """
    known = np.unique(y[fold.train])
    unknown = np.setdiff1d(y[fold.test], known)
    if len(unknown):
        msg = (
            f"{where} has no image of {list_classes(unknown)}, which the test part contains; "
            "no classifier can learn a class it never saw"
        )
        raise StackError(msg)
    if len(known) < 2:
        msg = f"{where} has {counted(len(known), 'class', 'classes')}; at least 2 are needed"
        raise StackError(msg)


def check_fold_groups(groups: NDArray[np.int64], fold: Fold, where: str) -> None:
    """Require that no group is on both sides of a fold.

    Parameters
    ----------
    groups : NDArray[np.int64]
        ``(n_images,)`` group ids; negative ones are groups of one.
    fold : Fold
        The fold to look at.
    where : str
        What to call the fold in the message.

    Raises
    ------
    StackError
        If a group has rows in the training part and in the test part.
    """
    shared = np.intersect1d(groups[fold.train], groups[fold.test])
    shared = shared[shared >= 0]
    if len(shared):
        learnt, asked = (rows[groups[rows] == shared[0]][0] for rows in (fold.train, fold.test))
        msg = (
            f"{where} has {counted(len(shared), 'group')} of images on both sides, such as that of row {learnt} "
            f"(training) and row {asked} (test); what was learnt of one image would be recognised on the other"
        )
        raise StackError(msg)


def check_split(split: NDArray[np.str_], test: str) -> None:
    """Require that a split has the part to test on, another to train on, and every row in one.

    Parameters
    ----------
    split : NDArray[np.str_]
        ``(n_images,)`` name of each row's part; empty where it has none.
    test : str
        The part to test on.

    Raises
    ------
    StackError
        If the part does not exist or is everything there is, or if rows have no split.
    """
    names = [str(name) for name in np.unique(split) if name != ""]
    if not names:
        msg = f"the dataset has no split column, so there is no part {test!r}"
        raise StackError(msg)
    if test not in names:
        msg = f"the dataset has no split {test!r}; it has {', '.join(names)}"
        raise StackError(msg)
    unassigned = np.flatnonzero(split == "")
    if len(unassigned):
        msg = (
            f"{len(unassigned)} of {len(split)} images have no split (first rows: {list_first(unassigned)}) "
            f"while others have ({', '.join(names)}); every image needs one"
        )
        raise StackError(msg)
    if names == [test]:
        msg = f"every image is in split {test!r}, so none is left to train on"
        raise StackError(msg)
