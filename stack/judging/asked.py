"""What is asked of the test of a saved model, checked before any image is embedded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, StackError, UsageError
from stackbone.cache.choices import nearest
from stackbone.stack.divisions.labelled_images import check_group_by
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.folds.groups import check_threshold
from stackbone.stack.models.model import StackModel
from stackbone.stack.tasks.label_form import check_comparable
from stackbone.stack.tasks.registry import get_task


def check_asked(
    model: StackModel,
    index: DatasetIndex,
    *,
    split: str | None = None,
    group_by: str = "auto",
    near_duplicates: float | None = None,
    metric: str | None = None,
) -> None:
    """Refuse what `evaluate_model` cannot do, as far as that can be told without the images: hours may go into these.

    Parameters
    ----------
    model : StackModel
        The model.
    index : DatasetIndex
        The images with their labels; which of them are sound need not be known.
    split, group_by, near_duplicates, metric
        As of `evaluate_model`.

    Raises
    ------
    StackError
        If no image has a label.
    UsageError
        If a name is unknown, a number is none that is possible, or the labels are of another form than the model's.
    """
    stack_options(model.task, metric=metric)
    check_group_by(group_by)
    if near_duplicates is not None:
        check_threshold(near_duplicates)
    check_labels(model, index)
    if split is not None:
        find_known_split(index, split)


def check_labels(model: StackModel, index: DatasetIndex) -> None:
    """Require labels, of the form that a model predicts; errors as of `check_asked`."""
    if not any(index.label):
        message = (
            f"no image of {index.name!r} has a label, so nothing can be compared with what the model says. Put the "
            "images into class folders or list them with labels in a table; `stackbone predict` needs no labels"
        )
        raise StackError(message)
    check_comparable(get_task(model.task).label_form, index.name, index.label_form, is_needed=True)


def files_to_test(index: DatasetIndex, split: str | None) -> NDArray[np.bool_]:
    """Return ``(n_listed,)`` which files a test is of, as far as that can be told without the images.

    Those that have a label, of the split where one is asked for; `UsageError` if the dataset has no such split.
    """
    labelled = np.array([bool(label) for label in index.label], np.bool_)
    if split is None:
        return labelled
    named = find_known_split(index, split)
    return labelled & np.array([each == named for each in index.split], np.bool_)


def find_known_split(index: DatasetIndex, split: str) -> str:
    """Return what a dataset calls a split; raise `UsageError` if it has none of this name."""
    there = sorted({*index.split} - {""})
    named = find_split(index, split)
    if named in there:
        return named
    near = nearest(split, there)
    meant = f"; did you mean {near!r}?" if near else ""
    has = f"it has {', '.join(there)}" if there else "it has no splits: leave --split out"
    message = f"{index.name!r} has no split {split!r}: {has}{meant}"
    raise UsageError(message)
