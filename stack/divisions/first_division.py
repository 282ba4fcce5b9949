"""Which cross-validation a dataset allows, for advice that is given before anything is scored."""

from __future__ import annotations

from contextlib import suppress

from stackbone.cache import DatasetIndex, StackError
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.labelled_images import label_images
from stackbone.stack.divisions.outer_folds import outer_folds

_OF_CLASSES = {
    "--cv 3": Division(cv=3),
    "--cv 2": Division(cv=2),
    "--cv 3 --rare drop": Division(cv=3, rare="drop"),
    "--cv 2 --rare drop": Division(cv=2, rare="drop"),
}
_OF_NUMBERS = {
    "--task regression --cv 3": Division(task="regression", cv=3),
    "--task regression --cv 2": Division(task="regression", cv=2),
}


def first_division(index: DatasetIndex, *, quantities: bool = False) -> str:
    """Return the options of `stack` for the first usual cross-validation that labels and groups of a dataset allow.

    Each is tried as an experiment does, to the inner folds of every training part.

    Parameters
    ----------
    index
        The dataset, with its digests.
    quantities
        Whether its labels are numbers to be predicted.

    Raises
    ------
    StackError
        If none works; the message says why the first does not, and what to do.
    """
    images = label_images(index)
    divisions = _OF_NUMBERS if quantities else _OF_CLASSES
    for options, division in divisions.items():
        with suppress(StackError):
            outer_folds(images, division, advise=False)
            return options
    first = next(iter(divisions))
    outer_folds(images, divisions[first])  # refused once more, with what to do
    return first
