"""Which rows train and which rows test: outer folds by stratification or by the dataset's own split.

A fold is only index arrays, so that one list of folds serves every backbone, recipe and baseline,
and their scores can be compared fold by fold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from cache.errors import StackError


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


def stratified_folds(y: NDArray[np.str_], n_splits: int, seed: int) -> list[Fold]:
    """Divide the rows into folds that keep the class proportions.

    Exactly ``sklearn.model_selection.StratifiedKFold(n_splits, shuffle=True, random_state=seed)``,
    except that a class with fewer rows than folds is an error and not a warning: some fold would
    lack it, and its scores would mean something else.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    n_splits : int
        Number of folds, at least 2.
    seed : int
        Seed of the shuffle; the same seed gives the same folds.

    Returns
    -------
    list of Fold
        `n_splits` folds; every row is in exactly one test part.

    Raises
    ------
    StackError
        If there are fewer than two folds or classes, an unlabelled row, or a class with fewer rows
        than folds.
    """
    if n_splits < 2:
        msg = f"{n_splits} cross-validation folds were asked for; at least 2 are needed: choose 2 or more"
        raise StackError(msg)
    check_labels(y)
    _check_class_sizes(y, n_splits)
    splitter = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    return [_fold(train, test) for train, test in splitter.split(np.zeros(len(y)), y)]


def split_folds(split: NDArray[np.str_], test: str) -> list[Fold]:
    """Make the one fold that the dataset's own split prescribes.

    Parameters
    ----------
    split : NDArray[np.str_]
        ``(n_images,)`` name of each row's part, such as ``train``, ``validation`` or ``test``.
    test : str
        The part to score on; the rows of every other part (train and validation, say) are fitted on.

    Returns
    -------
    list of Fold
        One fold.

    Raises
    ------
    StackError
        If the part `test` does not exist or is everything there is, or if rows have no split. Whether
        the training part knows every class is checked where the labels are: `check_fold_classes`.
    """
    _check_split(split, test)
    in_test = split == test
    return [_fold(np.flatnonzero(~in_test), np.flatnonzero(in_test))]


def check_labels(y: NDArray[np.str_]) -> None:
    """Require a class name on every row and at least two classes.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.

    Raises
    ------
    StackError
        If `y` is not one-dimensional, a row has an empty label, or fewer than two classes exist.
    """
    if y.ndim != 1:
        msg = f"labels have shape {y.shape}; expected one class name per image, shape (n_images,)"
        raise StackError(msg)
    unlabelled = np.flatnonzero(y == "")
    if len(unlabelled):
        msg = (
            f"{len(unlabelled)} of {len(y)} images have no label (first rows: {_first(unlabelled)}); "
            "every image needs one: label them or leave them out"
        )
        raise StackError(msg)
    classes = np.unique(y)
    if len(classes) < 2:
        found = f"the one class {str(classes[0])!r}" if len(classes) else "no image"
        msg = f"found {found}; a classifier needs at least 2 classes: check the label column or folders"
        raise StackError(msg)


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
            f"{where} has no image of {_named(unknown)}, which the test part contains; "
            "no classifier can learn a class it never saw: "
            "move images of it into the training part, or leave the class out"
        )
        raise StackError(msg)
    if len(known) < 2:
        msg = f"{where} has {len(known)} class(es); at least 2 are needed: use other folds or another split"
        raise StackError(msg)


def _check_class_sizes(y: NDArray[np.str_], n_splits: int) -> None:
    classes, counts = np.unique(y, return_counts=True)
    rare = counts < n_splits
    if not rare.any():
        return
    sizes = ", ".join(f"{str(c)!r} ({n})" for c, n in zip(classes[rare], counts[rare], strict=True))
    most = int(counts.min())
    fewer = f"ask for at most {most} folds, " if most >= 2 else ""
    msg = (
        f"{int(rare.sum())} class(es) have fewer images than the {n_splits} folds asked for: {sizes}; "
        f"every fold needs at least one image of every class: {fewer}add images, or leave the class out"
    )
    raise StackError(msg)


def _check_split(split: NDArray[np.str_], test: str) -> None:
    names = [str(name) for name in np.unique(split) if name != ""]
    if not names:
        msg = f"the dataset has no split column, so there is no part {test!r}; use cross-validation instead"
        raise StackError(msg)
    if test not in names:
        msg = f"the dataset has no split {test!r}; it has {', '.join(names)}: name one of these"
        raise StackError(msg)
    unassigned = np.flatnonzero(split == "")
    if len(unassigned):
        msg = (
            f"{len(unassigned)} of {len(split)} images have no split (first rows: {_first(unassigned)}) "
            f"while others have ({', '.join(names)}); give every image a split, or use cross-validation"
        )
        raise StackError(msg)
    if names == [test]:
        msg = f"every image is in split {test!r}, so none is left to train on; use cross-validation instead"
        raise StackError(msg)


def _fold(train: NDArray[np.integer], test: NDArray[np.integer]) -> Fold:
    return Fold(train.astype(np.int64, copy=False), test.astype(np.int64, copy=False))


def _named(classes: NDArray[np.str_]) -> str:
    noun = "class" if len(classes) == 1 else "classes"
    return f"{noun} {', '.join(repr(str(c)) for c in classes)}"


def _first(rows: NDArray[np.int64]) -> str:
    return ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
