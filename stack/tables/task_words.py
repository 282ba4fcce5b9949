"""What the tables say of each task: the one place of this sub-room that tells tasks apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import cast

from stackbone.stack.evaluation.findings import Findings
from stackbone.stack.evaluation.target_findings import TargetFindings
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.learners.meta import MetaOptions
from stackbone.stack.metrics.compare import ErrorOverlap

_SHOWN = 3  # classes, confusions and errors listed in the terminal; the result file has more
_META = {"svm": "linear SVM on", "lr": "logistic regression on"}
_SCORES = {"probability": "probabilities", "log-probability": "log-probabilities", "decision": "decision values"}
_REGRESSION_META = {"ridge": "ridge", "svr": "linear SVR", "mean": "mean"}


@dataclass(frozen=True)
class Lesson:
    """Something that an experiment teaches.

    Attributes
    ----------
    text : str
        The lesson.
    topic : str, optional
        What it is about; None where the text says so itself.
    """

    text: str
    topic: str | None = None

    def __str__(self) -> str:
        return self.text if self.topic is None else f"{self.topic}: {self.text}"


@dataclass(frozen=True)
class TaskWords:
    """What the tables say of one task.

    Attributes
    ----------
    models : mapping of str to str
        What a model is, by its name, or by its kind (what stands before the colon) with a place for its backbone.
    stack : callable
        Describes ``stack:oof`` by the options of its meta-learner.
    has_recipes : bool
        Whether another recipe than ``oof`` can be the model that is saved.
    error_lessons : callable
        Tells where the model errs.
    """

    models: Mapping[str, str]
    stack: Callable[[MetaOptions], str]
    has_recipes: bool
    error_lessons: Callable[[Experiment], list[Lesson]]

    def describe(self, model: str, meta: MetaOptions) -> str:
        """Return in a few words what a model is."""
        if model == "stack:oof":
            return self.stack(meta)
        kind, _, name = model.partition(":")
        return self.models.get(model) or self.models[kind].format(name=name)


def task_words(experiment: Experiment) -> TaskWords:
    """Return what the tables say of the task of an experiment."""
    return _WORDS[experiment.task]


def _class_stack(meta: MetaOptions) -> str:
    if meta.learner == "mean":
        return "calibrated mean of the backbones' probabilities"
    averaged = "averaged " if meta.combine == "average" else ""
    return f"{_META[meta.learner]} {averaged}out-of-fold {_SCORES[meta.scores]}"


def _target_stack(meta: MetaOptions) -> str:
    return f"{_REGRESSION_META[meta.learner]} on out-of-fold predictions"


def _class_lessons(experiment: Experiment) -> list[Lesson]:
    found = cast(Findings, experiment.findings)
    lessons = [_overlap_lesson(found.overlap)] if len(found.overlap.names) > 1 else []
    weakest = sorted((each for each in found.classes if each.n), key=lambda each: each.f1)[:_SHOWN]
    if weakest:
        lessons.append(Lesson(", ".join(f"{each.name} {each.f1:.2f}" for each in weakest), "weakest classes (F1)"))
    if found.confused:
        pairs = (f"{each.true} for {each.predicted} ({each.n})" for each in found.confused[:_SHOWN])
        lessons.append(Lesson(", ".join(pairs), "most often mistaken"))
    return lessons + [
        Lesson(f"{each.path} is labelled {each.label}, taken for {each.predicted}", "confidently wrong, or mislabelled")
        for each in found.wrong[:_SHOWN]
    ]


def _target_lessons(experiment: Experiment) -> list[Lesson]:
    found = cast(TargetFindings, experiment.findings)
    return [
        Lesson(
            f"{each.path} is labelled {each.label:g}, taken for {each.predicted:.4g}", "furthest off, or mislabelled"
        )
        for each in found.worst[:_SHOWN]
    ]


def _overlap_lesson(overlap: ErrorOverlap) -> Lesson:
    shared = {
        (overlap.names[i], overlap.names[j]): float(overlap.jaccard[i, j])
        for i, j in combinations(range(len(overlap.names)), 2)
    }
    (a, b), least = min(shared.items(), key=lambda each: each[1])
    return Lesson(
        f"at least one backbone is right on {overlap.oracle:.1%} of the images; {a} and {b} share the fewest errors "
        f"({least:.0%} of those that either makes)"
    )


_WORDS = {
    "classification": TaskWords(
        models={
            "lr": "logistic regression on {name}",
            "svm": "linear SVM on {name}",
            "mean": "mean of the backbones' probabilities",
            "concat": "logistic regression on all features side by side",
            "stack:published": "linear SVM on averaged in-sample probabilities",
        },
        stack=_class_stack,
        has_recipes=True,
        error_lessons=_class_lessons,
    ),
    "regression": TaskWords(
        models={
            "ridge": "ridge regression on {name}",
            "mean": "mean of the backbones' predictions",
            "concat": "ridge regression on all features side by side",
        },
        stack=_target_stack,
        has_recipes=False,
        error_lessons=_target_lessons,
    ),
}
