"""A saved model's test on images that it never saw, as an experiment: the same table, report and figures tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import UsageError
from stackbone.cache.records.feature_name import FeatureName, parse_feature_name
from stackbone.cache.text import counted, typed
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.features.source import data_words, is_folder
from stackbone.stack.learners.member import Member
from stackbone.stack.learners.registry import BASE_LEARNERS, META_LEARNERS
from stackbone.stack.metrics.metrics import METRICS, typed_metric
from stackbone.stack.models.answers import Answer
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.predict import predict_from
from stackbone.stack.tasks.truth import Truth

TEST_FORMAT = "stackbone-test"
TEST_VERSION = 1

MODEL_ROW = "model"
"""The row of the table that is the saved model; the others are its members, each alone, and their mean."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ModelTest(Experiment):
    """What a saved model scores on labelled images that it never saw; attributes of `Experiment` beside these.

    Nothing is fitted: there is one fold, all of whose images are tested.

    Attributes
    ----------
    tested : StackModel
        The model.
    known : Truth
        What is true of the images, in the model's classes.
    decisions : list of NDArray[np.float32]
        What `StackModel.decide` returns for each of its backbones.
    unknown : dict of str to int
        Names of classes or labels that the model does not know, with how many images have them.
    file : str
        Of the model, as it was named; empty where it was not read from one.
    """

    tested: StackModel
    known: Truth
    decisions: list[NDArray[np.float32]]
    unknown: dict[str, int] = field(default_factory=dict)
    file: str = ""

    def __repr__(self) -> str:
        score = self.evaluation.score(MODEL_ROW)
        images = counted(self.n_images, "image")
        return f"<ModelTest of {self.called} on {self.dataset}: {images}; {score.primary_metric} {score.mean:.3f}>"

    @cached_property
    def truth(self) -> Truth:
        """What is true of the images, in the model's classes."""
        return self.known

    @cached_property
    def members(self) -> list[Member]:
        """What the model's base learners see."""
        return members_of(self.tested)

    @property
    def cv(self) -> int | None:
        """None: there are no folds."""
        return None

    @property
    def model_name(self) -> str:
        """Row of the saved model."""
        return MODEL_ROW

    @property
    def called(self) -> str:
        """Name of the model's file."""
        return Path(self.file).name or "the saved model"

    @property
    def how(self) -> str:
        """Which images these are, in a few words."""
        part = "" if self.split is None else f"all of the split {self.split!r}, "
        if self.tested.seen is None:
            return f"{part}with a saved model that may have been fitted on some of them"
        return f"{part}none of which it was fitted on"

    @property
    def of_groups(self) -> str:
        """What holds of the groups among its images, where there are any."""
        return "none holds an image that the model is known to be fitted on, and intervals draw each whole"

    @property
    def commands(self) -> list[str] | None:
        """What tests the model again; nothing where that cannot be typed, as of images in memory."""
        index = self.joined.index
        if not self.file or index.in_memory or not (index.listed.asked or is_folder(index)):
            return []
        asked = {
            "--split": (self.split, None),
            "--group-by": (self.division.group_by, "auto"),
            "--near-duplicates": (self.division.near_duplicates, None),
            "--metric": (self._asked_metric, None),
        }
        chosen = [word for name, (value, default) in asked.items() if value != default for word in (name, str(value))]
        cache = next(iter(self.joined.feature_sets.values())).folder.parent
        words = ["stackbone", "evaluate", *data_words(index), "--model", self.file, *chosen, "--cache", cache]
        return [typed(*words)]

    @property
    def _asked_metric(self) -> str | None:
        asked = self.options.metric
        return None if asked in (None, self.kind.primary_metric) else typed_metric(METRICS[asked])

    def describe(self, model: str) -> str:
        """Return in a few words what a row of the table is."""
        learner, _, name = model.partition(":")
        if model == MODEL_ROW and sums_up(self.tested):
            return f"{self.called}: {self.kind.describe('concat', self.options.meta)}"
        if model == MODEL_ROW:
            known = META_LEARNERS.get(self.tested.learner)
            what = known.what if known else self.tested.learner
            heads = ", ".join(self.tested.heads or [self.kind.base])
            return f"{self.called}: {what} on {heads} of {counted(len(self.members), 'backbone')}"
        if name and learner not in BASE_LEARNERS:  # of another package that is not here
            return f"{learner} on {name}"
        return self.kind.describe(model, self.options.meta)

    def interval(self, model: str) -> tuple[float, float] | None:
        """Return what `Experiment.interval` does, drawn once: the verdict, the table and the report all ask."""
        if model not in self._drawn:
            self._drawn[model] = super().interval(model)
        return self._drawn[model]

    @cached_property
    def _drawn(self) -> dict[str, tuple[float, float] | None]:
        return {}

    def answers(self, top: int = 3) -> list[Answer]:
        """Return what the model says of each image, as `stack.models.predict.predict` does."""
        digests = None if self.tested.seen is None else self.joined.digests
        return predict_from(self.tested, self.joined.paths, self.decisions, top=top, digests=digests)

    def asked(self) -> dict[str, Any]:
        """Return what was asked for, JSON-able."""
        return {
            "model": self.file or None,
            "split": self.split,
            "group_by": self.division.group_by,
            "near_duplicates": self.division.near_duplicates,
            "metric": self.options.metric,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object; accuracies are 0 to 1, log-losses in nats, errors in the label's unit."""
        scores = {score.model: score.to_dict() for score in self.evaluation.results}
        intervals = {model: self.interval(model) for model in scores}
        return {
            "format": TEST_FORMAT,
            "format_version": TEST_VERSION,
            "task": self.task,
            "dataset": self.dataset,
            "n_images": self.n_images,
            "n_classes": self.n_classes,
            "n_groups": self.joined.n_groups,
            **self.asked(),
            "stackbone": version("stackbone"),
            "backbones": self.backbones,
            "n_training_images": self.tested.n_images,
            "when_saved": dict(self.tested.score),
            "left_out": self.joined.left_out,
            "unknown": self.unknown,
            "notes": self.joined.notes,
            "results": [{**score, "interval": intervals[model]} for model, score in scores.items()],
            "findings": self.findings.to_dict(),
            "near_copies": self.near_copies.to_dict() if self.near_copies else None,
        }


def members_of(model: StackModel) -> list[Member]:
    """Return what the base learners of a model see, called as the rows of a table are."""
    names, members = [each.name for each in model.backbones], []
    for size in model.members or [1] * len(names):
        own, names = names[:size], names[size:]
        members.append(Member(_whole(own), tuple(own)))
    return members


def _whole(names: Sequence[str]) -> str:
    """Return what outputs of one network are called together: see `stack.features.fusion`."""
    if len(names) == 1:
        return names[0]
    try:
        parsed = [parse_feature_name(name) for name in names]
    except UsageError:
        return "+".join(names)
    first = parsed[0]
    if len({(each.backbone, each.view) for each in parsed}) > 1:
        return "+".join(names)
    return str(FeatureName(first.backbone, "+".join(each.output for each in parsed), first.view))


def sums_up(model: StackModel) -> bool:
    """Return whether the model's backbones say nothing alone: of one classifier on all features, each adds its part."""
    linear = model.meta_linear
    if linear is None or linear.mean is not None or linear.intercept.any():
        return False
    if not model.classes:
        n_added = len(linear.coef) // model.n_outputs
        return np.array_equal(linear.coef, np.tile(np.eye(model.n_outputs), (n_added, 1)))
    is_mean_of_decisions = (model.learner, model.scores, model.combine) == ("lr", "decision", "average")
    return is_mean_of_decisions and bool((linear.coef == np.eye(model.n_outputs)).all())
