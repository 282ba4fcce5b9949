"""How an experiment is to divide its images: all that decides who trains and who tests."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stackbone.cache.choices import check_choice
from stackbone.cache.errors import StackError, UsageError
from stackbone.cache.records.division import parse_division
from stackbone.cache.text import counted, typed
from stackbone.stack.folds.class_folds import INNER_FOLDS, Ask
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.folds.fold import Fold
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.tasks.task import Task

RARE = ("refuse", "drop", "keep")

DEALT, LOO, LOGO, GIVEN, ORDERED = "dealt", "loo", "logo", "given", "ordered"

PLANS = (DEALT, LOO, LOGO, GIVEN, ORDERED)
"""Where outer folds come from: dealt by content or row, each image or group left out once, given, or in time order."""

_CAVEATS = {
    LOO: "Each image is a fold here, so that the correction makes it 1.4 times as wide as one over images.",
    LOGO: "It speaks of new groups as far as these are a random draw of them.",
    GIVEN: "It takes these folds for random ones, which folds of your own need not be: read it as how much the "
    "difference varies from fold to fold.",
    ORDERED: "It is made for random folds, and these grow with time: read it as how much the difference varies over "
    "time.",
}
"""What holds of the corrected resampled t-test, whose correction assumes that both parts are drawn at random."""

FOLD_FILES = (".csv", ".tsv", ".txt", ".parquet")
"""Endings of a file of file names and folds."""

MOST_FOLDS = 1_000
"""Folds that are not drawn; every model is fitted once for each, and several times inside it."""

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
    plan: str = DEALT
    column: str | None = None

    def __post_init__(self) -> None:
        task = get_task(self.task)
        check_choice("value of --rare", self.rare, RARE)
        check_choice("value of --dealing", self.dealing, DEALINGS)
        check_choice("plan", self.plan, PLANS)
        if self.rare != "refuse" and (self.split is not None or self.rare not in task.rare):
            message = "--rare is for classes smaller than the folds of a cross-validation: leave it out"
            if self.split is None and len(task.rare) > 1:
                message = f"--rare {self.rare} is not for {task.name}: choose from {', '.join(task.rare)}"
            raise UsageError(message)
        if self.split is not None and self.repeats > 1:
            message = "--repeats draws new folds, and --split uses the dataset's own division: use one of the two"
            raise UsageError(message)
        if self.plan != DEALT:
            self._check_plan()
        if self.repeats < 1:
            message = f"{self.repeats} repeats were asked for; use 1 or more"
            raise UsageError(message)

    def _check_plan(self) -> None:
        if self.repeats > 1:
            message = (
                f"--repeats draws new folds, and {self.asked()} gives the same ones each time: leave --repeats out, or "
                "use --cv with a number"
            )
            raise UsageError(message)
        if self.rare == "keep":
            message = (
                f"--rare keep is for folds that are drawn, and {self.asked()} says which they are: use --rare drop, "
                "which leaves out classes that a fold tests and its training part lacks"
            )
            raise UsageError(message)

    def words(self) -> list[str]:
        """Return the options that ask for these outer folds, a word each."""
        if self.plan == GIVEN:
            return ["--folds", self.column or ""]
        of_time = ["--time-column", self.column or ""] if self.plan == ORDERED else []
        return [*of_time, "--cv", self.plan if self.plan in (LOO, LOGO) else str(self.cv)]

    def asked(self) -> str:
        """Return the options that ask for these outer folds, as they are typed."""
        return typed(*self.words())

    def in_words(self) -> str:
        """Return how a cross-validation divides the images, in a few words."""
        if self.plan in (LOO, LOGO):
            return f"each {'image' if self.plan == LOO else 'group'} left out once ({self.cv:,} folds)"
        if self.plan == GIVEN:
            return f"{self.cv} folds of {self.column!r}"
        if self.plan == ORDERED:
            return f"{self.cv} folds in the order of {self.column!r}, trained on the past"
        times = f"{self.repeats} times " if self.repeats > 1 else ""
        return f"{times}{self.cv} folds"

    @property
    def can_repeat(self) -> bool:
        """Whether ``--repeats`` would draw other folds."""
        return self.split is None and self.plan == DEALT

    @property
    def caveat(self) -> str | None:
        """What an interval that is made for folds drawn at random does not hold for; None where they are."""
        return _CAVEATS.get(self.plan) if self.split is None else None

    def as_recorded(self) -> dict[str, Any]:
        """Return a JSON-able object of what says who is tested when, as results hold it."""
        return {
            "cv": None if self.split is not None else self.cv,
            "repeats": self.repeats,
            "split": self.split,
            "seed": self.seed,
            "group_by": self.group_by,
            "near_duplicates": self.near_duplicates,
            "rare": self.rare,
            "dealing": self.dealing,
            **self.plan_dict(),
        }

    def plan_dict(self) -> dict[str, Any]:
        """Return a JSON-able object of the plan and what it goes by; nothing where folds are drawn."""
        by = {} if self.column is None else {"column": self.column}
        return {} if self.plan == DEALT else {"plan": self.plan, **by}

    def check_number(self, n: int, noun: str) -> None:
        """Refuse more folds than can be waited for, before they are made.

        Raises
        ------
        StackError
            If there are more than `MOST_FOLDS`; the message says that there is one for each `noun`.
        """
        if n > MOST_FOLDS:
            message = (
                f"{self.asked()} makes {counted(n, 'fold')}, one for each {noun}, and fits every model once for each: "
                f"about {n // 3:,} times the work of --cv 3. Expected up to {MOST_FOLDS:,} folds. Type --cv 10"
            )
            raise StackError(message)

    def of(self, folds: Sequence[Fold]) -> Division:
        """Return the division with the number of folds that it gave, where that was not known before."""
        return self if self.can_repeat or self.split is not None else replace(self, cv=len(folds))

    @property
    def kind(self) -> Task:
        """What is predicted."""
        return get_task(self.task)

    def ask(self) -> Ask:
        """Return what a cross-validation is to be."""
        return Ask(self.cv, self.seed, self.repeats, self.rare, self.inner_splits)

    def options(self) -> str:
        """Return the options that ask for it, of those that need no features and divide once."""
        divided = f"{self.asked()} --seed {self.seed}" if self.split is None else f"--split {typed(self.split)}"
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
        named |= self.plan_dict()
        if self.plan == GIVEN and self.column is not None and os.path.isabs(self.column):
            named["column"] = os.path.basename(self.column)  # of a file: folders are nobody else's business
        # What names no dealing is from before there were two.
        return named if self.dealing == UNNAMED else {**named, "dealing": self.dealing}


def ends_as_file(named: str) -> bool:
    """Return whether what ``--folds`` names ends like a file of folds."""
    return named.lower().endswith(FOLD_FILES)


def is_fold_file(named: str) -> bool:
    """Return whether ``--folds`` names a file, and not a column."""
    return ends_as_file(named) and os.path.isfile(named)


def choose_plan(
    cv: int | str | None, split: str | None, folds: str | os.PathLike[str] | None, time_column: str | None
) -> dict[str, Any]:
    """Return ``cv``, ``plan`` and ``column`` of the division that these ask for; parameters as of `run_experiment`.

    Raises
    ------
    UsageError
        If two of them contradict each other, or `cv` is neither a number of folds nor ``loo`` or ``logo``.
    """
    if cv is not None and split is not None:
        message = (
            f"--cv {cv} draws folds, and --split {typed(split)} uses the dataset's own division: use one of the two"
        )
        raise UsageError(message)
    asked = {"--split": split, "--folds": folds, "--cv": cv, "--time-column": time_column}
    given = {option: value for option, value in asked.items() if value is not None}
    if len(given) > 1 and set(given) != {"--cv", "--time-column"}:
        first, second = list(given)[:2]
        message = (
            f"{typed(first, given[first])} and {typed(second, given[second])} each say which images are tested: use "
            "one of the two"
        )
        raise UsageError(message)
    if folds is not None:
        named = os.fspath(folds)
        return {"plan": GIVEN, "column": os.path.abspath(named) if is_fold_file(named) else named}
    if isinstance(cv, str) or (time_column is not None and cv is not None and cv < 2):
        if cv in (LOO, LOGO) and time_column is None:
            return {"plan": cv}
        plans = f", {LOO} (each image left out once) or {LOGO} (each group left out once)"
        words = plans if time_column is None else ""
        message = f"--cv {typed(cv)} is not a number of folds. Expected 2 or more{words}"
        raise UsageError(message)
    of_time = {} if time_column is None else {"plan": ORDERED, "column": time_column}
    return {"cv": Division.cv if cv is None else cv, **of_time}


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
