"""What an evaluation teaches beyond its scores: is the gain real, what each backbone adds, where it errs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.compare import Difference, mean_sizes, paired_difference
from stackbone.stack.metrics.model_scores import Evaluation, ModelScore
from stackbone.stack.tasks.findings import Examined, Findings
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth


def find(
    task: Task,
    evaluation: Evaluation,
    truth: Truth,
    folds: Sequence[Fold],
    paths: Sequence[str],
    *,
    seed: int = 0,
    groups: NDArray[np.int64] | None = None,
    model: str = "stack:oof",
    weights: NDArray[np.float64] | None = None,
    metric: str | None = None,
) -> Findings:
    """Compare models and look at the errors of an evaluation.

    Parameters
    ----------
    task : Task
        What was predicted.
    evaluation : Evaluation
        With that model, and one of a single backbone.
    truth : Truth
        What the labels say.
    folds : sequence of Fold
        The outer folds.
    paths : sequence of str
        ``n_images`` paths.
    seed : int
        Of the bootstrap that compares two models on a single split.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` groups, which that bootstrap draws whole.
    model : str
        What to look at.
    weights : NDArray[np.float64], optional
        ``(n_images,)`` what each image counts for where it is tested.
    metric : str, optional
        Name of the metric that was asked for.
    """
    single = task.best(evaluation)
    if single is None or model not in evaluation.predictions:
        message = f"the evaluation lacks {model}, or models of single backbones to compare it with"
        raise ValueError(message)
    examined = Examined(evaluation, truth, folds, paths, groups, seed, weights, metric)
    stack = evaluation.score(model)
    full = evaluation.score("stack:oof") if evaluation.without else stack

    def difference(a: ModelScore, b: ModelScore) -> Difference | None:
        if len(folds) > 1:
            return paired_difference(a.merits, b.merits, *mean_sizes(folds), tested=[len(fold.test) for fold in folds])
        return task.compare_on_split(a.model, b.model, examined)

    ablation = {name: task.loss(full, each, difference(full, each)) for name, each in evaluation.without.items()}
    common = Findings(stack.model, single.model, difference(stack, single), ablation)
    return task.find_errors(common, examined)
