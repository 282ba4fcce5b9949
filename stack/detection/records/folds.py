"""Folds of annotated images: groups stay together, and classes are spread as evenly as images allow.

Unlike the folds of labels, these ask nothing of common classes: every image may show all of them, since what is scored
is where they are. Of a class in too few images, those parts are scored that have one and could learn it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.text import counted, typed
from stackbone.stack.detection.records.annotated import AnnotatedImages
from stackbone.stack.divisions.division import Division
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import split_folds
from stackbone.stack.folds.labels.stratification import stratify

HELD_OUT = 4
"""One in so many images of a training part is held out: there weights and thresholds are learnt."""

_SHOWN = 10


def divide_images(annotated: AnnotatedImages, division: Division) -> tuple[AnnotatedImages, list[Fold]]:
    """Return the images that take part and their outer folds.

    Raises
    ------
    StackError
        If the split does not exist or leaves nothing to train on, or there are fewer images (groups) than folds.
    """
    if division.split is not None:
        return _own_split(annotated, division.split)
    units = annotated.images.units(division.dealing)
    unit = units.ids(len(annotated))
    n_units = int(unit.max()) + 1
    if n_units < division.cv:
        message = (
            f"{counted(n_units, 'annotated image')} cannot be divided into {division.cv} folds"
            if annotated.images.groups is None
            else f"{counted(n_units, 'group')} of annotated images cannot be divided into {division.cv} folds"
        )
        message += f": annotate more, or type --cv {n_units}" if n_units > 1 else ": annotate more images"
        raise StackError(message)
    fold = _deal(annotated.presence, units, division.seed, division.cv)
    folds = [Fold.testing(np.flatnonzero(fold == number), len(annotated)) for number in range(division.cv)]
    return _noted(annotated, folds), folds


def hold_out(annotated: AnnotatedImages, train: NDArray[np.int64], division: Division) -> Fold:
    """Return the training part without a quarter, and that quarter: rows of `annotated`.

    Of the four quarters the first is held out that leaves objects to learn from, has some itself, and takes the fewest
    classes whole: in that order, which matters where few images have objects.

    Raises
    ------
    StackError
        If the training part is one image (group) alone, or shows no object that is to be found.
    """
    presence = annotated.presence[train]
    if not presence.any():
        message = (
            f"{_part_in_words(division)} is {counted(len(train), 'image')}, which show no object that is to be found: "
            f"a head learns from objects that are neither difficult nor a crowd. {_remedy(annotated, division)}"
        )
        raise StackError(message)
    units = annotated.images.units(division.dealing).take(train)
    n_units = len(np.unique(units.ids(len(train))))
    if n_units < 2:
        message = (
            f"{_part_in_words(division)} is {counted(n_units, 'image or group', 'images or groups')}, and detection "
            f"needs two: one to train heads on and one to learn thresholds on. {_remedy(annotated, division)}"
        )
        raise StackError(message)
    n_parts = min(HELD_OUT, n_units)
    part = _deal(presence, units, division.seed, n_parts)
    held = min(range(n_parts), key=lambda number: _loss(presence, part == number))
    return Fold(train[part != held], train[part == held])


def _loss(presence: NDArray[np.int8], held: NDArray[np.bool_]) -> tuple[bool, bool, int]:
    """Return what is lost where some of a training part's images are held out, the gravest first."""
    left, own = presence[~held].any(axis=0), presence[held].any(axis=0)
    return not left.any(), not own.any(), int((own & ~left).sum())


def _part_in_words(division: Division) -> str:
    if division.split is not None:
        return f"the training part, all but the split {division.split!r},"
    return f"the training part of one of {division.cv} folds"


def _remedy(annotated: AnnotatedImages, division: Division) -> str:
    if division.split is not None:
        return "Annotate more images of the other splits, or use cross-validation in place of --split: --cv 3"
    if annotated.images.groups is not None:
        return "Annotate more images, of other groups than these: images of one group stay together"
    return "Annotate more images"


def scored_classes(annotated: AnnotatedImages, fold: Fold) -> NDArray[np.bool_]:
    """Return ``(n_classes,)`` the classes that a fold scores: its test part shows them and its training part too.

    Without a training part, as where a saved model is tested, the test part alone decides.
    """
    presence = annotated.presence
    scored = presence[fold.test].sum(axis=0) > 0
    learnt = presence[fold.train].sum(axis=0) > 0
    return np.asarray(scored & learnt if len(fold.train) else scored)


def _deal(presence: NDArray[np.int8], units: Units, seed: int, n_splits: int) -> NDArray[np.int64]:
    """Return the ``(n,)`` fold of each image; of several orders the first that leaves no part empty."""
    unit = units.ids(len(presence))
    fold = np.zeros(len(presence), np.int64)
    for order in units.dealer(seed).orders(unit):
        fold = stratify(presence, unit, order, n_splits)
        if len(np.unique(fold)) == n_splits:
            break
    return fold


def _own_split(annotated: AnnotatedImages, split: str) -> tuple[AnnotatedImages, list[Fold]]:
    images = annotated.images
    if split not in images.splits:
        listed = split in images.index.split
        names = ", ".join(sorted({str(name) for name in images.splits} - {""})) or "none"
        found = "has no annotated image" if listed else "is not there"
        message = (
            f"the split {split!r} of the dataset {images.index.name!r} {found}; annotated images are in the splits: "
            f"{names}. Name one of these, or use cross-validation (--cv 3)"
        )
        raise UsageError(message) if not listed else StackError(message)
    kept = images.leave_out_copies(split)
    annotated = annotated.take(np.flatnonzero(np.isin(images.rows, kept.rows)))
    annotated.images.left_out.update(kept.left_out)
    try:
        folds = split_folds(annotated.images.splits, split, groups=annotated.images.groups)
    except StackError as exc:
        message = f"{exc}. Or use cross-validation in place of {typed('--split', split)}: --cv 3"
        raise StackError(message) from exc
    return _noted(annotated, folds, ". Or use cross-validation in place of --split: --cv 3"), folds


def _noted(annotated: AnnotatedImages, folds: list[Fold], otherwise: str = "") -> AnnotatedImages:
    """Return the images with notes on the classes that some fold or every one cannot score."""
    n_images = annotated.presence.sum(axis=0)
    scored = np.array([scored_classes(annotated, fold) for fold in folds])
    n_folds = scored.sum(axis=0)
    never, some = n_folds == 0, (n_folds > 0) & (n_folds < len(folds))
    notes = []
    if never.any():
        notes.append(
            f"never scored, since no fold can both learn and test it: {_named(annotated, never, n_images)}; annotate "
            "it on more images (difficult objects and crowds are neither learnt nor tested)"
        )
    if some.any():
        notes.append(f"scored in some folds only, being on few images: {_named(annotated, some, n_images)}")
    if never.all():
        message = f"no class can be scored: {notes[0]}{otherwise}"
        raise StackError(message)
    return annotated.note(*notes)


def _named(annotated: AnnotatedImages, which: NDArray[np.bool_], n_images: NDArray[np.int64]) -> str:
    rows = np.flatnonzero(which)
    said = [f"{annotated.classes[i]!r} (on {counted(int(n_images[i]), 'image')})" for i in rows[:_SHOWN]]
    more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
    return ", ".join(said) + more
