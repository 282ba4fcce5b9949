"""What the report's sections collect their records from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureStore
from stackbone.cache.progress import Progress
from stackbone.stack.experiments.against.change import Change
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.subsets import sample_rows
from stackbone.stack.experiments.used_features import UsedFeatures, load_block, used_features
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.report.answers import Answers
from stackbone.stack.report.images import ImageList
from stackbone.stack.report.projection import choose_projection
from stackbone.stack.tasks.class_findings import ClassFindings

MOST_POINTS = 50_000

_ERRORS_OF_PICTURED = 75  # percent


@dataclass(frozen=True)
class ReportOptions:
    """What a report is asked to show.

    Attributes
    ----------
    projection : str
        ``pca``, ``tsne``, ``umap``, or ``auto``: UMAP where umap-learn is installed and there are at most 50,000
        images, else t-SNE of up to 5,000 images, else PCA.
    learning_curve : bool
        Whether to score shares of the training images too, which takes about as long as the experiment did.
    max_thumbnails : int
        Images to picture, at most.
    n_jobs : int, optional
        Fits of the learning curve at a time; all cores by default.
    against : Change, optional
        What changed since an earlier result, to be shown.

    Raises
    ------
    UsageError
        If the projection is unknown or not installed.
    """

    projection: str = "auto"
    learning_curve: bool = False
    max_thumbnails: int = 600
    n_jobs: int | None = None
    against: Change | None = None

    def __post_init__(self) -> None:
        choose_projection(self.projection)


@dataclass(frozen=True, eq=False)
class Context:
    """An experiment, and what several sections derive from it, derived once.

    A section takes what it needs: what only a classification has is None, or empty, for other tasks.

    Attributes
    ----------
    experiment : Experiment
        Evaluated.
    store : FeatureStore
        The cache it was made with.
    options : ReportOptions
        What was asked for.
    progress : callable, optional
        See `cache.progress.Progress`.
    """

    experiment: Experiment
    store: FeatureStore
    options: ReportOptions = field(default_factory=ReportOptions)
    progress: Progress | None = None

    @cached_property
    def images(self) -> ImageList:
        """The images that the report shows; sections add theirs."""
        return ImageList(self.experiment.joined.index)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row in the dataset's index of each image that took part, ``(n_images,)``."""
        return self.experiment.joined.rows

    @cached_property
    def features(self) -> list[UsedFeatures]:
        """The features of each backbone."""
        return used_features(self.experiment, self.store)

    @cached_property
    def plain_blocks(self) -> dict[str, NDArray[np.float32]]:
        """``(n_images, dim)`` features by backbone, without steered ones, which have seen labels."""
        return {used.name: load_block(self.experiment, used, 0) for used in self.features if not used.per_fold}

    @property
    def n_folds(self) -> int:
        """How many scores each model has."""
        return len(self.experiment.folds)

    @property
    def noun(self) -> str:
        """What errors are counted in: with several repeats every image is predicted several times."""
        return "prediction" if self.experiment.repeats > 1 else "image"

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes, by code; empty where images are not of one class each."""
        truth = self.experiment.truth
        return [str(name) for name in truth.classes] if truth.has_one_class else []

    @cached_property
    def codes(self) -> NDArray[np.int64]:
        """Code of each image, ``(n_images,)``, by which images are sampled: see `stack.tasks.truth.Truth.codes`."""
        return self.experiment.truth.codes

    @cached_property
    def targets(self) -> NDArray[np.float64] | None:
        """Number of each image, ``(n_images,)``; None where labels are no one number."""
        truth = self.experiment.truth
        return None if truth.columns else truth.values

    @property
    def map_numbers(self) -> tuple[NDArray[np.float64] | None, str]:
        """Numbers of the images, by which maps colour them, and what these are; None where by class."""
        truth = self.experiment.truth
        if truth.n_classes and not truth.has_one_class:
            return truth.values.sum(axis=1, dtype=np.float64), "number of labels"
        if len(truth.targets):
            return truth.values[:, 0], str(truth.targets[0])
        return self.targets, "label"

    @property
    def class_predictions(self) -> Mapping[str, Sequence[Prediction]]:
        """What each model says of classes, by fold; empty where labels are not classes."""
        return self.experiment.evaluation.predictions if self.classes else {}

    @property
    def class_findings(self) -> ClassFindings | None:
        """What the scores mean; None where labels are not classes."""
        return cast(ClassFindings, self.experiment.findings) if self.classes else None

    @property
    def target_predictions(self) -> Mapping[str, Sequence[Prediction]]:
        """What each model says of one number, by fold; empty where labels are no one number."""
        return {} if self.targets is None else self.experiment.evaluation.predictions

    @cached_property
    def answers(self) -> Answers | None:
        """What the models say of each image; None where labels are not classes."""
        experiment = self.experiment
        if not self.classes:
            return None
        return Answers(
            self.class_predictions, experiment.folds, self.classes, self.codes, self.rows, experiment.model_name
        )

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """Images that maps show, ``(n_shown,)``: of more than 50,000 a sample that keeps every class."""
        return sample_rows(self.codes, MOST_POINTS, self.experiment.seed)

    def fill_images(self) -> None:
        """Add images for as long as more can be pictured: most of the errors, then some of each class that a map shows.

        A cell of the confusion matrix and the gallery show the former.
        """
        if self.answers is not None:
            wrong = self.answers.rows[self.answers.predicted != self.answers.truth]
            unseen = wrong[~np.isin(wrong, list(self.images))]
            most = max(0, self.options.max_thumbnails * _ERRORS_OF_PICTURED // 100 - len(self.images))
            self.images.add(np.random.default_rng(self.experiment.seed).permutation(unseen)[:most])
        new = self.shown[~np.isin(self.rows[self.shown], list(self.images))]
        room = max(0, self.options.max_thumbnails - len(self.images))
        self.images.add(self.rows[new[sample_rows(self.codes[new], room, self.experiment.seed)]])
