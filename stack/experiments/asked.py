"""Which models an experiment is asked for, and what of them its metric and weights leave to be said."""

from __future__ import annotations

from collections.abc import Sequence

from stackbone.cache import UsageError
from stackbone.cache.choices import check_choice
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.recipes import recipe_rows
from stackbone.stack.metrics.metrics import METRICS, typed_metric
from stackbone.stack.tasks.task import Task


def check_recipes(task: Task, recipes: Sequence[str], options: StackOptions) -> None:
    """Raise `UsageError` unless a task has these recipes, and the metric measures the first."""
    for recipe in recipes:
        check_choice("recipe", recipe, recipe_rows())
    if not recipes:
        message = f"no recipe was named; name one or more of {', '.join(recipe_rows())}"
        raise UsageError(message)
    task.check_recipes(recipes)
    if options.metric is not None and recipe_rows()[recipes[0]].startswith(task.unmeasured(options.metric)):
        message = (
            f"--metric {typed_metric(METRICS[options.metric])} needs probabilities, and the recipe {recipes[0]} gives "
            "none: use another --metric or --recipe"
        )
        raise UsageError(message)


def weights_note(options: StackOptions) -> list[str]:
    """Say that images do not count alike, since no number of the table shows it."""
    if options.weight_column is None:
        return []
    return [f"images count by the column {options.weight_column!r}, in what is learnt and in the scores of all models"]


def unmeasured_note(task: Task, options: StackOptions) -> list[str]:
    """Say which models a table lacks, since the metric cannot measure them: the same of every choice of recipes."""
    left_out = task.unmeasured(options.metric)
    if options.metric is None or not left_out:
        return []
    models = ", ".join(f"{each}*" if each.endswith(":") else each for each in left_out)
    needs = f"which --metric {typed_metric(METRICS[options.metric])} needs: no table of it has them"
    return [f"{models} give no probabilities, {needs}"]
