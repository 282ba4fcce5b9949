"""The outer folds of an experiment: its own split, or folds that suit task, groups and classes. And inner folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from stackbone.cache.errors import StackError
from stackbone.stack.divisions.division import DEALT, Division
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.divisions.own_split import own_split
from stackbone.stack.divisions.planned_folds import planned_folds
from stackbone.stack.folds.class_labels import too_few
from stackbone.stack.folds.fold import Fold

Images = TypeVar("Images", bound=LabelledImages)


def drop_rare(images: Images, division: Division) -> Images:
    """Return what is left without what is too rare for the folds, with a note that names it."""
    kept = division.kind.without_rare(images.labels, images.groups, division.cv)
    if kept.note is None:
        return images
    if len(kept.rows) == len(images.rows):  # labels alone are left out; to take the rows would copy all features
        return replace(images, labels=kept.labels, notes=[*images.notes, kept.note])
    return replace(images.take(kept.rows, kept.note), labels=kept.labels)


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
    UsageError
        If the labels of the dataset are of a form that the task does not read.
    """
    division.kind.check_index(images.index)
    if division.split is not None:
        return own_split(images, division)
    if division.plan != DEALT:
        return planned_folds(images, division, advise=advise)
    task, ask = division.kind, division.ask()
    images.truth(task)  # what cannot be read is told before what cannot be divided
    try:
        folds = task.divide(images.labels, images.units(division.dealing), ask)
    except StackError as exc:
        if not advise:
            raise
        message = f"{exc}{task.ways_out(images.labels, images.units(division.dealing), ask)}"
        raise StackError(message) from exc
    if division.rare == "drop":
        images = drop_rare(images, division)
    return _note_untested(images, folds, division.cv), folds


def _note_untested(images: Images, folds: Sequence[Fold], cv: int) -> Images:
    """Return the images with a note that names the classes of which no fold tests an image, if there are any."""
    tested = np.zeros(len(images.rows), np.bool_)
    for fold in folds:
        tested[fold.test] = True
    names = np.setdiff1d(images.labels, images.labels[tested])
    if not len(names):
        return images
    note = too_few("in every training part and never scored", int((~tested).sum()), cv, names)
    return replace(images, notes=[*images.notes, note])


def inner_of_folds(images: LabelledImages, folds: Sequence[Fold], division: Division) -> list[list[Fold]]:
    """Return the inner folds of each outer fold, over the rows of its training part, as `evaluate` divides it."""
    task = division.kind
    truth, units = images.truth(task), images.units(division.dealing)
    return [task.divide_training(truth, fold.train, units, division.seed, division.inner_splits) for fold in folds]
