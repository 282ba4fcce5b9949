"""Several numbers of each image, from columns of a table: told from columns of ones and zeros by what they hold."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.cache.errors import DatasetError
from stackbone.cache.labels.numbers import as_number, join_numbers, name_problem

_LEAST_CELLS = 3  # other numbers than 0 and 1 that are more than a slip
_LEAST_SHARE = 0.1  # of a column's cells that hold anything


def are_quantities(columns: Sequence[Sequence[str]]) -> bool:
    """Return whether columns hold quantities, and do not mark by 0 and 1 which labels are there.

    They do where one of them holds other numbers in a tenth of its filled cells or more, and in three at least, or in
    all of them. Fewer are taken for slips in a column of marks.

    Parameters
    ----------
    columns
        The cells of each, ``""`` where there is nothing.
    """
    return any(_is_quantity(cells) for cells in columns)


def _is_quantity(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    n_others = sum(as_number(cell) not in (None, 0.0, 1.0) for cell in filled)
    return n_others > 0 and (n_others == len(filled) or n_others >= max(_LEAST_CELLS, _LEAST_SHARE * len(filled)))


def read_numbers(
    names: Sequence[str], columns: Sequence[Sequence[str]], paths: Sequence[str], *, is_guess: bool
) -> list[str]:
    """Return the numbers of each image as the index holds them.

    Parameters
    ----------
    names
        Of the columns.
    columns
        The cells of each, in the order of `paths`. An image of which all are empty is one that nobody labelled.
    paths
        Of the images, for messages.
    is_guess
        Whether `are_quantities` took them for numbers; else a model or the caller did.

    Raises
    ------
    DatasetError
        If a cell spells no finite number, or is empty beside others that are not, or a name cannot be written.
    """
    for name in names:
        if mark := name_problem(name):
            msg = (
                f"The column {name!r} of --label-columns holds numbers, and its name holds {mark!r}, which stands "
                "between names and numbers in the cache. Expected a name without it. Rename the column."
            )
            raise DatasetError(msg)
    labels = []
    for path, cells in zip(paths, zip(*columns, strict=True), strict=True):
        if not any(cells):
            labels.append("")
            continue
        for name, cell in zip(names, cells, strict=True):
            if as_number(cell) is None:
                raise DatasetError(_no_number(name, cell, path, is_guess=is_guess))
        labels.append(join_numbers(names, cells))
    return labels


def _no_number(name: str, cell: str, path: str, *, is_guess: bool) -> str:
    if not cell:
        marks = (
            " The columns are taken for numbers because one holds others than 0 and 1; if they mark which labels are "
            "there, correct its cells to 0 and 1."
        )
        return (
            f"The column {name!r} is empty for {path!r}, and other columns of --label-columns are not. Expected all "
            "numbers of an image, or none. Fill the cell in, empty the others to leave the image without a label, or "
            f"leave the column out.{marks if is_guess else ''}"
        )
    why = "as its columns hold quantities" if is_guess else "as the model (or label_form) asks for numbers"
    return (
        f"The column {name!r} holds {cell[:40]!r} for {path!r}, and --label-columns takes it for a number to be "
        f"predicted, {why}. Expected a finite number with a decimal point and without a unit, such as 41.5. Correct "
        "the cell, or leave the column out."
    )
