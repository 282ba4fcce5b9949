"""What a user may decide about the fits, checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from stackbone.cache.errors import UsageError
from stackbone.stack.folds.checks import check_choice
from stackbone.stack.learners.base import C_GRID
from stackbone.stack.learners.meta import COMBINE, LEARNERS, SCORES, MetaOptions
from stackbone.stack.solvers.design import MODERATION
from stackbone.stack.tasks.regression import META_LEARNERS as REGRESSION_LEARNERS

TASKS = ("classification", "regression")

MOST_C = 1e6
"""The largest C that can be asked for: beyond it the penalty is lost in the rounding of single precision."""


@dataclass(frozen=True)
class StackOptions:
    """What is fitted on each outer fold's training part.

    Attributes
    ----------
    c : float, optional
        Inverse regularisation strength of every ``lr:`` and ``concat``; chosen on the inner folds by default.
    inner_splits : int
        Inner folds, where the smallest class allows as many.
    meta : MetaOptions
        The meta-learner of ``stack:oof``.
    """

    c: float | None = None
    inner_splits: int = 5
    meta: MetaOptions = field(default_factory=MetaOptions)

    @property
    def c_grid(self) -> tuple[float, ...]:
        """Values of C to try, ascending."""
        return C_GRID if self.c is None else (self.c,)

    @property
    def lr_learner(self) -> dict[str, object]:
        """The logistic regression's part of a key of the score cache."""
        return {"name": "lr", "c_grid": self.c_grid, "moderation": MODERATION}


def stack_options(
    task: str = "classification",
    *,
    meta: str | None = None,
    scores: str = "probability",
    combine: str = "concat",
    c: float | None = None,
    inner_splits: int = 5,
) -> StackOptions:
    """Return options that suit a task, with its own defaults.

    Parameters
    ----------
    task : str
        One of `TASKS`.
    meta : str, optional
        The meta-learner: ``svm`` (default), ``lr`` or ``mean``; of a regression ``ridge`` (default), ``svr`` or
        ``mean``.
    scores, combine : str
        See `MetaOptions`; of a regression there is no choice.
    c : float, optional
        See `StackOptions`.
    inner_splits : int
        See `StackOptions`.

    Raises
    ------
    UsageError
        If a name is unknown, or a number out of range.
    """
    check_choice("task", task, TASKS)
    learners = LEARNERS if task == "classification" else REGRESSION_LEARNERS
    meta = learners[0] if meta is None else meta
    check_choice("meta-learner", meta, learners)
    check_choice("value of --meta-scores", scores, SCORES)
    check_choice("value of --meta-combine", combine, COMBINE)
    if c is not None and not 0 < c <= MOST_C:
        message = f"--c is {c}; C is an inverse regularisation strength above 0 and up to {MOST_C:g}, such as 0.01"
        raise UsageError(message)
    if task == "regression" and (c is not None or (scores, combine) != ("probability", "concat")):
        message = (
            "--c, --meta-scores and --meta-combine are for classification: leave them out, or use --task classification"
        )
        raise UsageError(message)
    if meta == "mean" and (scores, combine) != ("probability", "concat"):
        message = "--meta mean is the mean of the probabilities: leave --meta-scores and --meta-combine out"
        raise UsageError(message)
    if inner_splits < 2:
        message = f"{inner_splits} inner folds were asked for; use 2 or more"
        raise UsageError(message)
    return StackOptions(c=c, inner_splits=inner_splits, meta=MetaOptions(learner=meta, scores=scores, combine=combine))
