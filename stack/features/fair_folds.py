"""The outer folds of an experiment, dealt so that every steered backbone has features that are fair to each."""

from __future__ import annotations

from dataclasses import replace

from stackbone.cache import StackError
from stackbone.cache.text import typed
from stackbone.stack.divisions.division import DEALT, Division
from stackbone.stack.divisions.outer_folds import outer_folds
from stackbone.stack.features.join import Joined, choose_features
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.folds.fold import Fold


def fair_folds(joined: Joined, division: Division, dealing: str | None) -> tuple[Joined, list[Fold], Division]:
    """Return the images that are divided, their outer folds, and the division with the dealing that was taken.

    Steerings that were made for folds of another dealing stay valid: where those of the usual one would test images
    that a steering saw, and those of the other would not, these are taken, and a note says so.

    Parameters
    ----------
    joined : Joined
        Labels and features.
    division : Division
        How they are to be divided.
    dealing : str, optional
        One of `stack.folds.dealing.DEALINGS`; None for the first of them that is fair to all steered backbones.

    Raises
    ------
    StackError
        If labels, groups or the split do not allow it, or a fold has no fair features of a steered backbone.
    """
    chosen, *others = (dealing,) if dealing else DEALINGS
    asked = replace(division, dealing=chosen)
    images, folds = outer_folds(joined, asked)
    asked = asked.of(folds)
    if division.split is not None or division.plan != DEALT or not joined.steered:
        return images, folds, asked
    try:
        choose_features(images, folds, asked)
    except StackError:
        for other in others:
            if (found := _divide_fairly(joined, replace(division, dealing=other))) is not None:
                return found
        raise
    return images, folds, asked


def _divide_fairly(joined: Joined, division: Division) -> tuple[Joined, list[Fold], Division] | None:
    try:
        images, folds = outer_folds(joined, division)
        choose_features(images, folds, division)
    except StackError:
        return None
    note = (
        f"images are dealt to folds by {division.dealing} ({typed('--dealing', division.dealing)}), since the "
        f"steerings of {', '.join(joined.steered)} were made for these folds"
    )
    return replace(images, notes=[*images.notes, note]), folds, division
