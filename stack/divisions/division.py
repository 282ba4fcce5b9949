"""How an experiment is to divide its images: all that decides who trains and who tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stackbone.cache.choices import check_choice
from stackbone.cache.errors import UsageError
from stackbone.cache.records.division import parse_division
from stackbone.cache.text import typed
from stackbone.stack.folds.class_folds import INNER_FOLDS, Ask
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.tasks.task import Task

RARE = ("refuse", "drop", "keep")

UNNAMED = "rows"
"""The dealing of a division, or of a result, that names none: all did so before there were two."""


@dataclass(frozen=True)
class Division:
    """How images are to be divided; the fields are parameters of `stack.experiments.run.run_experiment`.

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
    dealing: str = DEALINGS[0]

    def __post_init__(self) -> None:
        task = get_task(self.task)
        check_choice("value of --rare", self.rare, RARE)
        check_choice("value of --dealing", self.dealing, DEALINGS)
        if self.rare != "refuse" and (self.split is not None or self.rare not in task.rare):
            message = "--rare is for classes smaller than the folds of a cross-validation: leave it out"
            if self.split is None and len(task.rare) > 1:
                message = f"--rare {self.rare} is not for {task.name}: choose from {', '.join(task.rare)}"
            raise UsageError(message)
        if self.split is not None and self.repeats > 1:
            message = "--repeats draws new folds, and --split uses the dataset's own division: use one of the two"
            raise UsageError(message)
        if self.repeats < 1:
            message = f"{self.repeats} repeats were asked for; use 1 or more"
            raise UsageError(message)

    @property
    def kind(self) -> Task:
        """What is predicted."""
        return get_task(self.task)

    def ask(self) -> Ask:
        """Return what a cross-validation is to be."""
        return Ask(self.cv, self.seed, self.repeats, self.rare, self.inner_splits)

    def options(self) -> str:
        """Return the options that ask for it, of those that need no features and divide once."""
        divided = f"--cv {self.cv} --seed {self.seed}" if self.split is None else f"--split {typed(self.split)}"
        options = [divided]
        options += [f"--group-by {typed(self.group_by)}"] if self.group_by != "auto" else []
        options += [f"--rare {self.rare}"] if self.rare != "refuse" else []
        options += [typed("--dealing", self.dealing)] if self.dealing != DEALINGS[0] else []
        options += [f"--inner-cv {self.inner_splits}"] if self.inner_splits != INNER_FOLDS else []
        return " ".join(options)

    def to_dict(self, number: int) -> dict[str, Any]:
        """Return a JSON-able object that names the training part of a fold, counted from 0."""
        if self.split is not None:
            return {"split": self.split}
        named = {
            "cv": self.cv,
            "seed": self.seed,
            "fold": number + 1,
            "group_by": self.group_by,
            "rare": self.rare,
            "task": self.task,
        }
        # What names no dealing is from before there were two.
        return named if self.dealing == UNNAMED else {**named, "dealing": self.dealing}


def choose_cv(cv: int | None, split: str | None) -> int:
    """Return the number of folds: the one asked for, or the usual one.

    Raises
    ------
    UsageError
        If a split is to be tested on as well.
    """
    if cv is not None and split is not None:
        message = (
            f"--cv {cv} draws folds, and --split {typed(split)} uses the dataset's own division: use one of the two"
        )
        raise UsageError(message)
    return Division.cv if cv is None else cv


def options_of(division: Mapping[str, Any]) -> str:
    """Return the options that ask for the folds of which `division`, made by `Division.to_dict`, names one.

    Raises
    ------
    CacheError
        If it is not of that form: it was read from a file.
    """
    named = {key: value for key, value in parse_division(division).items() if key not in ("fold", "inner")}
    return Division(**({} if "split" in named else {"dealing": UNNAMED}) | named).options()


def options_of_run(divisions: Iterable[Mapping[str, Any] | None]) -> str | None:
    """Return the options that ask for the folds of which steerings of one run name theirs; None if they name none.

    Those of inner folds say how many of these there are: as many as were asked for, or as the training part allowed.
    """
    named = [each for each in divisions if each]
    return options_of(max(named, key=lambda each: int(each.get("inner_splits", 0)))) if named else None
