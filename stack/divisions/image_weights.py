"""What each image counts for, as a column of the dataset's table says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.choices import nearest
from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.text import counted
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.folds.fold import Fold

Images = TypeVar("Images", bound=LabelledImages)


def image_weights(images: LabelledImages, column: str | None) -> NDArray[np.float64] | None:
    """Return what each image counts for.

    Parameters
    ----------
    images : LabelledImages
        Those that take part.
    column : str, optional
        Name of the column.

    Returns
    -------
    NDArray[np.float64], optional
        ``(n_images,)``, 0 or more and not all 0; None where all count alike, without a column.

    Raises
    ------
    UsageError
        If the dataset has no such column.
    StackError
        If a cell is not a number of 0 or more, or all are 0.
    """
    if column is None:
        return None
    cells = _column(images, column)
    weights = np.array([_number(cells[row]) for row in images.rows], np.float64)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        row = images.rows[wrong[0]]
        message = (
            f"the column {column!r} has no weight for {counted(len(wrong), 'image')} of {len(weights):,}: that of "
            f"{images.index.path[row]!r} is {cells[row]!r}, first. A weight is a number of 0 or more, such as 2.5: "
            "correct the table, and run the extract command again (nothing is embedded again)"
        )
        raise StackError(message)
    if not weights.any():
        message = (
            f"every weight in the column {column!r} is 0, so that no image would count: name another --weight-column, "
            "or leave it out"
        )
        raise StackError(message)
    return weights


def without_weightless(images: Images, folds: Sequence[Fold], column: str | None) -> tuple[Images, list[Fold]]:
    """Return images and folds without what weighs 0, which would neither teach nor be tested, with a note on it.

    The folds are dealt before, so that all other images lie in the fold that they lie in without weights, and those
    that a steering was made for.

    Parameters
    ----------
    images : LabelledImages
        Those that were divided.
    folds : sequence of Fold
        Their outer folds.
    column : str, optional
        As of `image_weights`, whose errors these are.

    Raises
    ------
    StackError
        If a fold is left without an image to learn from, or to test.
    """
    weights = image_weights(images, column)
    if weights is None or weights.all():
        return images, list(folds)
    kept = np.flatnonzero(weights)
    own = [Fold(*(np.searchsorted(kept, rows[weights[rows] > 0]) for rows in (f.train, f.test))) for f in folds]
    for number, fold in enumerate(own, start=1):
        if not (len(fold.train) and len(fold.test)):
            part = "test" if len(fold.train) else "training"
            message = (
                f"every image in the {part} part of fold {number} of {len(own)} has the weight 0 in the column "
                f"{column!r}, so that none is left: correct the weights, name another --weight-column, or "
                "use other folds"
            )
            raise StackError(message)
    left_out = len(weights) - len(kept)
    takes = "takes" if left_out == 1 else "take"
    return images.take(kept, f"{counted(left_out, 'image')} of weight 0 ({column}) {takes} no part"), own


def _column(images: LabelledImages, name: str) -> Sequence[str]:
    columns = images.index.columns
    if name in columns:
        return columns[name]
    dataset = images.index.name
    if not columns:
        message = (
            f"the dataset {dataset!r} has no column {name!r}: no table listed it, or columns were not kept then. "
            "Run the extract command again on a table that has one (nothing is embedded again)"
        )
        raise UsageError(message)
    near = nearest(name, columns)
    meant = f"; did you mean {near!r}?" if near else ""
    message = f"the dataset {dataset!r} has no column {name!r}: there are {', '.join(map(repr, columns))}{meant}"
    raise UsageError(message)


def _number(cell: str) -> float:
    # Python reads "1_2" as twelve.
    try:
        return np.nan if "_" in cell else float(cell)
    except ValueError:
        return np.nan
