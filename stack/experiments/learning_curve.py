"""How scores grow with the number of training images: what more labels would bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stackbone.cache import FeatureStore, StackError
from stackbone.cache.progress import Progress
from stackbone.cache.text import typed
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.subsets import nested_order, take_share, with_both_sides
from stackbone.stack.experiments.used_features import load_block, used_features
from stackbone.stack.folds.class_labels import resolve_groups
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Features
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore

SIZES = 5

_LEAST_SHARE = 1 / 16  # of the training part, at the left end
_LEAST_PER_CLASS = 6  # images, so that inner folds and a choice of C still mean something
_LEAST_TARGETS = 20


@dataclass(frozen=True)
class LearningCurve:
    """One model's scores on the same test parts, trained on ever more images.

    Attributes
    ----------
    model : str
        ``lr:BACKBONE`` (of a regression ``ridge:BACKBONE``), the best of them, or ``stack:oof``.
    n : list of int
        Training images, ascending; the mean over folds. The last are whole training parts.
    mean, std : list of float
        Of the primary metric over the folds of the first repeat.
    """

    model: str
    n: list[int]
    mean: list[float]
    std: list[float]


def learning_curves(
    experiment: Experiment, store: FeatureStore, *, n_jobs: int | None = None, progress: Progress | None = None
) -> list[LearningCurve]:
    """Score the best single backbone and the stack on shares of each training part, with the experiment's options.

    The shares are nested and keep the class proportions; the test parts stay the same, so that the curve shows the
    number of training images and nothing else. Of several repeats the first alone. The last point is the
    experiment's own.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    store : FeatureStore
        The cache it was made with; scores of these fits are kept there too.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    progress : callable, optional
        Called with ("learning curve", evaluations done, evaluations in all).

    Returns
    -------
    list of LearningCurve
        Of the single backbone, and of ``stack:oof`` where the experiment has it.

    Raises
    ------
    StackError
        If a share of the training part cannot be divided into inner folds, or a backbone is steered: its features saw
        the labels of the whole training part.
    """
    joined = experiment.joined
    folds = experiment.folds[: experiment.cv]
    features = used_features(experiment, store)
    if steered := [used.name for used in features if used.per_fold]:
        plain = [used.name for used in features if not used.per_fold]
        message = (
            f"no learning curve with the steered {', '.join(steered)}: its features saw the labels of all training "
            "images, also where a classifier learns from few. Leave --learning-curve out, or stack without it"
            + (f": --backbones {typed(','.join(plain))}" if plain else "")
        )
        raise StackError(message)
    scored = [each.model for each in experiment.evaluation.results]
    models = [_best_single(experiment).model, *(model for model in scored if model == "stack:oof")]
    codes, presence = experiment.truth.codes, experiment.truth.presence
    group = resolve_groups(joined.groups, len(codes))
    shares = _shares(experiment, folds)
    n = np.zeros((len(shares), len(folds)))
    scores = {model: np.zeros_like(n) for model in models}
    for number, fold in enumerate(folds):
        blocks: dict[str, Features] = {
            used.name: joined.features.get(used.name, load_block(experiment, used, number)) for used in features
        }
        ids = {used.name: used.of_fold(number).id for used in features}
        cache = ScoreCache(store.scores_folder, blocks, dataset=experiment.dataset, feature_sets=ids)
        order = nested_order(fold.train, codes, group, experiment.seed)
        for step, share in enumerate(shares):
            if progress is not None:
                progress("learning curve", number * len(shares) + step, n.size)
            taken = take_share(order, codes, share)
            part = Fold(taken if presence is None else with_both_sides(taken, order, presence), fold.test)
            n[step, number] = len(part.train)
            found = _score(experiment, blocks, part, cache, n_jobs) if share < 1 else None
            for model in models:
                own = experiment.evaluation.score(model).folds[number] if found is None else found.score(model).mean
                scores[model][step, number] = own
    if progress is not None:
        progress("learning curve", n.size, n.size)
    sizes = np.rint(n.mean(axis=1)).astype(int).tolist()
    return [
        LearningCurve(model, sizes, each.mean(axis=1).tolist(), each.std(axis=1).tolist())
        for model, each in scores.items()
    ]


def _score(
    experiment: Experiment, blocks: Mapping[str, Features], part: Fold, cache: ScoreCache, n_jobs: int | None
) -> Evaluation:
    """Score what one fold's share of the training part teaches."""
    joined = experiment.joined
    return evaluate(
        blocks,
        experiment.truth,
        [part],
        members=experiment.members,
        task=experiment.task,
        recipes=["oof"],
        baselines=False,
        options=experiment.options,
        groups=joined.groups,
        digests=joined.units(experiment.division.dealing).digests,
        times=joined.times,
        weights=experiment.weights,
        seed=experiment.seed,
        n_jobs=n_jobs,
        cache=cache,
    )


def _shares(experiment: Experiment, folds: Sequence[Fold]) -> list[float]:
    """Return shares of the training part, evenly spaced on a logarithmic scale, up to all of it."""
    n_train = min(len(fold.train) for fold in folds)
    least = _LEAST_PER_CLASS * experiment.n_classes or _LEAST_TARGETS
    start = min(1.0, max(_LEAST_SHARE, least / n_train))
    return np.geomspace(start, 1.0, SIZES).tolist() if start < 1 else [1.0]


def _best_single(experiment: Experiment) -> ModelScore:
    best = experiment.evaluation.best(f"{experiment.kind.base}:")
    if best is None:
        message = "an evaluation has a single backbone"
        raise ValueError(message)
    return best
