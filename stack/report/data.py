"""All that a report shows of an experiment: numbers, names and image files, and no pictures yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureStore
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.progress import Progress
from stackbone.cache.upkeep.summary import summarise_dataset
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.learning_curve import LearningCurve, learning_curves
from stackbone.stack.experiments.provenance import provenance
from stackbone.stack.experiments.used_features import used_features
from stackbone.stack.report.embedding_maps import MOST_POINTS, EmbeddingMap, embedding_maps
from stackbone.stack.report.gallery import (
    AttentionPicture,
    ConflictPictures,
    ImageList,
    ReportImage,
    picture_attention,
    picture_conflicts,
)
from stackbone.stack.report.projection import choose_projection
from stackbone.stack.report.sections.errors import (
    ClassErrors,
    TargetPoints,
    class_errors,
    error_sections,
    target_points,
)
from stackbone.stack.report.sections.scores import (
    Ablation,
    BackboneShare,
    Cost,
    Gain,
    ModelSummary,
    ablations,
    backbone_shares,
    costs,
    gain,
    summarise_models,
)
from stackbone.stack.solvers.fit_warnings import in_words
from stackbone.stack.tables import table


@dataclass(frozen=True, eq=False)
class ReportData:
    """What a report shows.

    Classes are codes into `classes`, images are numbers into `images`.

    Attributes
    ----------
    task, dataset, created : str
        ``classification`` or ``regression``; the dataset's name; when this was collected (ISO 8601, UTC).
    verdict : str
        The experiment in a sentence or two.
    lessons : list of str
        What else it teaches, a line each.
    facts : dict
        Numbers of images, classes, groups; what was left out; how images were divided.
    classes : dict of str to int
        Images of each class, in the order of the codes.
    images : list of ReportImage
        Every image that another section points at.
    files : list of ListedFile
        Where they lie, and which bytes were scored.
    max_thumbnails : int
        How many of them, from the first, are to be pictured.
    models : list of ModelSummary
        The table.
    gain : Gain, optional
        Best stack less best single backbone.
    errors : ClassErrors, optional
        Of a classification.
    conflicts : list of ConflictPictures
        Byte-identical files of several labels.
    ablation, cost : list
        What each backbone adds, and what it costs.
    weights : list of BackboneShare, optional
        Of the meta-learner.
    curves : list of LearningCurve, optional
        Where they were asked for.
    maps : list of EmbeddingMap
        One of each backbone.
    targets : TargetPoints, optional
        Of a regression.
    target_images : NDArray[np.int64]
        ``(n,)`` image numbers of its points, -1 for most.
    attention : list of AttentionPicture
        Of steered backbones.
    provenance : dict
        Versions, seed, folds, options, feature sets, and the commands that repeat it all.
    """

    task: str
    dataset: str
    created: str
    verdict: str
    lessons: list[str]
    facts: dict[str, object]
    classes: dict[str, int]
    images: list[ReportImage]
    files: list[ListedFile]
    max_thumbnails: int
    models: list[ModelSummary]
    gain: Gain | None
    errors: ClassErrors | None
    conflicts: list[ConflictPictures]
    ablation: list[Ablation]
    cost: list[Cost]
    weights: list[BackboneShare] | None
    curves: list[LearningCurve] | None
    maps: list[EmbeddingMap]
    targets: TargetPoints | None
    target_images: NDArray[np.int64]
    attention: list[AttentionPicture]
    provenance: dict[str, object]

    def image_files(self) -> list[ListedFile]:
        """Return the files to picture; the number of an image is its place in this list."""
        return self.files[: self.max_thumbnails]

    def to_dict(self) -> dict[str, Any]:
        """Return one JSON object, finite and of UTF-8; a name's bytes that are not UTF-8 are written as escapes."""
        content = {
            "task": self.task,
            "dataset": self.dataset,
            "created": self.created,
            "verdict": self.verdict,
            "lessons": self.lessons,
            "facts": self.facts,
            "classes": [{"name": name, "n_images": n} for name, n in self.classes.items()],
            "images": self.images,
            "models": self.models,
            "difference": self.gain,
            **error_sections(self.errors),
            "conflicts": self.conflicts,
            "ablation": self.ablation,
            "cost": self.cost,
            "weights": self.weights,
            "learning_curve": self.curves,
            "maps": [each.to_dict() for each in self.maps],
            "regression": self.targets
            and {
                "model": self.targets.model,
                "true": self.targets.true,
                "predicted": self.targets.predicted,
                "image": self.target_images,
                "worst": np.searchsorted(self.targets.rows, self.targets.worst),
            },
            "attention": self.attention,
            "provenance": self.provenance,
        }
        return {name: _json(value) for name, value in content.items()}


def collect(
    experiment: Experiment,
    store: FeatureStore,
    *,
    projection: str = "auto",
    learning_curve: bool = False,
    max_thumbnails: int = 600,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> ReportData:
    """Collect what a report shows of an experiment.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    store : FeatureStore
        The cache it was made with.
    projection : str
        ``pca``, ``umap``, or ``auto``: UMAP where umap-learn is installed and there are at most 50,000 images.
    learning_curve : bool
        Whether to score shares of the training images too, which takes about as long as the experiment did.
    max_thumbnails : int
        Images to picture, at most.
    n_jobs : int, optional
        Fits of the learning curve at a time; all cores by default.
    progress : callable, optional
        See `stack.progress.Progress`.

    Raises
    ------
    CacheError
        If features have left the cache meanwhile, or are damaged.
    StackError
        If there are too few images for a learning curve.
    UsageError
        If the projection is unknown or not installed.
    """
    joined, evaluation = experiment.joined, experiment.evaluation
    features = used_features(experiment, store)
    method = choose_projection("pca" if projection == "auto" and len(joined.rows) > MOST_POINTS else projection)
    images = ImageList(joined.index)
    names: list[str] = []
    codes = np.zeros(len(joined.rows), np.int64)
    errors, targets, values = None, None, None
    if experiment.truth.n_classes:
        names, codes = experiment.truth.classes.tolist(), experiment.truth.codes
        errors = class_errors(experiment, evaluation, names, codes, images)
    else:
        values = experiment.truth.values
        targets = target_points(
            "stack:oof", evaluation.predictions["stack:oof"], experiment.folds, values, experiment.seed
        )
        for row in joined.rows[targets.worst]:
            images.add(row)
    conflicts: list[ConflictPictures] = []
    if joined.left_out["conflicting"]:
        conflicts = picture_conflicts(summarise_dataset(joined.index).conflicts, images, joined.index.path)
    attention = picture_attention(experiment, features, codes, errors.wrong if errors else [], images)
    maps = embedding_maps(
        experiment, features, codes, values, images, method=method, max_images=max_thumbnails, progress=progress
    )
    return ReportData(
        task=experiment.task,
        dataset=experiment.dataset,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        verdict=table.verdict(experiment),
        lessons=table.lessons(experiment),
        facts=_facts(experiment),
        classes=dict(zip(names, np.bincount(codes).tolist(), strict=True)) if names else {},
        images=images.records(),
        files=images.files(),
        max_thumbnails=max_thumbnails,
        models=summarise_models(experiment),
        gain=gain(experiment),
        errors=errors,
        conflicts=conflicts,
        ablation=ablations(experiment),
        cost=costs(experiment, features),
        weights=backbone_shares(experiment),
        curves=learning_curves(experiment, store, n_jobs=n_jobs, progress=progress) if learning_curve else None,
        maps=maps,
        targets=targets,
        target_images=images.numbers(joined.rows[targets.rows]) if targets else np.zeros(0, np.int64),
        attention=attention,
        provenance=provenance(experiment, store),
    )


def _facts(experiment: Experiment) -> dict[str, object]:
    joined = experiment.joined
    return {
        "n_images": experiment.n_images,
        "n_classes": experiment.n_classes,
        "n_groups": joined.n_groups,
        "left_out": joined.left_out,
        "notes": [*joined.notes, *in_words(experiment.evaluation.warnings)],
        "how": table.how(experiment),
    }


def _json(value: Any) -> Any:  # noqa: ANN401 - what JSON takes, and dataclasses and arrays of it
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_dataclass(value):
        return {each.name: _json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {_json(name): _json(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return list(value) if value and isinstance(value[0], int | float) else [_json(each) for each in value]
    return value
