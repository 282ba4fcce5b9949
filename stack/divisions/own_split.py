"""The dataset's own split as the one fold, and what can be had where it does not serve.

A file that is byte-identical to a test image counts as that image, once, and so does a near copy of one where these
were looked for; where this empties the training part, or takes a class out of it, the message says so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackError, as_keys
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import DEALT, GIVEN, ORDERED, Division
from stackbone.stack.divisions.labelled_images import LabelledImages, label_images
from stackbone.stack.folds.class_labels import list_classes
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.folds import split_folds
from stackbone.stack.folds.groups import join_groups
from stackbone.stack.folds.trials import Trials, split_steps
from stackbone.stack.folds.ways_out import join_ways

Images = TypeVar("Images", bound=LabelledImages)

_USUAL_FOLDS = (3, 5, 2)  # of a cross-validation in place of a split


def own_split(images: Images, division: Division) -> tuple[Images, list[Fold]]:
    """Return the images without near copies of test images, and the one fold that the dataset's own split prescribes.

    Parameters
    ----------
    images : LabelledImages
        The images that take part; of byte-identical ones that in the test part.
    division : Division
        Names the split to test on.

    Raises
    ------
    StackError
        If labels, groups or the split do not allow it, to the inner folds of the training part; the message names
        what does.
    """
    _check_labelled(images, division.split or "")
    images = images.leave_out_copies(division.split or "")
    try:
        return images, _divide(images.labels, images.units(division.dealing), images.splits, division)
    except StackError as exc:
        merged, ways = _merged(images, division), _ways(images, division)
        if merged and ways.startswith(": "):  # after a way out that was said before
            ways = f". Or {ways.removeprefix(': ')}"
        message = f"{exc}{merged}{ways}"
        raise StackError(message) from exc


def _check_labelled(images: LabelledImages, test: str) -> None:
    """Refuse a split whose images are there and have no labels, such as a flat ``test/`` beside class folders."""
    index = images.index
    listed = [row for row, split in enumerate(index.split) if split == test]
    if listed and not any(index.label[row] for row in listed):
        others = sorted({str(split) for split in images.splits} - {"", test})
        split = f"test on {' or '.join(map(repr, others))} (--split) or " if len(others) > 1 else ""
        message = (
            f"the split {test!r} of the dataset {index.name!r} has {counted(len(listed), 'image')} and no label, so "
            "nothing can be scored on it. Put its images into class folders or list them with labels in a table and "
            f"extract them again, or {split}use cross-validation (--cv 3) on the labelled images. A model that "
            "`stackbone stack --save FILE` writes predicts the others: `stackbone predict PHOTOS --model FILE`"
        )
        raise StackError(message)


def _divide(y: NDArray[np.str_], units: Units, splits: NDArray[np.str_], division: Division) -> list[Fold]:
    folds = split_folds(splits, division.split or "", groups=units.groups)
    division.kind.check_split(y, units, folds, division.ask())
    return folds


def _merged(images: LabelledImages, division: Division) -> str:
    """Return in sentences how many training files count as test images, or not at all; without the last full stop."""
    index, test = images.index, division.split
    listed = np.array([label != "" for label in index.label]) & index.ok
    training = listed & (np.array(index.split, dtype=np.str_) != test) & (np.array(index.split, dtype=np.str_) != "")
    training[images.rows] = False
    keys = as_keys(index.image_sha256)
    tested = images.rows[images.splits == test]
    in_test = np.isin(keys, keys[tested])
    near = np.zeros(len(keys), np.bool_)
    if images.near is not None:
        near = training & ~in_test & (images.near >= 0) & np.isin(images.near, images.near[tested])
    copies, torn = int((training & in_test).sum()), int((training & ~near & ~np.isin(keys, keys[images.rows])).sum())
    said = []
    if copies:
        of = np.unique(np.array(index.label, dtype=np.str_)[training & in_test])
        said.append(
            f"{counted(copies, 'file')} of the other splits ({list_classes(of)}) {'is' if copies == 1 else 'are'} "
            f"byte-identical to images of {test!r} and {'counts' if copies == 1 else 'count'} there, once: "
            "put other photographs into the training part"
        )
    if n_near := int(near.sum()):
        of = np.unique(np.array(index.label, dtype=np.str_)[near])
        said.append(
            f"{counted(n_near, 'file')} of the other splits ({list_classes(of)}) "
            f"{'is a near copy' if n_near == 1 else 'are near copies'} of images of {test!r} "
            f"(--near-duplicates) and {'takes' if n_near == 1 else 'take'} no part: "
            "put other photographs into the training part"
        )
    if torn:
        said.append(
            f"{counted(torn, 'file')} of the other splits {'is' if torn == 1 else 'are'} byte-identical to one of "
            f"another label and {'takes' if torn == 1 else 'take'} no part: "
            "`stackbone inspect` lists them, to be corrected"
        )
    return "".join(f". {each}" for each in said)


def _ways(images: LabelledImages, division: Division) -> str:
    """Return what was tried and works in place of the split, for the end of a message."""
    trials = Trials()
    y, units, splits = images.labels, images.units(division.dealing), images.splits

    def works(kept: NDArray[np.bool_], divided: NDArray[np.str_]) -> bool:
        steps = split_steps(len(y), units, division.inner_splits)
        return trials.work(steps, lambda: _divide(y[kept], units.take(kept), divided[kept], division))

    names = [str(name) for name in np.unique(splits) if name not in ("", division.split)]
    tested = [repr(name) for name in names if _works_anew(trials, images, replace(division, split=name))]
    ways = [f"test on {' or '.join(tested)} (--split)"] if tested else []
    gathered = _gather(units.groups, splits, division.split or "")
    if gathered is not None and works(np.ones(len(y), np.bool_), gathered):
        ways.append("put each group of images that is on both sides whole into the training part")
    unknown = division.kind.unknown(y, splits == division.split)
    if len(unknown) and works(~np.isin(y, unknown), splits):
        ways.append(f"leave out {list_classes(unknown)}")
    return join_ways([*ways, *cross_validation(trials, images, division)], trials)


def cross_validation(trials: Trials, images: LabelledImages, division: Division) -> list[str]:
    """Return the first usual cross-validation that works, as the options that ask for it and those that it replaces."""
    for rare in (each for each in ("refuse", "drop") if each in division.kind.rare):
        for cv in _USUAL_FOLDS:
            if _works_anew(trials, images, replace(division, split=None, cv=cv, rare=rare, plan=DEALT, column=None)):
                dropping = " --rare drop" if rare == "drop" else ""
                return [f"use cross-validation (--cv {cv}{dropping}){_in_place(division)}"]
    return []


def _in_place(division: Division) -> str:
    """Return which options a cross-validation takes the place of, for the end of a sentence, where there are any."""
    if division.split is not None:
        return f" in place of {typed('--split', division.split)}"
    return f" in place of {typed(*division.words()[:2])}" if division.plan in (GIVEN, ORDERED) else ""


def _works_anew(trials: Trials, images: LabelledImages, division: Division) -> bool:
    n, units = len(images.labels), images.units(division.dealing)
    if division.split is not None:
        steps = split_steps(n, units, division.inner_splits)
    else:
        steps = division.kind.steps(n, units, division.ask())
    return trials.work(steps, lambda: _divide_anew(images, division))


def _divide_anew(images: LabelledImages, division: Division) -> None:
    """Divide the dataset in another way: of byte-identical images another may be the one that counts."""
    other = label_images(images.index, split=division.split, group_by=division.group_by)
    other = replace(other, near=images.near)
    if division.split is not None:
        other = other.leave_out_copies(division.split)
    y = other.labels
    groups = None if images.groups is None else join_groups(images.file_groups[other.rows])
    units = replace(other.units(division.dealing), groups=groups)
    if division.split is not None:
        _divide(y, units, other.splits, division)
    else:
        other.truth(division.kind)
        division.kind.divide(y, units, division.ask())


def _gather(groups: NDArray[np.int64] | None, splits: NDArray[np.str_], test: str) -> NDArray[np.str_] | None:
    """Return the splits with every torn group in the training part; None where none is torn."""
    names = np.setdiff1d(splits, ["", test])
    if groups is None or not len(names):
        return None
    in_test = splits == test
    torn = in_test & (groups >= 0) & np.isin(groups, groups[~in_test])
    return np.where(torn, names[0], splits) if torn.any() else None
