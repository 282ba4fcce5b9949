"""The detector of an experiment, fitted on every annotated image."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.detection.experiments.training import Trainer
from stackbone.stack.detection.fusion import OVERLAP
from stackbone.stack.detection.models.model import DetectionModel
from stackbone.stack.detection.records.experiment import DetectionExperiment, DetectorScore
from stackbone.stack.detection.scores.thresholds import USUAL
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import hash_digests, shorten_digests

LIBRARIES = ("stackbone", "numpy", "torch", "torchvision")


def refit_detector(experiment: DetectionExperiment, trainer: Trainer, *, train_only: bool = False) -> DetectionModel:
    """Return the main detector of an experiment with heads that are trained on all annotated images.

    Weights and thresholds are means over the folds that learnt any, and the overlap is the median, of what was learnt
    on held-out images: to learn them anew, images would have to be held out again.

    Parameters
    ----------
    experiment : DetectionExperiment
        With its scores.
    trainer : Trainer
        Of its images.
    train_only : bool
        Train on the training part of the split alone.
    """
    rows = experiment.folds[0].train if train_only else np.arange(len(experiment.annotated))
    head, folds = experiment.heads[0], experiment.detectors[experiment.main]
    heads = [trainer.fit(head, each, rows, f"model, {head}:{each.name}") for each in experiment.backbones]
    weights = [1.0]
    if folds[0].weights is not None:
        weights = [float(np.mean([(each.weights or {})[one.name] for each in folds])) for one in experiment.backbones]
    digests = experiment.annotated.images.digests[rows]
    return DetectionModel(
        classes=experiment.classes,
        head=head,
        backbones=[
            ModelBackbone(each.name, each.feature_set.id, each.feature_set.header().spec)
            for each in experiment.backbones
        ],
        heads=heads,
        weights=weights,
        overlap=float(np.median([each.overlap or OVERLAP for each in folds])),
        thresholds=mean_thresholds([each.learnt for each in folds]),
        n_images=len(rows),
        digests_sha256=hash_digests(digests),
        seen=shorten_digests(digests),
        score=shown_score(experiment.score(experiment.main), experiment.folds),
        versions={each: version(each) for each in LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def mean_thresholds(learnt: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return ``(n_classes,)`` means over the folds that learnt one (the others have NaN); the usual one if none did."""
    each = np.array(learnt)
    is_known = ~np.isnan(each)
    n = is_known.sum(axis=0)
    total = np.where(is_known, each, 0).sum(axis=0)
    return np.asarray(np.divide(total, n, out=np.full(each.shape[1], USUAL), where=n > 0))


def shown_score(score: DetectorScore, folds: Sequence[object]) -> dict[str, str]:
    """Return a detector's score as a model tells it."""
    over = f", {len(folds)} folds" if len(folds) > 1 else ""
    return {
        "AP50": f"{score.ap50:.3f} ({score.low:.3f} to {score.high:.3f}{over})",
        "AP50:95": f"{score.ap:.3f}",
    }
