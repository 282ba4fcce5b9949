"""What scikit-learn users hand over as X, as a dataset: paths, arrays and PIL images, row by row."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stackbone.cache import UsageError
from stackbone.extract import Dataset, open_dataset
from stackbone.extract.images.arrays import are_images

_EXPECTED = (
    "Expected one image a row: a list, array or column of paths, an array (n, height, width, 3) uint8, or a list"
)


@dataclass(frozen=True, eq=False)
class Rows:
    """The images of X.

    Attributes
    ----------
    dataset
        They, in the order of X; a path that is there twice is in it twice.
    names
        n texts by which an error names them: the paths as they were given, or ``image 12``.
    """

    dataset: Dataset
    names: list[str]


def read_rows(x: Any) -> Rows:  # noqa: ANN401 - whatever a user gives
    """Return the images of X; none is opened.

    Parameters
    ----------
    x
        A list, tuple, array, Series or one-column DataFrame of n paths; an array (n, height, width, 3), (n, height,
        width, 4) or (n, height, width) uint8; a list of such arrays without the first axis or of PIL images.

    Raises
    ------
    UsageError
        If it is none of these, or empty.
    DatasetError
        If a path leads to a folder, a table or another file that is no image.
    """
    if isinstance(x, str | os.PathLike):
        message = f"X is one path, {str(x)!r}. {_EXPECTED}. Write [path], or list its images."
        raise UsageError(message)
    x = _one_column(x)
    if are_images(x):
        dataset = open_dataset(x)
        return Rows(dataset, [f"image {row}" for row in range(dataset.n)])
    _check_paths(x)
    # One folder alone would be a dataset of its own: of two, each is judged as an image.
    listed = open_dataset([*x, *x])
    n = len(x)
    nothing = [""] * n
    dataset = replace(
        listed, paths=[os.path.abspath(path) for path in x], labels=nothing, splits=nothing, groups=nothing
    )
    return Rows(dataset, [os.fspath(path) for path in x])


def _one_column(x: Any) -> Any:  # noqa: ANN401
    """Return the values of a Series, of a DataFrame's only column or of a column of texts, as a list; else `x`."""
    is_of_texts = getattr(getattr(x, "dtype", None), "kind", None) in ("U", "T", "O")
    if is_of_texts or hasattr(x, "columns") or hasattr(x, "to_numpy"):
        values = np.asarray(x, dtype=object)
        if values.ndim == 2 and values.shape[1] != 1:
            message = (
                f"X has {values.shape[1]} columns. {_EXPECTED}. Choose the column of paths, by "
                "a ColumnTransformer or as X['path']."
            )
            raise UsageError(message)
        return list(values.reshape(-1))
    return x


def _check_paths(x: Any) -> None:  # noqa: ANN401
    if not isinstance(x, Sequence):
        message = f"X is of the type {type(x).__name__}. {_EXPECTED}."
        raise UsageError(message)
    for row, path in enumerate(x):
        if not isinstance(path, str | os.PathLike):
            message = f"Row {row} of X is {repr(path)[:80]}, of the type {type(path).__name__}. {_EXPECTED}."
            raise UsageError(message)
    if not len(x):
        message = f"X is empty. {_EXPECTED}."
        raise UsageError(message)
