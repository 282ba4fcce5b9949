"""What a user decides about the fits, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackbone.cache.choices import check_choice
from stackbone.cache.errors import UsageError
from stackbone.stack.learners.class_weight import BALANCED, checked_weights
from stackbone.stack.learners.options import COMBINE, FUSIONS, SCORES, MetaOptions, StackOptions
from stackbone.stack.metrics.metrics import find_metric
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.tasks.task import Task

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
    metric: str | None = None,
    class_weight: str | Mapping[str, float] | None = None,
    weight_column: str | None = None,
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
    inner_splits, fusion, weight_column
        See `StackOptions`.
    metric : str, optional
        Name of a metric of the task, or what scikit-learn calls it, with hyphens or underscores.
    class_weight : str or mapping of str to float, optional
        See `StackOptions`; for classification only.

    Raises
    ------
    UsageError
        If a name is unknown, or a number out of range.
    """
    options = StackOptions(
        c=c,
        inner_splits=inner_splits,
        meta=MetaOptions(get_task(task).meta_learners[0] if meta is None else meta, scores, combine),
        fusion=fusion,
        metric=metric,
        class_weight=class_weight,
        weight_column=weight_column,
    )
    return check_options(task, options)


def check_meta(task: str, options: MetaOptions) -> None:
    """Raise `UsageError` unless a task knows all names of these options."""
    check_choice("meta-learner", options.learner, get_task(task).meta_learners)
    check_choice("value of --meta-scores", options.scores, SCORES)
    check_choice("value of --meta-combine", options.combine, COMBINE)


def check_options(task: str, options: StackOptions) -> StackOptions:
    """Return options with the metric by its own name, and weights of classes as plain numbers.

    Parameters
    ----------
    task : str
        Name of the task.
    options : StackOptions
        What a user decided, or made by hand.

    Raises
    ------
    UsageError
        If a name is unknown, a number out of range, or an option means nothing for the task.
    """
    kind = get_task(task)
    check_meta(task, options.meta)
    check_choice("value of --fusion", options.fusion, FUSIONS)
    if options.c is not None and not 0 < options.c <= MOST_C:
        message = (
            f"--c is {options.c}; C is an inverse regularisation strength above 0 and up to {MOST_C:g}, such as 0.01"
        )
        raise UsageError(message)
    kind.check_options(options)
    if options.inner_splits < 2:
        message = f"{options.inner_splits} inner folds were asked for; use 2 or more"
        raise UsageError(message)
    return replace(
        options,
        metric=None if options.metric is None else find_metric(task, options.metric).name,
        class_weight=_checked_class_weight(kind, options.class_weight),
    )


def _checked_class_weight(
    task: Task, class_weight: str | Mapping[str, float] | None
) -> str | Mapping[str, float] | None:
    if class_weight is None:
        return None
    if not task.has_class_weights:
        message = (
            f"--class-weight is for classes, and the task is {task.name}: leave it out, or weigh images "
            "(--weight-column)"
        )
        raise UsageError(message)
    if isinstance(class_weight, str):
        check_choice("value of class_weight", class_weight, [BALANCED])
        return class_weight
    if not isinstance(class_weight, Mapping):
        message = (
            f"class_weight is {class_weight!r}; expected {BALANCED!r}, a mapping of class names to numbers above 0, "
            "or None"
        )
        raise UsageError(message)
    return checked_weights(class_weight.items(), "class_weight")
