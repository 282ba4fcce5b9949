"""Folds that a user gives: a column of the dataset's table, or a file of file names and folds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, StackError, UsageError, as_keys
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import Division, ends_as_file
from stackbone.stack.divisions.further_columns import find_column, named_columns
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.folds.fold import Fold, check_fold_groups

NEVER_TESTED = "-1"
"""The fold of what is in every training part, as in scikit-learn's ``PredefinedSplit``."""

_OPTION = "--folds"
_NAMES = {"path": ("path", "file", "filename", "file_name", "filepath", "image"), "fold": ("fold", "folds")}
_DELIMITERS = ",;\t|"
_LONGEST_LINE = 10_000
_MOST_NAMED = 20


def given_folds(images: LabelledImages, division: Division) -> tuple[list[Fold], list[str]]:
    """Return the folds that a column or a file gives, in the order of their names, and what to say of them.

    Parameters
    ----------
    images
        The images that take part.
    division
        Whose column, or file, gives them.

    Raises
    ------
    UsageError
        If there is neither.
    StackError
        If a fold is missing for an image or given twice, there are fewer than two or too many, or a group is torn.
    """
    named = division.column or ""
    cells, said = read_folds(images.index, named)
    own = np.array(cells, dtype=np.str_)[images.rows]
    lacking = np.flatnonzero(own == "")
    if len(lacking):
        is_column = named in images.index.columns
        marks = ". Texts such as NA count as empty: `extract --keep-na` keeps them" if is_column else ""
        message = (
            f"{typed(_OPTION, named)} leaves out {counted(len(lacking), 'image')} of {len(own):,}, such as "
            f"{images.paths[lacking[0]]!r}. Give each image a fold; {NEVER_TESTED} keeps one in every training part"
            f"{marks}"
        )
        raise StackError(message)
    names = _in_order(set(own.tolist()) - {NEVER_TESTED})
    if len(names) < 2:
        message = (
            f"{typed(_OPTION, named)} names {counted(len(names), 'fold')}, and at least 2 are needed. To test on one "
            "part alone, extract with --split-column and use --split"
        )
        raise StackError(message)
    division.check_number(len(names), f"text of {named!r}")
    folds = [Fold.testing(np.flatnonzero(own == name), len(own)) for name in names]
    if images.groups is not None:
        for name, fold in zip(names, folds, strict=True):
            _check_groups(images, images.groups, fold, name)
    sizes = ", ".join(f"{name!r} ({len(fold.test):,})" for name, fold in zip(names, folds, strict=True))
    notes = [f"folds are those of {named!r}, in the order of their names: {sizes}"] if len(names) <= _MOST_NAMED else []
    return folds, [*said, *notes, *_copies_elsewhere(images, cells)]


def ungrouped(images: LabelledImages) -> str:
    """Return what to type so that nothing keeps these images together."""
    return "--group-by none" + ("" if images.near is None else " (and leave --near-duplicates out)")


def read_folds(index: DatasetIndex, named: str) -> tuple[Sequence[str], list[str]]:
    """Return the ``n_listed`` folds of a column or file, ``""`` where none is given, and what to say of them.

    Raises
    ------
    UsageError
        If there is no such column, and no file of a kind that can be read.
    StackError
        If the file cannot be read, or names one image twice.
    """
    if named in named_columns(index) or not ends_as_file(named):
        return find_column(index, _OPTION, named), []
    return _of_file(index, Path(named))


def _of_file(index: DatasetIndex, file: Path) -> tuple[list[str], list[str]]:
    table = _read(file)
    exact = {path: row for row, path in enumerate(index.path)}
    by_name: dict[str, int] = {}
    for path, row in exact.items():
        name = path.rpartition("/")[2]
        by_name[name] = -1 if name in by_name else row
    folds = [""] * len(index)
    unknown = []
    for path, fold in table:
        written = os.path.normpath(path).replace(os.sep, "/") if path else ""
        inside = os.path.relpath(written, index.root).replace(os.sep, "/") if os.path.isabs(written) else written
        row = exact.get(path, exact.get(written, exact.get(inside, by_name.get(written, -1))))
        if row < 0:
            unknown.append(path)
        elif folds[row] not in ("", fold):
            message = f"{str(file)!r} puts {index.path[row]!r} into the folds {folds[row]!r} and {fold!r}. Delete one"
            raise StackError(message)
        else:
            folds[row] = fold
    if len(unknown) == len(table):
        message = (
            f"no image of the dataset {index.name!r} is named in {str(file)!r}; its first is {unknown[0]!r}, and the "
            f"dataset's first is {index.path[0]!r}. Expected paths as the dataset has them, or names of files"
        )
        raise StackError(message)
    if not unknown:
        return folds, []
    n = len(unknown)
    which = f"{counted(n, 'row')} of {file.name!r} {'names' if n == 1 else 'name'} no image of the dataset"
    return folds, [f"{which}; the first is {unknown[0]!r}"]


def _read(file: Path) -> list[tuple[str, str]]:
    """Return path and fold of each row."""
    import pandas as pd

    try:
        if file.suffix.lower() == ".parquet":
            table = pd.read_parquet(file)
        else:
            with open(file, encoding="utf-8-sig") as stream:
                first = stream.readline(_LONGEST_LINE)
            cut = max(_DELIMITERS, key=first.count)
            with warnings.catch_warnings():  # rows that are longer than the header
                warnings.simplefilter("error", pd.errors.ParserWarning)
                table = pd.read_csv(
                    file, dtype=str, keep_default_na=False, index_col=False, sep=cut, encoding="utf-8-sig"
                )
    except (OSError, ValueError, ImportError, pd.errors.ParserWarning) as exc:
        reason = getattr(exc, "strerror", None) or exc
        message = f"{_OPTION} {typed(file)} cannot be read: {reason}. Expected a CSV or Parquet file of filename,fold"
        raise StackError(message) from exc
    named = {str(name).strip().lower(): name for name in table.columns}
    found = [next((named[each] for each in names if each in named), None) for names in _NAMES.values()]
    if None in found or not len(table):
        shown = ", ".join(repr(str(name)[:40]) for name in list(table.columns)[:10])
        message = (
            f"{_OPTION} {typed(file)} has {counted(len(table), 'row')} and the columns {shown}. Expected rows below "
            "the names filename and fold. Rename its columns"
        )
        raise UsageError(message)
    paths, folds = (
        ["" if each is None or each is pd.NA or each != each else str(each).strip() for each in table[name]]
        for name in found
    )
    return [(path, fold.removesuffix(".0")) for path, fold in zip(paths, folds, strict=True)]


def _in_order(names: set[str]) -> list[str]:
    try:
        return sorted(names, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(names)


def _check_groups(images: LabelledImages, groups: NDArray[np.int64], fold: Fold, name: str) -> None:
    try:
        check_fold_groups(groups, fold, f"the fold {name!r}")
    except StackError as exc:
        shared = np.intersect1d(groups[fold.train], groups[fold.test])[0]
        learnt, tested = (images.paths[rows[groups[rows] == shared][0]] for rows in (fold.train, fold.test))
        message = (
            f"{exc} ({learnt!r} and {tested!r}). Put each group whole into one fold, or type {ungrouped(images)} if "
            "what belongs together may be divided"
        )
        raise StackError(message) from exc


def _copies_elsewhere(images: LabelledImages, cells: Sequence[str]) -> list[str]:
    """Return a note on files that are byte-identical to an image of another fold: each image counts once."""
    folds = np.array(cells, dtype=np.str_)
    keys = as_keys(images.index.image_sha256)
    order = np.argsort(keys[images.rows], kind="stable")
    kept = images.rows[order]
    place = np.searchsorted(keys[kept], keys)
    place[place == len(kept)] = 0
    same: NDArray[np.bool_] = (keys[kept[place]] == keys) & (folds != "") & (folds != folds[kept[place]])
    if not same.any():
        return []
    n = int(same.sum())
    first = int(np.flatnonzero(same)[0])
    return [
        f"{counted(n, 'file')} {'is' if n == 1 else 'are'} byte-identical to an image of another fold and "
        f"{'counts' if n == 1 else 'count'} once, in that fold; the first is {images.index.path[first]!r}"
    ]
