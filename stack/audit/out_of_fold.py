"""What classifiers that never saw an image say of it: the evaluation of `stack`, kept in the same score cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureStore, StackError
from stackbone.cache.progress import Progress
from stackbone.stack.divisions.division import DEALT, Division, choose_plan
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.features.fair_folds import fair_folds
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import Joined, features_of_folds
from stackbone.stack.metrics.model_scores import pool
from stackbone.stack.tasks.registry import TASKS
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth

STACK = "stack:oof"


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Scores of images by models that were fitted without them.

    Attributes
    ----------
    rows : NDArray[np.int64]
        ``(n,)`` ascending rows of the dataset's index.
    truth : Truth
        What the labels of these images say.
    backbones : mapping of str to NDArray[np.float64]
        Backbone to the ``(n, n_classes)`` log-probabilities of the classifier on its features; of several labels each
        label by itself.
    stack : NDArray[np.float64]
        The same of the stack.
    notes : list of str
        What is to be known of them, in sentences.
    """

    rows: NDArray[np.int64]
    truth: Truth
    backbones: Mapping[str, NDArray[np.float64]]
    stack: NDArray[np.float64]
    notes: list[str]

    @property
    def mean(self) -> NDArray[np.float64]:
        """``(n, n_classes)`` means of the backbones' probabilities."""
        return mean_probabilities(list(self.backbones.values()))


def mean_probabilities(log_probabilities: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mean over classifiers of the probabilities whose ``(n, n_classes)`` logarithms are given."""
    total = np.zeros_like(log_probabilities[0])
    for said in log_probabilities:
        total += np.exp(said)
    return total / len(log_probabilities)


def find_task(index: DatasetIndex) -> Task:
    """Return the first task that reads labels of the form that a dataset has."""
    return next(task for task in TASKS.values() if task.label_form == index.label_form)


def score_out_of_fold(
    joined: Joined,
    store: FeatureStore,
    *,
    cv: int | str | None,
    repeats: int,
    group_by: str,
    seed: int,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> OutOfFold:
    """Score each image by models that were fitted without it, or find these scores in the cache.

    The folds are those of `stack` with the same arguments, so that it has left most of them. Classes with fewer images
    than folds are trained on and not scored.

    Parameters
    ----------
    joined : Joined
        Labels and features.
    store : FeatureStore
        Where scores are kept.
    cv, repeats, group_by, seed, n_jobs, progress
        As of `stack.experiments.run.run_experiment`.

    Raises
    ------
    StackError
        If labels or features do not allow it.
    """
    kind = find_task(joined.index)
    plan = choose_plan(cv, None, None, None)
    ways = ("keep", "drop") if plan.get("plan", DEALT) == DEALT else ("drop",)
    rare = next((way for way in ways if way in kind.rare), kind.rare[0])
    division = Division(task=kind.name, **plan, repeats=repeats, group_by=group_by, rare=rare, seed=seed)
    options = stack_options(kind.name)
    joined, folds, division = fair_folds(joined, division, None)
    features = features_of_folds(joined, folds, division)
    cache = ScoreCache(
        store.scores_folder, features.blocks, dataset=joined.index.name, feature_sets=features.feature_sets
    )
    members = fuse(joined, options.fusion)
    evaluation = evaluate(
        features.blocks,
        joined.labels,
        folds,
        members=members,
        task=kind.name,
        recipes=["oof"],
        baselines=False,
        options=options,
        groups=joined.groups,
        digests=joined.units(division.dealing).digests,
        seed=seed,
        n_jobs=n_jobs,
        cache=cache,
        progress=progress,
    )
    truth = kind.read(joined.labels)
    if not truth.n_classes or not evaluation.predictions[STACK][0].probability:
        message = f"the models of {kind.name} give no probabilities of classes, which the audit of labels needs"
        raise StackError(message)
    found = {
        name: pool(evaluation.predictions[model], folds)
        for name, model in ((each.name, f"{kind.base}:{each.name}") for each in members)
    }
    places, stack = pool(evaluation.predictions[STACK], folds)
    return OutOfFold(
        rows=joined.rows[places],
        truth=Truth(truth.values[places], truth.classes, truth.targets),
        backbones={name: scores for name, (_, scores) in found.items()},
        stack=stack,
        notes=[*joined.notes, *features.notes],
    )
