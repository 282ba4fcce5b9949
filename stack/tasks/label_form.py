"""Which form the labels of a dataset have, and what to type where a task reads another."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.cache.choices import nearest
from stackbone.cache.errors import UsageError
from stackbone.cache.labels.forms import FORMS
from stackbone.cache.labels.numbers import NUMBERS, as_number, split_numbers
from stackbone.cache.labels.sets import SETS, likely_separator
from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.cache.text import typed

_TASKS = {SETS: "multilabel", NUMBERS: "multitarget"}
_PREDICTED = {"": "one class, or a number", SETS: "which labels are there", NUMBERS: "several numbers"}
_READ_AS = {
    "": "name a column of one label each with --label-column, and leave out --label-separator and --label-columns",
    SETS: "add --label-separator with what stands between two labels, such as --label-separator ','",
    NUMBERS: "add --label-columns with the columns of these numbers",
}
_SAYS_LABELS = "(--labels, --label-column, --label-columns and --label-separator)"


def check_label_form(task: str, form: str, index: DatasetIndex) -> None:
    """Refuse a dataset whose labels are not of the form that a task reads.

    Raises
    ------
    UsageError
        If they are not; the message says what to type.
    """
    if index.label_form == form:
        return
    if index.label_form:
        slip = _other_number(index) if form == SETS else ""
        message = (
            f"an image of the dataset {index.name!r} {FORMS[index.label_form]}, and {task} predicts "
            f"{_PREDICTED[form]}: add {typed(*words_for(index.label_form))}{slip}"
        )
        raise UsageError(message)
    if form == NUMBERS:
        message = (
            f"{task} is for images with several numbers, and those of the dataset {index.name!r} have one label each. "
            "Use --task regression for one number, or extract the dataset again with the options that it had and the "
            "columns of the numbers, such as --label-columns length,weight, which embeds no image again"
        )
        raise UsageError(message)
    message = (
        f"{task} is for images with any number of labels, and those of the dataset {index.name!r} have one each. "
        f"{_separated(index)}"
    )
    raise UsageError(message)


def words_for(form: str) -> list[str]:
    """Return what to type for `stack` to read labels of a form: ``--task`` and its name, nothing where it need not."""
    return ["--task", _TASKS[form]] if form in _TASKS else []


def check_comparable(model_form: str, dataset: str, form: str, *, is_needed: bool = False) -> None:
    """Refuse labels of images that are not of the form that a model predicts: nothing could be said of its answers.

    Parameters
    ----------
    model_form
        Of the labels that the model predicts: see `stack.tasks.task.Task.label_form`.
    dataset
        Name of the images' dataset.
    form
        Of its labels.
    is_needed
        Whether nothing can be done without comparing.

    Raises
    ------
    UsageError
        If they are of another; the message says what to type.
    """
    if form == model_form:
        return
    if form:
        found = (
            f"an image of {dataset!r} {FORMS[form]}, and the model predicts {_PREDICTED[model_form]}"
            f"{'' if model_form else ', of each'}"
        )
        without = f"to predict without comparing, leave out the options that say where labels are {_SAYS_LABELS}"
        way = _READ_AS[model_form] if is_needed else without
    else:
        found = (
            f"the model predicts several numbers of an image, and the labels of {dataset!r} are one name each"
            if model_form == NUMBERS
            else f"the model predicts any number of labels of an image, and those of {dataset!r} are one name each"
        )
        without = "" if is_needed else ", or leave out --labels and --label-column to predict without comparing"
        way = f"{_READ_AS[model_form]}{without}"
    message = f"{found}: {way}"
    raise UsageError(message)


def check_same_numbers(targets: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse labels that spell none of several numbers that a model predicts.

    Parameters
    ----------
    targets
        Names of the numbers; none where a model predicts something else.
    labels
        Of images: see `cache.labels.numbers`.

    Raises
    ------
    UsageError
        If they spell others.
    """
    told = list(split_numbers(next(filter(None, labels), ""))) if targets else []
    if told and not set(told) & set(targets):
        near = nearest(told[0], targets)
        message = (
            f"the model predicts the numbers {', '.join(targets)}, and --label-columns names {', '.join(told)}, none "
            f"of them{f'; did you mean {near!r}?' if near else '.'} Name columns of these numbers, or leave "
            "--label-columns out to predict without comparing"
        )
        raise UsageError(message)


def _other_number(index: DatasetIndex) -> str:
    """Return which cell of columns of numbers is no mark of a label that is there or not."""
    cells = ((name, cell, row) for row, text in enumerate(index.label) for name, cell in split_numbers(text).items())
    found = next((each for each in cells if as_number(each[1]) not in (0.0, 1.0)), None)
    if found is None:
        return ""
    name, cell, row = found
    return (
        f". If the columns mark labels by 1 and 0, correct them and extract the dataset again: {name!r} is {cell} of "
        f"{index.path[row]!r}"
    )


def _separated(index: DatasetIndex) -> str:
    separator, asked = likely_separator(index.label), index.listed.asked
    if separator is None or not asked:
        return (
            "Leave --task out, or extract the dataset again with --label-separator and the options that it had, which "
            "embeds no image again"
        )
    words = typed("stackbone", "extract", *asked, "--label-separator", separator)
    return (
        f"Type `{words}` with the options that it had (--backbones, --dataset, --cache) to take labels apart at "
        f"{separator!r}, which embeds no image again, or leave --task out"
    )
