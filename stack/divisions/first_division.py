"""Which cross-validation a dataset allows, for advice that is given before anything is scored."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from stackbone.cache import DatasetIndex, StackError
from stackbone.cache.disk.digest_sets import of_rows, twin_rows
from stackbone.cache.hdf5.coded_texts import are_told, count_texts

if TYPE_CHECKING:
    from stackbone.stack.divisions.division import Division

_USUAL_FOLDS = (3, 2)
_AMPLE = 6  # images of a class: two or more in each test part of three folds, and four or so in each training part
_OF_QUANTITIES = "regression"


def first_division(index: DatasetIndex, *, quantities: bool = False) -> str:
    """Return the options of `stack` for the first usual cross-validation that labels and groups of a dataset allow.

    Where every class has images enough, their numbers tell. Else each is tried as an experiment does, to the inner
    folds of every training part.

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
    if not quantities and _has_ample_classes(index):
        return f"--cv {_USUAL_FOLDS[0]}"
    from stackbone.stack.divisions.labelled_images import label_images
    from stackbone.stack.divisions.outer_folds import outer_folds

    images = label_images(index)
    divisions = _divisions(_OF_QUANTITIES if quantities else task_of(index))
    for options, division in divisions.items():
        with suppress(StackError):
            outer_folds(images, division, advise=False)
            return options
    first = next(iter(divisions))
    outer_folds(images, divisions[first])  # refused once more, with what to do
    return first


def task_of(index: DatasetIndex) -> str:
    """Return the first task that reads labels of this form."""
    from stackbone.stack.tasks.registry import TASKS

    return next(task.name for task in TASKS.values() if task.label_form == index.label_form)


def _has_ample_classes(index: DatasetIndex) -> bool:
    """Return whether images of one class each, in no groups, are so many of each class that any dealing of them serves.

    Every class is then in each test part and in each training part, and so in the inner folds of these. Images that
    may be copies are not counted: of some there is one left, of others, whose labels differ, none.
    """
    rows = np.flatnonzero(index.ok & are_told(index.label))
    if index.label_form or are_told(index.group)[rows].any():
        return False
    classes = count_texts(index.label, rows)
    copies = count_texts(index.label, rows[twin_rows(of_rows(index.image_sha256, rows))])
    return len(classes) > 1 and all(n - copies[name] >= _AMPLE for name, n in classes.items())


def _divisions(task: str) -> dict[str, Division]:
    """Return the usual cross-validations of a task by the options that ask for them, those that drop nothing first."""
    from stackbone.stack.divisions.division import Division
    from stackbone.stack.tasks.registry import get_task

    named = "" if task == Division.task else f"--task {task} "
    ways = [rare for rare in ("refuse", "drop") if rare in get_task(task).rare]
    return {
        f"{named}--cv {cv}{' --rare drop' if rare == 'drop' else ''}": Division(task=task, cv=cv, rare=rare)
        for rare in ways
        for cv in _USUAL_FOLDS
    }
