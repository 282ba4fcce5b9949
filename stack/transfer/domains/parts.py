"""What each fold may learn from: the target's training part, and the source without what belongs to the test part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stackbone.cache import StackError
from stackbone.cache.text import counted
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.outer_folds import outer_folds
from stackbone.stack.experiments.subsets import nested_order, take_each
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.class_labels import resolve_groups
from stackbone.stack.folds.fold import Fold
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.memo import Memo
from stackbone.stack.transfer.method import HIDDEN, Codes, Domains, Matrix


@dataclass(frozen=True, eq=False)
class FoldPart:
    """One fold of the target, with the source images that it may learn from.

    Attributes
    ----------
    number : int
        Of the fold, from 0.
    fold : Fold
        Of the target's images.
    source : NDArray[np.int64]
        Rows of the source: none belongs together with a tested image.
    order : NDArray[np.int64]
        The training rows in the order in which labels are shown, where few are: of each class the first.
    unlabelled : NDArray[np.int64]
        Rows of the target's images without a label: none belongs together with a tested image.
    """

    number: int
    fold: Fold
    source: Codes
    order: Codes
    unlabelled: Codes = field(default_factory=lambda: np.empty(0, np.int64))


def divide_target(pair: DomainPair, division: Division, *, advise: bool = True) -> tuple[DomainPair, list[FoldPart]]:
    """Return the pair without what the division leaves out, and its folds.

    Parameters
    ----------
    pair
        Matched domains.
    division
        How the target is divided.
    advise
        As of `stack.divisions.outer_folds.outer_folds`.

    Raises
    ------
    StackError
        If labels, groups or the split do not allow it, or a fold is left without source images of a class.
    """
    images, divided = outer_folds(pair.target, division, advise=advise)
    pair = _kept(pair, images)
    folds = [_apart(fold, pair) for fold in divided]
    codes, group = pair.target_codes, resolve_groups(pair.target_groups, len(images.rows))
    parts = []
    for number, fold in enumerate(folds):
        source = np.arange(len(pair.source))
        if pair.source_groups is not None and pair.target_groups is not None:
            source = np.flatnonzero(~np.isin(pair.source_groups, pair.target_groups[fold.test]))
        _check_source(pair, source, number, len(folds))
        seed = int(np.random.SeedSequence([division.seed, number]).generate_state(1)[0])
        seen = np.empty(0, np.int64)
        if pair.unlabelled is not None:
            seen = pair.unlabelled.apart_from(None if pair.target_groups is None else pair.target_groups[fold.test])
        parts.append(FoldPart(number, fold, source, nested_order(fold.train, codes, group, seed), seen))
    n_copies = sum(len(whole.train) - len(fold.train) for whole, fold in zip(divided, folds, strict=True))
    notes = [*pair.notes, *_source_notes(pair, parts)]
    if n_copies:
        those = counted(n_copies, "target image")
        be = "is" if n_copies == 1 else "are"
        notes.append(f"{those} outside the tested split {be} left out: {_together(pair)}")
    return replace(pair, notes=notes), parts


def _apart(fold: Fold, pair: DomainPair) -> Fold:
    """Return a fold whose training part has nothing that belongs together with a tested image.

    Drawn folds keep groups whole; the target's own split knows nothing of near copies.
    """
    if pair.target_groups is None:
        return fold
    is_copy = np.isin(pair.target_groups[fold.train], pair.target_groups[fold.test])
    if not is_copy.any():
        return fold
    train = fold.train[~is_copy]
    lost = np.setdiff1d(pair.target_codes[fold.train], pair.target_codes[train])
    if len(lost):
        names = ", ".join(repr(str(pair.classes[code])) for code in lost)
        message = (
            f"no target image of {names} is left to learn from: all of them outside the tested split are "
            f"{_together(pair)}. Use cross-validation (--cv 3), which keeps these together, or add images"
        )
        raise StackError(message)
    return Fold(train, fold.test)


def _kept(pair: DomainPair, images: Joined) -> DomainPair:
    """Return the pair of what the division kept of the target, and of the classes that are left."""
    if len(images.rows) == len(pair.target.rows):
        return replace(pair, target=images)
    positions = np.searchsorted(pair.target.rows, images.rows)
    classes = np.unique(images.labels)
    rows = np.flatnonzero(np.isin(pair.source.labels, classes))
    return replace(
        pair,
        source=pair.source.take(rows),
        target=images,
        classes=classes,
        source_groups=None if pair.source_groups is None else pair.source_groups[rows],
        target_groups=None if pair.target_groups is None else pair.target_groups[positions],
    )


def _check_source(pair: DomainPair, source: Codes, number: int, n_folds: int) -> None:
    lost = np.setdiff1d(pair.classes, pair.source.labels[source])
    if len(lost):
        where = f"fold {number + 1} of {n_folds}" if n_folds > 1 else "the test part"
        message = (
            f"no source image of {', '.join(map(repr, map(str, lost)))} is left for {where}: all of them are "
            f"{_together(pair)}. Add source images that are neither, or take the label of these classes away with "
            "`stackbone extract DATA --labels FILE.csv`"
        )
        raise StackError(message)


def _source_notes(pair: DomainPair, parts: Sequence[FoldPart]) -> list[str]:
    most = max(len(pair.source) - len(part.source) for part in parts)
    if not most:
        return []
    those = counted(most, "source image")
    return [f"up to {those} a fold {'is' if most == 1 else 'are'} left out of its source: {_together(pair)}"]


def _together(pair: DomainPair) -> str:
    """Return how images belong together with tested ones, in words."""
    or_seen = "" if pair.unlabelled is None else " or an image without a label"
    return f"near copies of tested images, or joined to them by a group{or_seen}"


def labels_shown(part: FoldPart, codes: Codes, setting: Setting) -> Codes:
    """Return ``(n_train,)`` codes of a fold's training part, `HIDDEN` where the setting hides them.

    Parameters
    ----------
    part
        The fold.
    codes
        ``(n_target,)`` class codes of the target.
    setting
        Which labels are shown; of few, the same of every method, and those of fewer among those of more.
    """
    train = part.fold.train
    if setting.shots is None:
        return codes[train]
    shown = take_each(part.order, codes, setting.shots) if setting.shots else train[:0]
    return np.where(np.isin(train, shown), codes[train], HIDDEN)


def domains_of(
    pair: DomainPair,
    part: FoldPart,
    setting: Setting,
    backbone: str,
    seed: int,
    source_memo: Memo | None = None,
    image_memo: Memo | None = None,
) -> Domains:
    """Return what methods may see in one fold, on one backbone.

    Parameters
    ----------
    pair, part, setting
        What is divided, and how many labels are shown.
    backbone
        Its name.
    seed
        Of all that methods draw.
    source_memo
        Of the same source rows of this backbone, from other folds and settings.
    image_memo
        Of the same rows of both domains, from other settings.
    """
    train = part.fold.train
    target, shown = rows_of(pair.target.blocks[backbone], train), labels_shown(part, pair.target_codes, setting)
    if pair.unlabelled is not None and len(part.unlabelled):
        target = np.concatenate([target, pair.unlabelled.blocks[backbone][part.unlabelled]])
        shown = np.concatenate([shown, np.full(len(part.unlabelled), HIDDEN)])
    source_groups, target_groups = _groups(pair, part)
    return Domains(
        source=rows_of(pair.source.blocks[backbone], part.source),
        source_labels=pair.source_codes[part.source],
        target=target,
        target_labels=shown,
        n_classes=len(pair.classes),
        seed=seed,
        source_groups=source_groups,
        target_groups=target_groups,
        source_memo=source_memo or Memo(),
        image_memo=image_memo or Memo(),
    )


def _groups(pair: DomainPair, part: FoldPart) -> tuple[Codes | None, Codes | None]:
    """Return what belongs together among what a fold learns from, target images without a label last."""
    source = None if pair.source_groups is None else pair.source_groups[part.source]
    target = None if pair.target_groups is None else pair.target_groups[part.fold.train]
    if pair.unlabelled is None or not len(part.unlabelled):
        return source, target
    if target is None or pair.unlabelled.groups is None:
        return source, None
    return source, np.concatenate([target, pair.unlabelled.groups[part.unlabelled]])


def rows_of(block: Matrix, rows: Codes) -> Matrix:
    """Return rows of a matrix, without a copy where they are all of it."""
    return block if len(rows) == len(block) else block[rows]


def everything(pair: DomainPair, seed: int) -> FoldPart:
    """Return all images as one part that tests none; `seed` orders the labels that are shown where few are."""
    n = len(pair.target.rows)
    rows, group = np.arange(n), resolve_groups(pair.target_groups, n)
    order = nested_order(rows, pair.target_codes, group, seed)
    unlabelled = np.arange(0 if pair.unlabelled is None else len(pair.unlabelled))
    return FoldPart(0, Fold(rows, rows[:0]), np.arange(len(pair.source)), order, unlabelled)
