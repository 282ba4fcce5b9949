"""What is fitted for a task: base learners, meta-learners and the recipes made of them, and what these are called."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence

from stackbone.cache.errors import UsageError
from stackbone.stack.learners.learner import BaseLearner, MetaLearner
from stackbone.stack.learners.options import MetaOptions, StackOptions
from stackbone.stack.learners.registry import META_LEARNERS, base_learners, meta_learners
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore


class LearnersOfTask(ABC):
    """The learners of a task.

    Attributes
    ----------
    name : str
        What ``--task`` takes.
    said : str
        What base learners say of an image, in the plural: ``probabilities`` or ``predictions``.
    base : str
        Name of the base learner whose scores the meta-learners see unless others are asked for, and that ``concat`` is.
    """

    name: str
    said: str
    base: str

    @property
    def learners(self) -> list[BaseLearner]:
        """The base learners, in the order of the table."""
        return base_learners(self.name)

    @property
    def meta_learners(self) -> list[str]:
        """Names of the meta-learners, the default first."""
        return meta_learners(self.name)

    @property
    def saved_learners(self) -> Sequence[str]:
        """Names of the meta-learners that a saved model may have."""
        return self.meta_learners

    @property
    def heads(self) -> list[str]:
        """Names of the base learners that a stack can be built of, the default first."""
        found = [each.name for each in self.learners if each.can_be_stacked]
        return sorted(found, key=lambda name: name != self.base)

    def stacked(self, options: StackOptions) -> list[BaseLearner]:
        """Return the base learners that the stack is built of, as the options have it."""
        learners = {each.name: each for each in self.learners}
        return [learners[name] for name in options.heads or (self.base,)]

    @property
    def recipes(self) -> Mapping[str, str]:
        """Each recipe with the row of the table that scores it."""
        return {"oof": "stack:oof"} | {each.name: f"stack:{each.name}" for each in self.learners if each.sees_all}

    @property
    def singles(self) -> tuple[str, ...]:
        """How the names of the models of a single backbone begin."""
        return tuple(f"{each.name}:" for each in self.learners if not each.sees_all)

    def check_recipes(self, recipes: Sequence[str]) -> None:
        """Refuse to be about a recipe that this task does not have.

        Raises
        ------
        UsageError
            If the first is none of this task's.
        """
        if recipes[0] not in self.recipes:
            word = "recipes" if len(self.recipes) > 1 else "recipe"
            message = (
                f"{self.name} has the {word} {', '.join(self.recipes)}, and {recipes[0]} was asked for: leave --recipe "
                "out, or use oof"
            )
            raise UsageError(message)

    def unmeasured(self, metric: str | None) -> tuple[str, ...]:
        """Return how the names of the models begin that a metric cannot measure, since they give no probabilities."""
        if metric is None or not METRICS[metric].needs_probability:
            return ()
        return tuple(
            f"stack:{each.name}" if each.sees_all else f"{each.name}:"
            for each in self.learners
            if not each.has_probabilities
        )

    def describe(self, model: str, options: MetaOptions) -> str:
        """Return in a few words what a model of the table is."""
        learners = {each.name: each for each in self.learners}
        prefix, _, name = model.partition(":")
        if model == "stack:oof":
            return self.describe_stack(META_LEARNERS[options.learner], options)
        if model == "mean":
            return f"mean of the backbones' {self.said}"
        if model == "concat":
            return learners[self.base].what.format(name="all features side by side")
        return learners[name if prefix == "stack" else prefix].what.format(name=name)

    def describe_stack(self, learner: MetaLearner, options: MetaOptions) -> str:
        """Return in a few words what ``stack:oof`` is."""
        return f"{learner.what} on out-of-fold {self.said}"

    def best(self, evaluation: Evaluation) -> ModelScore | None:
        """Return the model of a single backbone that scores highest."""
        return evaluation.best(*self.singles)
