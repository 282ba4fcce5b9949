"""What a user decides about the fits, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stackbone.cache.choices import check_choice
from stackbone.cache.errors import UsageError
from stackbone.stack.learners.options import COMBINE, FUSIONS, SCORES, MetaOptions, StackOptions
from stackbone.stack.metrics.metrics import find_metric
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
    kind = get_task(task)
    meta = kind.meta_learners[0] if meta is None else meta
    options = StackOptions(
        c=c,
        inner_splits=inner_splits,
        meta=MetaOptions(meta, scores, combine),
        fusion=fusion,
        metric=None if metric is None else find_metric(task, metric).name,
        class_weight=class_weight,
        weight_column=weight_column,
    )
    check_meta(task, options.meta)
    check_choice("value of --fusion", fusion, FUSIONS)
    if c is not None and not 0 < c <= MOST_C:
        message = f"--c is {c}; C is an inverse regularisation strength above 0 and up to {MOST_C:g}, such as 0.01"
        raise UsageError(message)
    if class_weight is not None and not kind.has_class_weights:
        message = (
            f"--class-weight is for classes, and the task is {task}: leave it out, or weigh images (--weight-column)"
        )
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


def check_options(task: str, options: StackOptions) -> StackOptions:
    """Return options with the metric by its own name; raise `UsageError` unless a task knows all of their names."""
    check_meta(task, options.meta)
    if options.metric is None:
        return options
    return replace(options, metric=find_metric(task, options.metric).name)
