"""Which form the labels of a dataset have, and what to type where a task reads another."""

from __future__ import annotations

from stackbone.cache.errors import UsageError
from stackbone.cache.labels.sets import SETS, likely_separator
from stackbone.cache.records.index import DatasetIndex
from stackbone.cache.text import typed


def check_label_form(task: str, form: str, index: DatasetIndex) -> None:
    """Refuse a dataset whose labels are not of the form that a task reads.

    Raises
    ------
    UsageError
        If they are not; the message says what to type.
    """
    if index.label_form == form:
        return
    if index.label_form == SETS:
        message = (
            f"an image of the dataset {index.name!r} can have several labels, and {task} predicts one class, or a "
            "number: add --task multilabel"
        )
        raise UsageError(message)
    message = (
        f"{task} is for images with any number of labels, and those of the dataset {index.name!r} have one each. "
        f"{_separated(index)}"
    )
    raise UsageError(message)


def check_comparable(model_form: str, dataset: str, form: str) -> None:
    """Refuse labels of images that are not of the form that a model predicts: nothing could be said of its answers.

    Parameters
    ----------
    model_form
        Of the labels that the model predicts: see `stack.tasks.task.Task.label_form`.
    dataset
        Name of the images' dataset.
    form
        Of its labels.

    Raises
    ------
    UsageError
        If they are of another; the message says what to type.
    """
    if form == model_form:
        return
    if model_form == SETS:
        message = (
            f"the model predicts any number of labels of an image, and those of {dataset!r} are one name each: add "
            "--label-separator with what stands between two labels, such as --label-separator ',', or leave out "
            "--labels and --label-column to predict without comparing"
        )
    else:
        message = (
            f"an image of {dataset!r} can have several labels, and the model predicts one class, or a number, of each: "
            "to predict without comparing, leave out the options that say where labels are (--labels, --label-column, "
            "--label-columns and --label-separator)"
        )
    raise UsageError(message)


def _separated(index: DatasetIndex) -> str:
    separator, asked = likely_separator(index.label), index.listed.asked
    if separator is None or not asked:
        return "Leave --task out, or extract the dataset again with --label-separator, which embeds no image again"
    words = typed("stackbone", "extract", *asked, "--label-separator", separator)
    return f"Type `{words}` to take labels apart at {separator!r}, which embeds no image again, or leave --task out"
