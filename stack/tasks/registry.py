"""All tasks by name."""

from __future__ import annotations

from stackbone.cache.choices import check_choice
from stackbone.cache.plugins import Plugins
from stackbone.stack.tasks.task import Task

TASKS: Plugins[Task] = Plugins(
    Task,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.tasks",
    "stackbone.stack.tasks.kinds",
    "TASK",
)


def get_task(name: str) -> Task:
    """Return the task of this name.

    Raises
    ------
    UsageError
        If there is none.
    """
    check_choice("task", name, TASKS)
    return TASKS[name]
