"""What a user decides about the fits, checked as a whole."""

from __future__ import annotations

from stackbone.cache.choices import check_choice
from stackbone.cache.errors import UsageError
from stackbone.stack.learners.options import COMBINE, FUSIONS, SCORES, MetaOptions, StackOptions
from stackbone.stack.tasks.registry import get_task

MOST_C = 1e6
"""The largest C that can be asked for: beyond it the penalty is lost in the rounding of single precision."""


def stack_options(
    task: str = "classification",
    *,
    meta: str | None = None,
    scores: str = "probability",
    combine: str = "concat",
    c: float | None = None,
    inner_splits: int = 5,
    fusion: str = StackOptions.fusion,
) -> StackOptions:
    """Return options that suit a task, with its own defaults.

    Parameters
    ----------
    task : str
        Name of one of `stack.tasks.registry.TASKS`.
    meta : str, optional
        The meta-learner; by default the task's first.
    scores, combine : str
        See `MetaOptions`; for classification only.
    c : float, optional
        See `StackOptions`.
    inner_splits, fusion
        See `StackOptions`.

    Raises
    ------
    UsageError
        If a name is unknown, or a number out of range.
    """
    kind = get_task(task)
    meta = kind.meta_learners[0] if meta is None else meta
    options = StackOptions(c=c, inner_splits=inner_splits, meta=MetaOptions(meta, scores, combine), fusion=fusion)
    check_meta(task, options.meta)
    check_choice("value of --fusion", fusion, FUSIONS)
    if c is not None and not 0 < c <= MOST_C:
        message = f"--c is {c}; C is an inverse regularisation strength above 0 and up to {MOST_C:g}, such as 0.01"
        raise UsageError(message)
    kind.check_options(options)
    if inner_splits < 2:
        message = f"{inner_splits} inner folds were asked for; use 2 or more"
        raise UsageError(message)
    return options


def check_meta(task: str, options: MetaOptions) -> None:
    """Raise `UsageError` unless a task knows all names of these options."""
    check_choice("meta-learner", options.learner, get_task(task).meta_learners)
    check_choice("value of --meta-scores", options.scores, SCORES)
    check_choice("value of --meta-combine", options.combine, COMBINE)
