"""What an experiment is: what was asked of a dataset and its features, and what came out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.lazy import later
from stackbone.cache.text import counted
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.image_weights import image_weights
from stackbone.stack.evaluation.near_copies import NearCopies
from stackbone.stack.experiments.shots import FewShots
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import Joined, choose_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.member import Member
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.recipes import recipe_rows
from stackbone.stack.metrics.compare import mean_sizes, paired_difference
from stackbone.stack.metrics.interval import split_interval
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.metrics.model_scores import Evaluation
from stackbone.stack.models.model import StackModel
from stackbone.stack.tasks.findings import Findings
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth

RESULT_FORMAT = "stackbone-result"
RESULT_VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class Planned:
    """An experiment before any fit: what was asked, and the folds that follow from it.

    Attributes
    ----------
    division
        How the images are to be divided, and what is predicted of them.
    joined
        Labels and features that take part.
    folds
        The outer folds, repeat after repeat.
    options
        What is fitted.
    """

    division: Division
    joined: Joined
    folds: list[Fold]
    options: StackOptions

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.division.task

    @property
    def kind(self) -> Task:
        """The task itself: whatever depends on what is predicted, it knows."""
        return self.division.kind

    @property
    def dataset(self) -> str:
        """Its name in the cache."""
        return self.joined.index.name

    @property
    def n_images(self) -> int:
        """Images that take part."""
        return len(self.joined.rows)

    @property
    def ranked_by(self) -> str:
        """Name of the metric that models are ranked by."""
        return self.options.metric or self.kind.primary_metric


@dataclass(frozen=True, eq=False, repr=False)
class Experiment(Planned):
    """What was asked and what came out.

    Attributes
    ----------
    division, joined, folds, options
        As of `Planned`.
    evaluation
        The scores.
    findings
        What they mean.
    model
        The stack fitted on everything, if it was asked for.
    steered
        Steered backbone to the id of the feature set that each fold used.
    nested
        Steered backbones that had features of their own for the inner folds.
    recipe
        Of the model that the findings, the verdict and the saved file are about; named before any score is known.
    near_copies
        Tested images that look like one of the training part; None where they were not looked for.
    few_shots
        Scores with a few training images of each class, if they were asked for.
    model_seconds
        What fitting `model` took, with what it keeps of its images.
    """

    evaluation: Evaluation
    findings: Findings
    model: StackModel | None = None
    steered: dict[str, list[str]] = field(default_factory=dict)
    nested: list[str] = field(default_factory=list)
    recipe: str = "oof"
    near_copies: NearCopies | None = None
    few_shots: FewShots | None = None
    model_seconds: float = 0.0

    def __repr__(self) -> str:
        score = self.evaluation.score(self.model_name)
        return (
            f"<Experiment on {self.dataset}: {counted(self.n_images, 'image')}, {counted(len(self.folds), 'fold')}, "
            f"{counted(len(self.joined.names), 'backbone')}; {score.model}: {score.primary_metric} {score.mean:.3f}>"
        )

    def _repr_html_(self) -> str:
        """Return the verdict, every model's scores and their figure, for Jupyter."""
        return str(later("stackbone.stack.display.tables.experiment_html")(self))

    def to_frame(self) -> Any:  # noqa: ANN401 - pandas has no types
        """Return a pandas DataFrame of the scores: the rows of ``stack --csv``, a model each."""
        return later("stackbone.stack.display.tables.experiment_frame")(self)

    @property
    def plot(self) -> Any:  # noqa: ANN401 - of a later sub-room, see `cache.lazy.later`
        """The figures of the report, as Plotly figures: ``plot.confusion()``; ``dir(experiment.plot)`` lists them."""
        return later("stackbone.stack.display.plots.Plots")(self)

    @cached_property
    def truth(self) -> Truth:
        """Class codes and names of the images that took part, or their numbers."""
        return self.joined.truth(self.kind)

    @cached_property
    def weights(self) -> NDArray[np.float64] | None:
        """``(n_images,)`` what each image counts for, above 0; None without a column that says it."""
        return image_weights(self.joined, self.options.weight_column)

    @cached_property
    def members(self) -> list[Member]:
        """What the base learners saw: outputs of one network together, as was asked for."""
        return fuse(self.joined, self.options.fusion)

    @property
    def cv(self) -> int | None:
        """Folds of each repeat; None if the dataset's own split was used."""
        return None if self.division.split is not None else self.division.cv

    @property
    def repeats(self) -> int:
        """How often all images were divided, each time into new folds."""
        return self.division.repeats

    @property
    def split(self) -> str | None:
        """Name of the test split; None under cross-validation."""
        return self.division.split

    @property
    def seed(self) -> int:
        """Of the folds and the inner folds."""
        return self.division.seed

    @property
    def model_name(self) -> str:
        """Row of the model that this is about, which `recipe` named before any score was known."""
        return recipe_rows()[self.recipe]

    @property
    def called(self) -> str:
        """What people call that model."""
        return self.model_name

    @property
    def how(self) -> str:
        """How the images were divided, in a few words."""
        if self.split is not None:
            return f"trained on the other splits, tested on {self.split!r}"
        return f"{self.division.in_words()}, seed {self.seed}"

    @property
    def of_groups(self) -> str:
        """What holds of the groups among its images, where there are any."""
        return "a group is never on both sides of a fold"

    @property
    def commands(self) -> list[str] | None:
        """What to type for the same again; None where it follows from what was asked of the cache."""
        return None

    def describe(self, model: str) -> str:
        """Return in a few words what a model is, with the heads that it is built of where they were asked for."""
        what, heads = self.kind.describe(model, self.options.meta), self.options.heads
        return f"{what} ({', '.join(heads)})" if heads and model in ("mean", "stack:oof") else what

    def interval(self, model: str) -> tuple[float, float] | None:
        """Return the 95% interval of a model's mean score; None where there is no spread to judge it by.

        Of folds it is that of the difference from a model that scores nothing, see `paired_difference`; of a single
        split that over draws of the tested images, of numbers and of several labels where a metric was asked for.
        """
        score = self.evaluation.score(model)
        metric = METRICS[score.primary_metric]
        if len(score.folds) > 1:
            tested = [len(fold.test) for fold in self.folds]
            found = paired_difference(score.folds, [0.0] * len(tested), *mean_sizes(self.folds), tested=tested)
            ends = None if found.low is None or found.high is None else (found.low, found.high)
        elif self.truth.has_one_class or self.options.metric is not None:
            rows, groups, weights = self.folds[0].test, self.joined.groups, self.weights
            ends = split_interval(
                metric,
                self.truth.values[rows],
                self.evaluation.predictions[model][0],
                seed=self.seed,
                weights=None if weights is None else weights[rows],
                groups=None if groups is None else groups[rows],
            )
        else:
            return None
        return None if ends is None else (max(ends[0], metric.least), min(ends[1], metric.most))

    @property
    def n_classes(self) -> int:
        """Classes among them, or labels; where numbers are predicted, 0."""
        return self.truth.n_classes

    @property
    def backbones(self) -> dict[str, str | list[str]]:
        """Backbone (or feature set, where names collide) to feature set id; of a steered one, to one for each fold."""
        ids: dict[str, str | list[str]] = {name: each.id for name, each in self.joined.feature_sets.items()}
        ids |= self.steered
        return {name: ids[name] for name in self.joined.names}

    def asked(self) -> dict[str, Any]:
        """Return what was asked for, JSON-able."""
        return {
            "cv": self.cv,
            "repeats": self.repeats,
            "split": self.split,
            "group_by": self.division.group_by,
            "near_duplicates": self.division.near_duplicates,
            "rare": self.division.rare,
            "dealing": self.division.dealing,
            **self.division.plan_dict(),
            "train_views": list(self.joined.views.train),
            "test_views": list(self.joined.views.test),
            **self.options.to_dict(),
        }

    def training_part(self) -> Joined:
        """Return the images of the training part; of steered backbones with features that never saw the test part."""
        chosen, part = choose_features(self.joined, self.folds, self.division), self.joined.take(self.folds[0].train)
        steered = {name: replace(each, candidates=chosen[name][:1]) for name, each in part.steered.items()}
        return replace(part, steered=steered)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object; accuracies are 0 to 1, log-losses in nats, errors in the label's unit."""
        return {
            "format": RESULT_FORMAT,
            "format_version": RESULT_VERSION,
            "task": self.task,
            "dataset": self.dataset,
            "n_images": self.n_images,
            "n_classes": self.n_classes,
            "n_groups": self.joined.n_groups,
            **self.division.as_recorded(),
            "train_views": list(self.joined.views.train),
            "test_views": list(self.joined.views.test),
            "recipe": self.recipe,
            **self.options.to_dict(),
            "stackbone": version("stackbone"),
            "backbones": self.backbones,
            "left_out": self.joined.left_out,
            "notes": self.joined.notes,
            "results": [score.to_dict() for score in self.evaluation.results],
            "without": {name: score.to_dict() for name, score in self.evaluation.without.items()},
            "chosen": self.evaluation.chosen,
            "parts": {name: [asdict(each) for each in parts] for name, parts in self.evaluation.parts.items()},
            "warnings": self.evaluation.warnings,
            **({"solved_on": self.evaluation.solved_on} if self.evaluation.solved_on else {}),
            "findings": self.findings.to_dict(),
            "near_copies": self.near_copies.to_dict() if self.near_copies else None,
            **({"few_shots": self.few_shots.to_dict()} if self.few_shots else {}),
        }
