"""A matrix of dissimilarities that somebody else made, such as of people's judgements of the same images."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.text import counted

_SYMMETRIC = 1e-5  # of the largest entry: matrices are written with few digits
_NAMES = ("path", "image", "name", "")  # what the first column of a table of names may be called


@dataclass(frozen=True, eq=False)
class GivenMatrix:
    """Dissimilarities of some images.

    Attributes
    ----------
    name : str
        Of the file.
    images : NDArray[np.int64]
        ``(m,)`` places of its rows among the images of a dataset.
    values : NDArray[np.float64]
        ``(m, m)``, symmetric and finite.
    """

    name: str
    images: NDArray[np.int64]
    values: NDArray[np.float64]


def read_matrix(file: Path, paths: list[str]) -> GivenMatrix:
    """Read a matrix of dissimilarities.

    Parameters
    ----------
    file
        ``.npy``, with a row for each image of the dataset in its order; or ``.csv``, the same without a header, or with
        one: then the first column has the path of each row's image, and the other columns come in the order of the
        rows, or are titled by the same paths in another. A table with paths may have some of the images, in any order.
    paths
        Of the dataset's images, each once, in its order.

    Raises
    ------
    UsageError
        If it is another kind of file.
    StackError
        If it cannot be read, is not square or symmetric, holds similarities, or does not fit the dataset.
    """
    if file.suffix not in (".npy", ".csv"):
        message = f"{file} is neither a .npy nor a .csv file: name one that holds a square matrix of dissimilarities"
        raise UsageError(message)
    names: list[str] | None = None
    try:
        if file.suffix == ".npy":
            values = np.load(file, allow_pickle=False)
        else:
            names, values = _read_csv(file)
        values = np.asarray(values, np.float64)
    except OSError as exc:
        message = f"{file} could not be read: {exc.strerror or exc}"
        raise StackError(message) from exc
    except (ValueError, TypeError, csv.Error) as exc:
        message = f"{file} holds no matrix of numbers ({exc}). Expected a square matrix of dissimilarities"
        raise StackError(message) from exc
    _check_values(file, values)
    images = np.arange(len(paths)) if names is None else _places(file, names, paths)
    if len(images) != len(values):
        message = (
            f"{file} has {counted(len(values), 'row')}, and the dataset {counted(len(images), 'image')}, each counted "
            "once. Give a row for each, in the order of `stackbone cluster --csv FILE`, or a .csv file whose first "
            "column names the images under the title path"
        )
        raise StackError(message)
    return GivenMatrix(file.name, images, values)


def _read_csv(file: Path) -> tuple[list[str] | None, NDArray[np.float64]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        rows = [row for row in csv.reader(stream) if any(row)]
    if not rows:
        message = "it is empty"
        raise ValueError(message)
    names, order = None, None
    if rows[0][0].strip().lower() in _NAMES:
        titles = rows[0][1:]
        rows = rows[1:]
        if not rows:
            message = "it has a header, and no row below it"
            raise ValueError(message)
        names = [row[0] for row in rows]
        rows = [row[1:] for row in rows]
        if len(set(names)) == len(names) and sorted(titles) == sorted(names):
            places = {title: place for place, title in enumerate(titles)}
            order = [places[name] for name in names]
    if len({len(row) for row in rows}) > 1:
        message = "its rows differ in length"
        raise ValueError(message)
    values = np.array([[float(cell) for cell in row] for row in rows], np.float64).reshape(len(rows), -1)
    return names, values if order is None or values.shape[1] != len(order) else values[:, order]


def _check_values(file: Path, values: NDArray[np.float64]) -> None:
    wanted = "Expected a square, symmetric matrix of dissimilarities, with a row and a column for each image"
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        message = f"{file} holds an array of shape {values.shape}. {wanted}"
        raise StackError(message)
    if len(values) < 3:
        message = f"{file} is of {counted(len(values), 'image')}, and to compare ranks takes three or more. {wanted}"
        raise StackError(message)
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0] + 1
        message = f"{file} holds {values[row - 1, column - 1]} in row {row}, column {column}. {wanted}"
        raise StackError(message)
    far = np.abs(values - values.T)
    if far.max() > _SYMMETRIC * max(1e-300, np.abs(values).max()):
        row, column = np.unravel_index(far.argmax(), far.shape)
        one, other = values[row, column], values[column, row]
        message = (
            f"{file} is not symmetric: row {row + 1}, column {column + 1} has {one:g}, and row {column + 1}, column "
            f"{row + 1} has {other:g}. {wanted}"
        )
        raise StackError(message)
    others = values[~np.eye(len(values), dtype=np.bool_)]
    if np.ptp(others) == 0:
        message = f"in {file} all pairs are equally unlike ({others[0]:g}), so that there is nothing to rank. {wanted}"
        raise StackError(message)
    if np.diag(values).min() > others.mean():
        message = (
            f"{file} holds similarities: an image is further from itself, on its diagonal, than from others. Give "
            "dissimilarities, such as 1 less a correlation"
        )
        raise StackError(message)


def _places(file: Path, names: list[str], paths: list[str]) -> NDArray[np.int64]:
    places = {path: place for place, path in enumerate(paths)}
    unknown = [name for name in names if name not in places]
    if unknown:
        message = (
            f"{file} names {counted(len(unknown), 'image')} that the dataset has not, such as {unknown[0]!r}. Name "
            f"images as the dataset does, such as {paths[0]!r}; of files with the same bytes it has the first"
        )
        raise StackError(message)
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        message = f"{file} names {twice!r} twice: give one row for each image"
        raise StackError(message)
    return np.array([places[name] for name in names], np.int64)
