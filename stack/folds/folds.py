"""Which rows train and which rows test: outer folds, inner folds, or the dataset's own split.

A fold is only index arrays, so that one list of folds serves every backbone, recipe and baseline,
and their scores can be compared fold by fold. Rows of one group (see `stack.folds.groups`) are never on
both sides of a fold; groups are ids as `join_groups` returns them, where -1 also means none.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.digest import Digests
from stackbone.cache.errors import StackError, UsageError
from stackbone.stack.folds.class_folds import INNER_FOLDS, Ask, divide_classes, divide_inner
from stackbone.stack.folds.class_labels import check_labels, find_rare, list_first, resolve_groups
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold, check_fold_classes, check_fold_groups, check_split
from stackbone.stack.folds.target_folds import divide_rows
from stackbone.stack.folds.ways_out import ways_for_classes, ways_for_targets

__all__ = [
    "check_fold_classes",
    "check_fold_groups",
    "check_labels",
    "find_rare",
    "inner_folds",
    "regression_folds",
    "split_folds",
    "stratified_folds",
]


def stratified_folds(
    y: NDArray[np.str_],
    n_splits: int,
    seed: int,
    *,
    groups: NDArray[np.int64] | None = None,
    digests: Digests | None = None,
    repeats: int = 1,
    rare: Literal["refuse", "keep"] = "refuse",
    inner_splits: int = INNER_FOLDS,
) -> list[Fold]:
    """Divide the rows into folds that keep the class proportions, and groups whole.

    With the images' digests, images are dealt by them (`stack.folds.dealing.DigestDealer`): a changed label, an
    added or a removed image moves a few others at most, which is what `stackbone stack` does. Without, exactly
    ``sklearn.model_selection.StratifiedKFold(n_splits, shuffle=True, random_state=seed)``, or
    ``StratifiedGroupKFold`` where groups join any rows, where each of these is another shuffle. Except that a class
    with fewer rows (groups) than folds is an error and not a warning: some fold would lack it, and its scores would
    mean something else.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    n_splits : int
        Number of folds, at least 2.
    seed : int
        Seed of the shuffle, 0 to 2³² - 1; the same seed gives the same folds.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group ids.
    digests : Digests, optional
        ``(n_images, 32)`` uint8, SHA-256 of each image; those of one digest are one group.
    repeats : int
        Times the rows are divided, each time otherwise; the first time as without repeats.
    rare : {"refuse", "keep"}
        What becomes of a class with fewer rows (groups) than folds: an error, or it stays in every
        training part and is never tested, nor is what shares a group with it.
    inner_splits : int
        Inner folds that training parts will be divided into; what a message advises allows them.

    Returns
    -------
    list of Fold
        `n_splits` folds of the first repeat, then of the next; in each repeat every row is in exactly
        one test part, except those that `rare` keeps out of all.

    Raises
    ------
    StackError
        If there are fewer than two folds or classes, an unlabelled row, a class that is too rare, or
        no division found that keeps groups whole and every class in every training part.
    UsageError
        If `repeats`, `rare` or `seed` is none of the above.
    """
    check_labels(y)
    if rare not in ("refuse", "keep"):
        msg = f"unknown way {rare!r} with rare classes; expected 'refuse' or 'keep'"
        raise UsageError(msg)
    ask, units = Ask(n_splits, seed, repeats, rare, inner_splits), Units(groups, digests)
    try:
        return divide_classes(y, units, ask)
    except StackError as exc:
        msg = f"{exc}{ways_for_classes(y, units, ask)}"
        raise StackError(msg) from exc


def inner_folds(
    codes: NDArray[np.int64],
    class_names: NDArray[np.str_],
    seed: int,
    *,
    groups: NDArray[np.int64] | None = None,
    digests: Digests | None = None,
    n_splits: int = INNER_FOLDS,
) -> list[Fold]:
    """Divide an outer training part into the folds that serve C, out-of-fold scores and the meta-learner.

    Every training part has every class, so that out-of-fold scores have no column that was never
    fitted. Where that takes it, a row is in no test part: rows of a class that has one row (group)
    only, what shares a group with them, and, where groups cannot be divided otherwise, the smallest
    group that has to move.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n_train,)`` class codes, indices into `class_names`.
    class_names : NDArray[np.str_]
        ``(n_known,)`` names of all classes, for the message.
    seed : int
        Seed of the shuffle, 0 to 2³² - 1.
    groups : NDArray[np.int64], optional
        ``(n_train,)`` group ids.
    digests : Digests, optional
        ``(n_train, 32)`` uint8, SHA-256 of each image: to deal by, see `stratified_folds`.
    n_splits : int
        Most folds to make, at least 2.

    Returns
    -------
    list of Fold
        `n_splits` stratified folds over the rows of the training part, or as many as its smallest
        class of two or more rows (groups) has.

    Raises
    ------
    StackError
        If fewer than two classes can be both learnt and tested.
    UsageError
        If `seed` is out of range.
    """
    return divide_inner(codes, class_names, Units(groups, digests), seed, n_splits, "a training part")


def regression_folds(
    y: NDArray[np.float64],
    n_splits: int,
    seed: int,
    *,
    groups: NDArray[np.int64] | None = None,
    digests: Digests | None = None,
    repeats: int = 1,
    inner_splits: int = INNER_FOLDS,
) -> list[Fold]:
    """Divide rows with numeric targets into shuffled folds, and groups whole.

    With the images' digests, images are dealt by them, so that a changed target moves none, and an added or removed
    image ``n_splits - 1`` at most (`stack.folds.dealing.DigestDealer`). Without, exactly
    ``sklearn.model_selection.KFold(n_splits, shuffle=True, random_state=seed)`` of the rows,
    or of the groups (``GroupKFold`` with the same arguments).

    Parameters
    ----------
    y : NDArray[np.float64]
        ``(n_images,)`` targets, in their own unit.
    n_splits : int
        Number of folds, at least 2.
    seed : int
        Seed of the shuffle, 0 to 2³² - 1; the same seed gives the same folds.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group ids.
    digests : Digests, optional
        ``(n_images, 32)`` uint8, SHA-256 of each image; those of one digest are one group.
    repeats : int
        Times the rows are divided, each time otherwise; the first time as without repeats.
    inner_splits : int
        Inner folds that training parts will be divided into; what a message advises allows them.

    Returns
    -------
    list of Fold
        `n_splits` folds of the first repeat, then of the next; in each repeat every row is in exactly
        one test part.

    Raises
    ------
    StackError
        If a target is not finite, or there are fewer than two folds or fewer rows (groups) than folds.
    UsageError
        If `repeats` or `seed` is out of range.
    """
    if y.ndim != 1:
        msg = f"targets have shape {y.shape}; expected one number per image, shape (n_images,)"
        raise StackError(msg)
    bad = np.flatnonzero(~np.isfinite(y))
    if len(bad):
        msg = (
            f"{len(bad)} of {len(y)} targets are not finite (first rows: {list_first(bad)}); "
            "every image needs a number: correct the label column, or leave them out"
        )
        raise StackError(msg)
    ask, units = Ask(n_splits, seed, repeats, inner_splits=inner_splits), Units(groups, digests)
    try:
        return divide_rows(len(y), units, ask)
    except StackError as exc:
        msg = f"{exc}{ways_for_targets(len(y), units, ask)}"
        raise StackError(msg) from exc


def split_folds(split: NDArray[np.str_], test: str, *, groups: NDArray[np.int64] | None = None) -> list[Fold]:
    """Make the one fold that the dataset's own split prescribes.

    Parameters
    ----------
    split : NDArray[np.str_]
        ``(n_images,)`` name of each row's part, such as ``train``, ``validation`` or ``test``.
    test : str
        The part to score on; the rows of every other part (train and validation, say) are fitted on.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group ids.

    Returns
    -------
    list of Fold
        One fold.

    Raises
    ------
    StackError
        If the part `test` does not exist or is everything there is, if rows have no split, or if a
        group is on both sides. Whether the training part knows every class is checked where the labels
        are: `check_fold_classes`.
    """
    check_split(split, test)
    fold = Fold.testing(np.flatnonzero(split == test), len(split))
    if groups is not None:
        check_fold_groups(resolve_groups(groups, len(split)), fold, f"the dataset's own split, tested on {test!r},")
    return [fold]
