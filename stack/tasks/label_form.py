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


def _separated(index: DatasetIndex) -> str:
    separator, asked = likely_separator(index.label), index.listed.asked
    if separator is None or not asked:
        return "Leave --task out, or extract the dataset again with --label-separator, which embeds no image again"
    words = typed("stackbone", "extract", *asked, "--label-separator", separator)
    return f"Type `{words}` to take labels apart at {separator!r}, which embeds no image again, or leave --task out"
