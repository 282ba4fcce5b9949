"""How the models of an experiment compare, each with the interval of its mean score, and what each backbone adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.used_features import UsedFeatures
from stackbone.stack.metrics.compare import Difference, bootstrap_difference, mean_sizes, paired_difference
from stackbone.stack.metrics.model_scores import ModelScore, Prediction
from stackbone.stack.tables import table

_KINDS = {"lr": "backbone", "svm": "backbone", "ridge": "backbone", "stack": "stack"}
_RATE = "images_per_s"  # in a shard's provenance, where its writer measured it


@dataclass(frozen=True)
class ModelSummary:
    """One model's scores.

    Attributes
    ----------
    name, what : str
        The model, and what it is in a few words.
    kind : str
        ``backbone`` (one alone), ``baseline`` (several, plainly joined) or ``stack``.
    chief : str
        Name of the chief score: ``accuracy`` or ``r2``.
    mean, std : float
        Of the chief score over folds; see `stack.metrics.model_scores.ModelScore`.
    folds : list of float
        The chief score of each.
    interval : tuple of float, optional
        95% interval of the mean, by `stack.metrics.compare`; None where there is no spread to tell it by.
    metrics : dict of str to float
        Mean of each other score.
    best : bool
        Whether its mean is the highest.
    """

    name: str
    kind: str
    what: str
    chief: str
    mean: float
    std: float
    folds: list[float]
    interval: tuple[float, float] | None
    metrics: dict[str, float]
    best: bool
    about: bool


@dataclass(frozen=True)
class Gain:
    """What the best stack scores above the best single backbone; the ends are None where there is no interval."""

    a: str
    b: str
    mean: float
    low: float | None
    high: float | None
    confidence: float


@dataclass(frozen=True)
class Ablation:
    """What ``stack:oof`` loses without one backbone: negative where it is better off."""

    without: str
    mean_difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Cost:
    """What a backbone costs, and what it scores alone.

    Attributes
    ----------
    backbone, feature_set : str
        Its name, and the id of its features; of a steered one, of those of the first fold.
    dim : int
        Features of each image.
    megabytes : float
        Size of the features of the images that take part, as they lie on disk, in 10⁶ bytes.
    images_per_s : float, optional
        Speed of the run that embedded them; None where the shard does not tell.
    accuracy : float
        Of its logistic regression; of a regression R² of its ridge.
    """

    backbone: str
    feature_set: str
    dim: int
    megabytes: float
    images_per_s: float | None
    accuracy: float


@dataclass(frozen=True)
class BackboneShare:
    """How much of the meta-learner's weight is on one backbone, 0 to 1."""

    backbone: str
    share: float


def summarise_models(experiment: Experiment) -> list[ModelSummary]:
    """Return every model of the table, in its order."""
    about, best = table.model_row(experiment), _best_row(experiment)
    return [
        ModelSummary(
            name=score.model,
            kind=_KINDS.get(score.model.partition(":")[0], "baseline"),
            what=table.describe(experiment, score.model),
            chief=score.primary_metric,
            mean=score.mean,
            std=score.std,
            folds=score.folds,
            interval=_interval(experiment, score),
            metrics={name: float(np.mean(folds)) for name, folds in score.metrics.items()},
            best=row == best,
            about=row == about,
        )
        for row, score in enumerate(experiment.evaluation.results)
    ]


def _best_row(experiment: Experiment) -> int:
    """Return the row of the highest mean score, the first of equals."""
    means = [score.mean for score in experiment.evaluation.results]
    return means.index(max(means))


def gain(experiment: Experiment) -> Gain | None:
    """Return how far the model is above the best single backbone; None where it was not compared."""
    found = experiment.findings
    each = found.difference
    return None if each is None else Gain(found.stack, found.single, each.mean, each.low, each.high, each.confidence)


def ablations(experiment: Experiment) -> list[Ablation]:
    """Return what the stack loses without each backbone; of a regression without intervals."""
    return [
        Ablation(name, lost.mean, lost.low, lost.high)
        if isinstance(lost, Difference)
        else Ablation(name, lost, None, None)
        for name, lost in experiment.findings.ablation.items()
    ]


def costs(experiment: Experiment, features: Sequence[UsedFeatures]) -> list[Cost]:
    """Return what each backbone costs.

    Raises
    ------
    CacheError
        If its features have left the cache meanwhile, or are damaged.
    """
    learner = experiment.kind.base
    return [
        _cost(used, experiment.n_images, experiment.evaluation.score(f"{learner}:{used.name}").mean)
        for used in features
    ]


def backbone_shares(experiment: Experiment) -> list[BackboneShare] | None:
    """Return each backbone's share of the weight of ``stack:oof``, mean over folds.

    None where the meta-learner has no weights (``mean``), or does not know one backbone from another (``average``).
    """
    shares = experiment.evaluation.shares
    return [BackboneShare(name, share) for name, share in shares.items()] or None


def _interval(experiment: Experiment, score: ModelScore) -> tuple[float, float] | None:
    """Return the interval of a mean score: that of its difference from a model that scores nothing."""
    if len(score.folds) > 1:
        found = paired_difference(score.folds, [0.0] * len(score.folds), *mean_sizes(experiment.folds))
    elif experiment.truth.n_classes:
        found = _bootstrap(experiment, experiment.evaluation.predictions[score.model][0])
    else:
        return None
    if found.low is None or found.high is None:
        return None
    least = 0.0 if score.primary_metric == "accuracy" else -np.inf
    return max(found.low, least), min(found.high, 1.0)


def _bootstrap(experiment: Experiment, prediction: Prediction) -> Difference:
    joined, rows = experiment.joined, experiment.folds[0].test
    codes = np.unique(joined.labels, return_inverse=True)[1]
    right = prediction.scores.argmax(axis=1) == codes[rows]
    groups = None if joined.groups is None else joined.groups[rows]
    return bootstrap_difference(right, np.zeros_like(right), seed=experiment.seed, groups=groups)


def _cost(used: UsedFeatures, n_images: int, score: float) -> Cost:
    feature_set = used.of_fold(0)
    header = feature_set.header()
    size = n_images * header.dim * np.dtype(header.dtype).itemsize / 1e6
    rate = header.provenance.get(_RATE)
    return Cost(used.name, feature_set.id, header.dim, size, None if rate is None else float(rate), score)
