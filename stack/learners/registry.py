"""All learners by name: those of our own folders, and those that other packages add by entry points."""

from __future__ import annotations

from stackbone.cache.plugins import Plugins
from stackbone.stack.learners.learner import BaseLearner, MetaLearner

BASE_LEARNERS: Plugins[BaseLearner] = Plugins(
    BaseLearner,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.learners",
    "stackbone.stack.learners.bases",
    "LEARNER",
    order=lambda each: each.place,
)
META_LEARNERS: Plugins[MetaLearner] = Plugins(
    MetaLearner,  # type: ignore[type-abstract] # nothing is made of it
    "stackbone.meta_learners",
    "stackbone.stack.learners.meta",
    "LEARNER",
    order=lambda each: each.place,
)


def base_learners(task: str) -> list[BaseLearner]:
    """Return the base learners of a task, in the order of the table."""
    return [each for each in BASE_LEARNERS.values() if each.task == task]


def meta_learners(task: str) -> list[str]:
    """Return the names of a task's meta-learners, its default first."""
    return [each.name for each in META_LEARNERS.values() if task in each.tasks]
