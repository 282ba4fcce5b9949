"""An experiment as a table for people, and its verdict in one sentence."""

from __future__ import annotations

from stack.evaluate import ModelScore
from stack.experiment import Experiment

_WHAT = {
    "lr": "logistic regression on {name}",
    "svm": "linear SVM on {name}",
    "mean": "mean of the backbones' probabilities",
    "concat": "logistic regression on all features side by side",
    "stack:oof": "linear SVM on out-of-fold probabilities",
    "stack:published": "linear SVM on averaged in-sample probabilities",
}


def title(experiment: Experiment) -> str:
    """Return what was evaluated and how, in one line."""
    if experiment.split is None:
        how = f"{experiment.cv} folds, seed {experiment.seed}"
    else:
        how = f"trained on the other splits, tested on {experiment.split!r}"
    return f"{experiment.dataset}: {experiment.n_images:,} images, {experiment.n_classes} classes, {how}"


def header(experiment: Experiment) -> list[str]:
    """Return the table's column titles; under a single split there is no spread to show."""
    n_folds = len(experiment.evaluation.results[0].folds)
    spread = ["± std", *(f"fold {i + 1}" for i in range(n_folds))] if n_folds > 1 else []
    return ["model", "accuracy", *spread, "what it is"]


def rows(experiment: Experiment) -> list[list[str]]:
    """Return one row of cells per model, in the order of `header`."""
    return [[score.model, *_numbers(score), _describe(score.model)] for score in experiment.evaluation.results]


def best_row(experiment: Experiment) -> int:
    """Return the row of the model with the highest mean accuracy, the first of equals."""
    means = [score.mean for score in experiment.evaluation.results]
    return means.index(max(means))


def verdict(experiment: Experiment) -> str:
    """Return one sentence that compares the best stack with the best single backbone."""
    results = experiment.evaluation.results
    single = max((s for s in results if s.model.startswith(("lr:", "svm:"))), key=lambda score: score.mean)
    stack = max((s for s in results if s.model.startswith("stack:")), key=lambda score: score.mean)
    gain = stack.mean - single.mean
    if gain <= 0:
        return (
            f"{stack.model} ({stack.mean:.3f}) does not beat the best single backbone, "
            f"{single.model} ({single.mean:.3f}): stacking does not help here ({100 * gain:+.1f} points)."
        )
    wins = sum(a > b for a, b in zip(stack.folds, single.folds, strict=True))
    folds = f", ahead in {wins} of {len(stack.folds)} folds" if len(stack.folds) > 1 else ""
    plain = max((s for s in results if s.model in ("mean", "concat")), key=lambda score: score.mean)
    lead = 100 * (stack.mean - plain.mean)
    better = f"is {lead:.1f} points above" if lead > 0 else "is no better than"
    return (
        f"{stack.model} ({stack.mean:.3f}) beats the best single backbone, {single.model} ({single.mean:.3f}), "
        f"by {100 * gain:.1f} points{folds}; it {better} the plain {plain.model} ({plain.mean:.3f})."
    )


def _numbers(score: ModelScore) -> list[str]:
    spread = [score.std, *score.folds] if len(score.folds) > 1 else []
    return [f"{number:.3f}" for number in (score.mean, *spread)]


def _describe(model: str) -> str:
    kind, _, name = model.partition(":")
    return _WHAT.get(model) or _WHAT[kind].format(name=name)
