"""The outer folds of an experiment: its own split, or folds that suit task, groups and classes. And inner folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.cache.text import counted
from stackbone.stack.divisions.division import DEALT, Division
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.divisions.own_split import own_split
from stackbone.stack.divisions.planned_folds import planned_folds
from stackbone.stack.folds.class_labels import find_rare
from stackbone.stack.folds.fold import Fold

Images = TypeVar("Images", bound=LabelledImages)


def drop_rare(images: Images, cv: int) -> Images:
    """Return what is left without the classes of fewer images (or groups) than folds, with a note that names them."""
    names = find_rare(images.labels, cv, images.groups)
    kept = np.flatnonzero(~np.isin(images.labels, names))
    if not len(names):
        return images
    return images.take(kept, _note("left out", len(images.rows) - len(kept), cv, names))


def outer_folds(images: Images, division: Division, *, advise: bool = True) -> tuple[Images, list[Fold]]:
    """Return the images without those that the division leaves out, and the outer folds of the rest.

    Parameters
    ----------
    images : LabelledImages
        All images that take part.
    division : Division
        How they are divided.
    advise : bool
        Whether to look for folds that would do where these are refused, which takes seconds.

    Raises
    ------
    StackError
        If labels, groups or the split do not allow it, to the inner folds of every training part; the message names
        what does.
    """
    if division.split is not None:
        return own_split(images, division)
    if division.plan != DEALT:
        return planned_folds(images, division, advise=advise)
    task, ask = division.kind, division.ask()
    task.read(images.labels)
    try:
        folds = task.divide(images.labels, images.units(division.dealing), ask)
    except StackError as exc:
        if not advise:
            raise
        message = f"{exc}{task.ways_out(images.labels, images.units(division.dealing), ask)}"
        raise StackError(message) from exc
    if division.rare == "drop":
        images = drop_rare(images, division.cv)
    return _note_untested(images, folds, division.cv), folds


def _note_untested(images: Images, folds: Sequence[Fold], cv: int) -> Images:
    """Return the images with a note that names the classes of which no fold tests an image, if there are any."""
    tested = np.zeros(len(images.rows), np.bool_)
    for fold in folds:
        tested[fold.test] = True
    names = np.setdiff1d(images.labels, images.labels[tested])
    if not len(names):
        return images
    note = _note("in every training part and never scored", int((~tested).sum()), cv, names)
    return replace(images, notes=[*images.notes, note])


def _note(what: str, n: int, cv: int, names: NDArray[np.str_]) -> str:
    return f"{what}, too few for {cv} folds ({counted(n, 'image')}): {', '.join(map(str, names))}"


def inner_of_folds(images: LabelledImages, folds: Sequence[Fold], division: Division) -> list[list[Fold]]:
    """Return the inner folds of each outer fold, over the rows of its training part, as `evaluate` divides it."""
    task = division.kind
    truth, units = task.read(images.labels), images.units(division.dealing)
    return [task.divide_training(truth, fold.train, units, division.seed, division.inner_splits) for fold in folds]
