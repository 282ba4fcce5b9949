"""What labels must be before they can be divided into folds: present, of two classes, and of enough images each.

Where groups are kept together the size of a class is the number of its groups: ten photos of one bird
can be on one side of a fold only, as one photo can.
"""

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.text import counted
from stackbone.stack.folds.groups import join_groups

_SHOWN = 10  # rare classes that a message names


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
            f"{len(unlabelled)} of {len(y)} images have no label (first rows: {list_first(unlabelled)}); "
            "every image needs one: label them or leave them out"
        )
        raise StackError(msg)
    classes = np.unique(y)
    if len(classes) < 2:
        found = f"the one class {str(classes[0])!r}" if len(classes) else "no image"
        msg = f"found {found}; a classifier needs at least 2 classes: check the label column or folders"
        raise StackError(msg)


def check_class_sizes(y: NDArray[np.str_], n_splits: int, groups: NDArray[np.int64] | None = None) -> None:
    """Require an image (a group) of every class for every fold.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    n_splits : int
        Number of folds.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group ids.

    Raises
    ------
    StackError
        If classes are rare in the sense of `find_rare`; it names the first of them.
    """
    names, codes = np.unique(y, return_inverse=True)
    sizes = class_sizes(codes, resolve_groups(groups, len(y)), len(names))
    rare = sizes < n_splits
    if not rare.any():
        return
    named = [f"{str(c)!r} ({n})" for c, n in zip(names[rare], sizes[rare], strict=True)]
    found = ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN:,} more" if len(named) > _SHOWN else "")
    unit = "images" if groups is None else "groups of images"
    msg = (
        f"{counted(int(rare.sum()), 'class has', 'classes have')} fewer {unit} than the {n_splits} folds asked for: "
        f"{found}; every fold needs at least one of every class"
    )
    raise StackError(msg)


def find_rare(y: NDArray[np.str_], n_splits: int, groups: NDArray[np.int64] | None = None) -> NDArray[np.str_]:
    """Name the classes that some fold would lack.

    Parameters
    ----------
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    n_splits : int
        Number of folds.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group ids.

    Returns
    -------
    NDArray[np.str_]
        ``(n_rare,)`` ascending names of the classes with fewer images (groups) than folds.
    """
    names, codes = np.unique(y, return_inverse=True)
    rare: NDArray[np.str_] = names[class_sizes(codes, resolve_groups(groups, len(y)), len(names)) < n_splits]
    return rare


def class_sizes(codes: NDArray[np.int64], group: NDArray[np.int64], n_classes: int) -> NDArray[np.int64]:
    """Return the ``(n_classes,)`` numbers of distinct groups with a row of each class."""
    pairs = np.sort(group * n_classes + codes)  # not np.unique, whose hashes take seconds for a million
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    return np.bincount(pairs % n_classes, minlength=n_classes)


def find_testable(codes: NDArray[np.int64], group: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
    """Mark the rows that can be tested when every class tested needs `least` groups.

    A row of a class too rare is not, and neither is what shares a group with one, since a group stays
    on one side. That may leave a further class too rare, and so on.

    Parameters
    ----------
    codes : NDArray[np.int64]
        ``(n,)`` class codes.
    group : NDArray[np.int64]
        ``(n,)`` group ids, none negative.
    least : int
        Fewest groups of a class that is tested.

    Returns
    -------
    NDArray[np.bool_]
        ``(n,)`` True where the row can be tested.
    """
    testable = np.ones(len(codes), np.bool_)
    while testable.any():
        sizes = class_sizes(codes[testable], group[testable], int(codes.max()) + 1)
        bound = testable & np.isin(group, group[sizes[codes] < least])
        if not bound.any():
            break
        testable &= ~bound
    return testable


def resolve_groups(groups: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """Return ``(n,)`` group ids, 0 upwards by first appearance; without groups every row is one."""
    if groups is None:
        return np.arange(n, dtype=np.int64)
    if groups.shape != (n,):
        msg = f"groups have shape {groups.shape} for {n} labels; expected one group id per image, shape ({n},)"
        raise StackError(msg)
    return join_groups(groups)


def list_classes(names: NDArray[np.str_]) -> str:
    """Return the names as a message says them."""
    noun = "class" if len(names) == 1 else "classes"
    return f"{noun} {', '.join(repr(str(name)) for name in names)}"


def too_few(what: str, n: int, cv: int, names: NDArray[np.str_]) -> str:
    """Return in words that `n` images of these classes are `what`, since there are too few of them for `cv` folds."""
    return f"{what}, too few for {cv} folds ({counted(n, 'image')}): {', '.join(map(str, names))}"


def list_first(rows: NDArray[np.int64]) -> str:
    """Return the first few rows as a message says them."""
    return ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
