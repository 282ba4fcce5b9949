"""What a user decides about the fits, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    heads: str | Sequence[str] | None = None,
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
    heads : str or sequence of str, optional
        Base learners that the stack is built of, as a list or separated by commas; by default the task's own.
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
        heads=() if heads is None else _listed(heads),
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


def check_savable(task: Task, options: StackOptions, recipe: str) -> None:
    """Raise `UsageError` unless a file of a model can hold that of a recipe: see `is_savable`."""
    if is_savable(task, options, recipe):
        return
    lost = ", ".join(each.name for each in task.stacked(options) if not each.can_be_saved)
    kept = ", ".join(each.name for each in task.learners if each.can_be_stacked and each.can_be_saved)
    message = (
        f"a stack of {lost} cannot be saved: it is no linear map of the features, and a model's file holds nothing "
        f"else. Leave --save out, or choose --heads of {kept}"
    )
    raise UsageError(message)


def is_savable(task: Task, options: StackOptions, recipe: str) -> bool:
    """Return whether a model of a recipe is built of no head that a file of a model cannot hold.

    The task's own base learner, of which a model is built where no heads are asked for, can always be held.
    """
    is_built_of_heads = recipe in ("oof", "mean") and options.heads
    return not is_built_of_heads or all(each.can_be_saved for each in task.stacked(options))


def check_options(task: str, options: StackOptions) -> StackOptions:
    """Return options as every fit knows them: the metric by its own name, weights of classes as plain numbers.

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
    heads = _checked_heads(kind, options.heads)
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
        heads=heads,
    )


def _listed(heads: str | Sequence[str]) -> tuple[str, ...]:
    """Return the base learners that were asked for, of which there is one or more."""
    names = [each.strip() for each in heads.split(",")] if isinstance(heads, str) else heads
    if not names:
        message = "--heads names none: name one base learner or more, or leave it out"
        raise UsageError(message)
    return tuple(names)


def _checked_heads(task: Task, heads: Sequence[str]) -> tuple[str, ...]:
    """Return the base learners that a stack is built of; none where it is the task's own alone."""
    if isinstance(heads, str):
        message = f"heads is {heads!r}; expected a tuple of names, such as {tuple(heads.split(','))!r}"
        raise UsageError(message)
    for name in heads:
        check_choice("head", name, task.heads)
    doubles = [name for name in dict.fromkeys(heads) if heads.count(name) > 1]
    if doubles:
        message = (
            f"--heads names {', '.join(doubles)} more than once; name each base learner once, of "
            f"{', '.join(task.heads)}"
        )
        raise UsageError(message)
    return () if list(heads) == [task.base] else tuple(heads)


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
