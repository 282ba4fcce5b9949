"""The images that a steering may be trained on: the training part of each fold that `stack` will score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureStore, UsageError
from stackbone.cache.labels.forms import FORMS
from stackbone.cache.text import typed
from stackbone.stack.divisions.division import LOO, ORDERED, Division, choose_plan
from stackbone.stack.divisions.first_division import task_of
from stackbone.stack.divisions.labelled_images import LabelledImages, label_images
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.divisions.outer_folds import inner_of_folds, outer_folds
from stackbone.stack.folds.class_folds import INNER_FOLDS
from stackbone.stack.folds.dealing import DEALINGS


@dataclass(frozen=True, eq=False)
class TrainingPart:
    """Labelled images to train on, each once.

    Attributes
    ----------
    digests : Digests
        ``(n, 32)`` SHA-256 of each.
    paths : list of str
        Path of each, relative to the dataset's root.
    labels : list of str
        Label of each.
    groups : list of int, optional
        Group of each; None where nothing groups them.
    division : dict, optional
        JSON-able, which part of the dataset this is: ``cv``, ``seed``, ``fold`` (from 1), ``group_by``, ``rare``,
        ``task`` and, unless images are dealt by row, ``dealing``; or ``split`` (the one to test on); of an inner fold's
        training part ``inner`` (from 1) and ``inner_splits`` too. None if it is everything.
    """

    digests: Digests
    paths: list[str]
    labels: list[str]
    groups: list[int] | None
    division: dict[str, Any] | None

    def __len__(self) -> int:
        return len(self.paths)


def training_parts(
    store: FeatureStore,
    dataset: str | None = None,
    *,
    cv: int | str | None = None,
    split: str | None = None,
    seed: int = 0,
    group_by: str = "auto",
    rare: str = "refuse",
    task: str = "classification",
    inner_splits: int = INNER_FOLDS,
    dealing: str = DEALINGS[0],
    nested: bool = False,
    folds: str | Path | None = None,
    time_column: str | None = None,
) -> list[TrainingPart]:
    """Return what each outer fold of `stack.experiments.run.run_experiment` with the same options may train on.

    With `nested`, what each inner fold of these may train on follows them all.

    Labels alone decide it: the dataset has to be in the cache, and no features of it.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    dataset : str, optional
        Its name; by default the most recently extracted one.
    cv : int or str, optional
        Number of folds: one part for each; or ``logo``, one for each group that is left out.
    split : str, optional
        The split to test on instead: one part, of the other splits. With none of these, one part of everything.
    seed, group_by, rare, task, dealing, folds, time_column
        See `stack.experiments.run.run_experiment`.
    inner_splits : int
        Inner folds that `stack --inner-cv` will ask for. They change no outer fold, but which ones can be had.
    nested : bool
        Whether to divide each training part again, as the experiment does for its out-of-fold scores.

    Raises
    ------
    StackError
        If labels, groups or the split do not allow it.
    CacheError
        If the cache lacks the dataset or is damaged.
    UsageError
        If options are unknown or contradict each other, or an image can have several labels.
    """
    plan = choose_plan(cv, split, folds, time_column)
    is_divided = split is not None or bool({cv, folds, time_column} - {None})
    if plan.get("plan") == LOO:
        message = f"--cv {LOO} would train a network for each image: use --cv with a number, or --cv logo"
        raise UsageError(message)
    if nested and plan.get("plan") == ORDERED:
        message = (
            "--nested divides inner training parts again, and those in the order of time are too short: leave it out"
        )
        raise UsageError(message)
    index = store.dataset(dataset)
    if index.label_form:
        message = (
            f"an image of the dataset {index.name!r} {FORMS[index.label_form]}, and steering learns one class of each "
            f"image: use the backbones as they are (`stackbone stack --task {typed(task_of(index))}`), or steer them "
            "for another dataset"
        )
        raise UsageError(message)
    split = None if split is None else find_split(index, split)
    images = label_images(index, split=split, group_by=group_by)
    if nested and not is_divided:
        message = "--nested is about the training part of a fold: give --cv or --split too"
        raise UsageError(message)
    if not is_divided:
        if rare != "refuse":
            message = "--rare is for classes smaller than the folds of a cross-validation: leave it out, or give --cv"
            raise UsageError(message)
        if inner_splits != INNER_FOLDS:
            message = "--inner-cv is about the training part of a fold: leave it out, or give --cv or --split"
            raise UsageError(message)
        return [_part(images, np.arange(len(images.rows)), None)]
    division = Division(
        task=task,
        **plan,
        split=split,
        group_by=group_by,
        rare=rare,
        seed=seed,
        dealing=dealing,
        inner_splits=inner_splits,
    )
    images, outer = outer_folds(images, division)
    division = division.of(outer)
    parts = [_part(images, fold.train, division.to_dict(number)) for number, fold in enumerate(outer)]
    if nested:
        inner = inner_of_folds(images, outer, division)
        for number, (fold, own) in enumerate(zip(outer, inner, strict=True)):
            for count, each in enumerate(own, start=1):
                described = division.to_dict(number) | {"inner": count, "inner_splits": len(own)}
                parts.append(_part(images, fold.train[each.train], described))
    return parts


def _part(images: LabelledImages, positions: NDArray[np.int64], division: dict[str, Any] | None) -> TrainingPart:
    part = images.take(positions)
    groups = None if part.groups is None else part.groups.tolist()
    return TrainingPart(part.digests, part.paths, part.labels.tolist(), groups, division)
