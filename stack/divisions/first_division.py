"""Which cross-validation a dataset allows, for advice that is given before anything is scored."""

from __future__ import annotations

from contextlib import suppress

from stackbone.cache import DatasetIndex, StackError
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.labelled_images import label_images
from stackbone.stack.divisions.outer_folds import outer_folds
from stackbone.stack.tasks.registry import TASKS, get_task

_USUAL_FOLDS = (3, 2)
_OF_QUANTITIES = "regression"


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
    return next(task.name for task in TASKS.values() if task.label_form == index.label_form)


def _divisions(task: str) -> dict[str, Division]:
    """Return the usual cross-validations of a task by the options that ask for them, those that drop nothing first."""
    named = "" if task == Division.task else f"--task {task} "
    ways = [rare for rare in ("refuse", "drop") if rare in get_task(task).rare]
    return {
        f"{named}--cv {cv}{' --rare drop' if rare == 'drop' else ''}": Division(task=task, cv=cv, rare=rare)
        for rare in ways
        for cv in _USUAL_FOLDS
    }
