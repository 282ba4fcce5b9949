"""How an experiment divides its images: by its own split, or by folds that suit task, groups and classes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.records.division import parse_division
from stackbone.stack.divisions.labelled import Labelled
from stackbone.stack.divisions.own_split import own_split
from stackbone.stack.evaluation.options import TASKS
from stackbone.stack.folds.checks import check_choice
from stackbone.stack.folds.class_folds import INNER_FOLDS, Ask
from stackbone.stack.folds.division import Fold
from stackbone.stack.folds.labels import check_labels, find_rare
from stackbone.stack.folds.target_folds import divide_targets
from stackbone.stack.folds.ways_out import divide_and_check, ways_for_classes, ways_for_targets
from stackbone.stack.tasks.targets import parse_targets

RARE = ("refuse", "drop", "keep")

Images = TypeVar("Images", bound=Labelled)


@dataclass(frozen=True)
class Division:
    """How images are to be divided; the fields are parameters of `stack.experiments.experiment.run_experiment`.

    Raises
    ------
    UsageError
        If they contradict each other.
    """

    task: str = "classification"
    cv: int = 3
    repeats: int = 1
    split: str | None = None
    group_by: str = "auto"
    near_duplicates: float | None = None
    rare: str = "refuse"
    seed: int = 0
    inner_splits: int = INNER_FOLDS

    def __post_init__(self) -> None:
        check_choice("task", self.task, TASKS)
        check_choice("value of --rare", self.rare, RARE)
        if self.rare != "refuse" and (self.split is not None or self.task == "regression"):
            message = "--rare is for classes smaller than the folds of a cross-validation: leave it out"
            raise UsageError(message)
        if self.split is not None and self.repeats > 1:
            message = "--repeats divides images anew, and --split says how they are divided: use one of the two"
            raise UsageError(message)
        if self.repeats < 1:
            message = f"{self.repeats} repeats were asked for; use 1 or more"
            raise UsageError(message)

    def ask(self) -> Ask:
        """Return what a cross-validation is to be."""
        return Ask(self.cv, self.seed, self.repeats, self.rare, self.inner_splits)

    def options(self) -> str:
        """Return the options that ask for it, of those that need no features and divide once."""
        divided = f"--cv {self.cv} --seed {self.seed}" if self.split is None else f"--split {shlex.quote(self.split)}"
        options = [divided]
        options += [f"--group-by {shlex.quote(self.group_by)}"] if self.group_by != "auto" else []
        options += [f"--rare {self.rare}"] if self.rare != "refuse" else []
        return " ".join(options)

    def to_dict(self, number: int) -> dict[str, Any]:
        """Return a JSON-able object that names the training part of a fold, counted from 0."""
        if self.split is not None:
            return {"split": self.split}
        return {
            "cv": self.cv,
            "seed": self.seed,
            "fold": number + 1,
            "group_by": self.group_by,
            "rare": self.rare,
            "task": self.task,
        }


def options_of(division: Mapping[str, Any]) -> str:
    """Return the options that ask for the folds of which `division`, made by `Division.to_dict`, names one.

    Raises
    ------
    CacheError
        If it is not of that form: it was read from a file.
    """
    return Division(**{key: value for key, value in parse_division(division).items() if key != "fold"}).options()


def drop_rare(images: Images, cv: int) -> Images:
    """Return what is left without the classes of fewer images (or groups) than folds, with a note that names them."""
    names = find_rare(images.labels, cv, images.groups)
    kept = np.flatnonzero(~np.isin(images.labels, names))
    if not len(names):
        return images
    note = f"left out, too few for {cv} folds ({len(images.rows) - len(kept)} images): {', '.join(map(str, names))}"
    return images.take(kept, note)


def outer_folds(images: Images, division: Division) -> tuple[Images, list[Fold]]:
    """Return the images without those that the division leaves out, and the outer folds of the rest.

    Raises
    ------
    StackError
        If labels, groups or the split do not allow it, to the inner folds of every training part; the message names
        what does.
    """
    if division.split is not None:
        return own_split(images, division)
    ask = division.ask()
    if division.task == "regression":
        y = parse_targets(images.labels)
        try:
            return images, divide_targets(y, images.groups, ask)
        except StackError as exc:
            message = f"{exc}{ways_for_targets(y, images.groups, ask)}"
            raise StackError(message) from exc
    check_labels(images.labels)
    try:
        _, folds = divide_and_check(images.labels, images.groups, ask)
    except StackError as exc:
        message = f"{exc}{ways_for_classes(images.labels, images.groups, ask)}"
        raise StackError(message) from exc
    return drop_rare(images, division.cv) if division.rare == "drop" else images, folds
