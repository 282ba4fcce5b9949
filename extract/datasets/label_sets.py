"""Labels of which an image has several: as tables, folders and Python say them, and as the index holds them."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stackbone.cache.choices import check_choice, nearest
from stackbone.cache.errors import DatasetError, UsageError
from stackbone.cache.labels.forms import FORMS
from stackbone.cache.labels.numbers import NUMBERS, as_number
from stackbone.cache.labels.sets import BAR, SETS, join_names
from stackbone.cache.text import typed
from stackbone.extract.datasets.kind import Entries, Listing, TableColumns
from stackbone.extract.datasets.label_numbers import are_quantities, read_numbers
from stackbone.extract.datasets.tables.cells import LIST_MARK

_SHOWN = 5


def read_sets(texts: Sequence[str], separator: str, where: str) -> list[str]:
    """Return what texts of several labels each say, as the index holds it.

    Parameters
    ----------
    texts
        Such as ``cat, indoor``; white space around a name does not count, nor does a name given twice. A text that
        holds separators alone is of an image without labels, an empty one of an image that nobody labelled.
    separator
        What stands between two names, such as a comma.
    where
        What a message calls them.

    Raises
    ------
    DatasetError
        If a name holds the bar that separates labels in an index.
    """
    read: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        names = [name for part in text.split(separator) if (name := unicodedata.normalize("NFC", part.strip()))]
        if bad := next((name for name in names if BAR in name), None):
            separate = f"If it separates labels here too, write --label-separator {BAR!r}; else rename"
            msg = (
                f"The label {bad!r} in {where} holds {BAR!r}, which stands between labels in the cache. "
                f"Expected names without it. {'Rename' if separator == LIST_MARK else separate} the label."
            )
            raise DatasetError(msg)
        read[text] = join_names(names) if text else ""
    return [read[text] for text in texts]


def as_sets(entries: Entries, where: str) -> Entries:
    """Return entries of one class each as they stand beside others of any number of labels: a set of one.

    Parameters
    ----------
    entries
        Whose labels are single names, or ``""``.
    where
        What a message calls them.

    Raises
    ------
    DatasetError
        As of `read_sets`.
    """
    labels = read_sets([label for label, _, _ in entries.values()], LIST_MARK, where)
    return _with_labels(entries, labels)


def _with_labels(entries: Entries, labels: Sequence[str]) -> Entries:
    pairs = zip(entries.items(), labels, strict=True)
    return {path: (label, split, group) for (path, (_, split, group)), label in pairs}


def separated(listing: Listing, separator: str) -> Listing:
    """Return a listing whose labels are taken apart at a separator.

    Raises
    ------
    UsageError
        If it is empty, or the labels are sets already.
    DatasetError
        As of `read_sets`.
    """
    if not separator.strip() and separator != " ":
        msg = f"--label-separator is {separator!r}. Expected what stands between two labels, such as ',' or '|'."
        raise UsageError(msg)
    if listing.label_form:
        msg = (
            "--label-separator says what stands between labels that are one text, and these are lists or marks of "
            "presence already. Leave it out."
        )
        raise UsageError(msg)
    labels = read_sets([label for label, _, _ in listing.entries.values()], separator, "the labels")
    return replace(listing, entries=_with_labels(listing.entries, labels), label_form=SETS)


_THERE = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


def read_marks_of_labels(
    names: Sequence[str], columns: Sequence[Sequence[str]], paths: Sequence[str], *, is_guess: bool
) -> list[str]:
    """Return labels that columns of ones and zeros mark, each column a label, as the index holds them.

    Parameters
    ----------
    names
        Of the columns, which are labels.
    columns
        A cell for each image: 1 where it has the label and 0 where not, or true and false. An image of which all cells
        are empty is one that nobody labelled.
    paths
        Of the images, for messages.
    is_guess
        Whether `label_numbers.are_quantities` took them for marks; else a model or the caller did.

    Raises
    ------
    DatasetError
        If a cell is neither, or empty beside others that are not, or a name holds a bar.
    """
    read_sets(names, LIST_MARK, "the names of the columns of labels")
    labels = []
    for path, cells in zip(paths, zip(*columns, strict=True), strict=True):
        if not any(cells):
            labels.append("")
            continue
        there = [_THERE.get(cell.lower()) for cell in cells]
        if None in there:
            wrong = there.index(None)
            raise DatasetError(_no_mark(names[wrong], cells[wrong], path, is_guess=is_guess))
        labels.append(join_names(name for name, is_there in zip(names, there, strict=True) if is_there))
    return labels


def _no_mark(name: str, cell: str, path: str, *, is_guess: bool) -> str:
    found = f"holds {cell[:40]!r}" if cell else "is empty"
    quantities = (
        " (Columns are taken for numbers to be predicted where a tenth of the cells of one, and three at least, are "
        "other numbers than 0 and 1.)"
        if is_guess and as_number(cell) is not None
        else ""
    )
    return (
        f"The column {name!r} {found} for {path!r}, and --label-columns takes it for a label that is there or not. "
        f"Expected 0 or 1 (or true or false). Correct the cell, or leave the column out.{quantities}"
    )


def _no_column(name: str, columns: Mapping[str, Sequence[str]]) -> str:
    near = nearest(name, columns)
    listed = ", ".join(map(repr, list(columns)[:20])) + (", ..." if len(columns) > 20 else "")
    return (
        f"--label-columns names {name!r}, and no such column is kept beside those of paths, labels, splits and groups: "
        f"the table has none, or two of that name, or it is empty, holds lists or long cells, or says several things "
        f"of one image. Kept: {listed or 'none'}.{f' The nearest is {near!r}.' if near else ''} Name columns that are "
        "kept, separated by commas, or mend the table."
    )


def read_label_columns(given: Sequence[str] | str, label_column: str | None, form: str) -> tuple[str, ...]:
    """Return the names of the columns that are a label each, as they were given: a sequence, or commas between them.

    Raises
    ------
    UsageError
        If one is named twice, a column of labels is named as well, or `form` is none of theirs or of no column.
    """
    check_choice("label_form", form, ("", *FORMS))
    names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
    names = [name for name in names if name]
    if given and not names:
        msg = "--label-columns names no column. Expected names with commas between them. Name some, or leave it out."
        raise UsageError(msg)
    if twice := next((name for name in names if names.count(name) > 1), None):
        msg = f"--label-columns names {twice!r} twice. Expected each column once. Leave one out."
        raise UsageError(msg)
    if names and label_column not in (None, TableColumns().label):
        msg = (
            f"--label-column {typed(label_column)} and --label-columns {typed(','.join(names))} both say where labels "
            "are. Expected one of the two: a column of labels, or a column for each label. Leave the other out."
        )
        raise UsageError(msg)
    if form and not names:
        msg = (
            f"label_form={form!r} says what the columns of label_columns hold, and none are named: name the "
            "columns, or leave it out"
        )
        raise UsageError(msg)
    return tuple(names)


def labels_of_columns(listing: Listing, names: Sequence[str], form: str = "") -> Listing:
    """Return a listing whose labels its table says in columns of their own.

    Columns of ones and zeros mark which labels an image has; columns of quantities are its numbers.

    Parameters
    ----------
    listing
        With further columns.
    names
        Of those that say the labels.
    form
        One of `cache.labels.forms.FORMS`, where it is known; by default what the columns look like.

    Raises
    ------
    UsageError
        If there is no such column; the message names the nearest one.
    DatasetError
        As of `read_marks_of_labels`, or of `label_numbers.read_numbers`.
    """
    paths = list(listing.entries)
    columns = listing.further.columns(paths)
    for name in names:
        if name not in columns:
            raise UsageError(_no_column(name, columns))
    chosen, notes = [[cell.strip() for cell in columns[name]] for name in names], list(listing.notes)
    is_guess = not form
    if is_guess and are_quantities(chosen):
        named = ", ".join(map(repr, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
        notes.append(
            f"The columns of --label-columns hold quantities ({named}), so they are numbers of each image to be "
            "predicted, and no marks of labels that are there or not."
        )
        form = NUMBERS
    labels = (read_numbers if form == NUMBERS else read_marks_of_labels)(names, chosen, paths, is_guess=is_guess)
    entries = _with_labels(listing.entries, labels)
    return replace(
        listing, entries=entries, label_form=form or SETS, notes=notes, further=listing.further.without(names)
    )
