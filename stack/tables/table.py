"""An experiment as a table for people, its verdict in one sentence, and what else it teaches, line by line."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import combinations
from typing import cast

from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.tasks.class_findings import ClassFindings
from stackbone.stack.tasks.target_findings import TargetFindings

_COLUMNS = {
    "macro_f1": "macro-F1",
    "top5": "top-5",
    "log_loss": "log-loss",
    "calibration_error": "cal. error",
    "mae": "MAE",
    "rmse": "RMSE",
}
_MOST_FOLDS = 3  # shown one by one; of more folds the spread says enough
_SHOWN = 3  # classes, confusions and errors listed in the terminal; the result file has more


def title(experiment: Experiment) -> str:
    """Return what was evaluated and how, in one line."""
    what = f"{experiment.n_classes} classes" if experiment.n_classes else "a number each"
    images = f"{experiment.n_images:,} images"
    return f"{experiment.dataset}: {images}, {what}, {how(experiment)}; the model is {experiment.model_name}"


def how(experiment: Experiment) -> str:
    """Return how the images were divided, in a few words."""
    if experiment.split is not None:
        return f"trained on the other splits, tested on {experiment.split!r}"
    times = f"{experiment.repeats} times " if experiment.repeats > 1 else ""
    return f"{times}{experiment.cv} folds, seed {experiment.seed}"


def header(experiment: Experiment) -> list[str]:
    """Return the table's column titles; under a single split there is no spread to show."""
    first = experiment.evaluation.results[0]
    spread = ["± std"] if len(first.folds) > 1 else []
    chief = "R²" if first.primary_metric == "r2" else first.primary_metric
    return ["model", chief, *spread, *(_COLUMNS[name] for name in _metrics(experiment)), *_folds(first), "what it is"]


def rows(experiment: Experiment) -> list[list[str]]:
    """Return one row of cells per model, in the order of `header`; ``-`` where a model has no such number."""
    metrics = _metrics(experiment)
    return [
        [score.model, *_numbers(score, metrics), describe(experiment, score.model)]
        for score in experiment.evaluation.results
    ]


def model_row(experiment: Experiment) -> int:
    """Return the row of the model that the experiment is about, whatever the others score."""
    return [score.model for score in experiment.evaluation.results].index(experiment.model_name)


def describe(experiment: Experiment, model: str) -> str:
    """Return in a few words what a model is."""
    return experiment.kind.describe(model, experiment.options.meta)


def verdict(experiment: Experiment) -> str:
    """Return one sentence or two that compare the model with the best single backbone, whichever way it went.

    The model is the one that `Experiment.recipe` named before any score was known, and that is saved.
    """
    evaluation = experiment.evaluation
    stack, single = evaluation.score(experiment.model_name), experiment.kind.best(evaluation)
    plain = _best_plain(experiment, stack.model)
    if single is None or plain is None:  # every evaluation has them
        raise AssertionError
    unit = 1 if stack.primary_metric == "r2" else 100
    points = "" if stack.primary_metric == "r2" else " points"
    gain = unit * (stack.mean - single.mean)
    digits = 3 if stack.primary_metric == "r2" else 1
    pair = f"{single.model} ({single.mean:.3f})"
    if gain <= 0:
        below = f"is {-gain:.{digits}f}{points} below" if float(f"{gain:.{digits}f}") else "does not beat"
        sentence = f"{stack.model} ({stack.mean:.3f}) {below} the best single backbone, {pair}: {_advice(experiment)}."
    else:
        wins = sum(a > b for a, b in zip(stack.folds, single.folds, strict=True))
        folds = f", ahead in {wins} of {len(stack.folds)} folds" if len(stack.folds) > 1 else ""
        lead = unit * (stack.mean - plain.mean)
        better = f"is {lead:.{digits}f}{points} above" if lead > 0 else "is no better than"
        sentence = (
            f"{stack.model} ({stack.mean:.3f}) beats the best single backbone, {pair}, by {gain:.{digits}f}{points}"
            f"{folds}; it {better} the plain {plain.model} ({plain.mean:.3f})."
        )
    difference = experiment.findings.difference
    if difference is None:
        return sentence
    return f"{sentence} {_interval(experiment, difference, unit, points)}"


def _best_plain(experiment: Experiment, model: str) -> ModelScore | None:
    rows = [each for each in experiment.evaluation.results if each.model in ("mean", "concat") and each.model != model]
    return max(rows, key=lambda each: each.mean, default=None)


def _advice(experiment: Experiment) -> str:
    """Return what to do where the model is no better than one of its members."""
    evaluation, about = experiment.evaluation, experiment.model_name
    single, plain = experiment.kind.best(evaluation), _best_plain(experiment, about)
    members = [each for each in evaluation.results if each.model.startswith(f"{experiment.kind.base}:")]
    if single is None or plain is None or len(members) == 1:
        return "with one backbone there is nothing to stack"
    if plain.model in experiment.kind.recipes and plain.mean > max(single.mean, evaluation.score(about).mean):
        return f"the plain {plain.model} ({plain.mean:.3f}) does better, and --recipe {plain.model} takes and saves it"
    name = single.model.partition(":")[2]
    return f"stacking does not help here; --backbones {shlex.quote(name)} takes that one alone"


def lessons(experiment: Experiment) -> list[str]:
    """Return what else the experiment teaches, a line each; the result file has all of it."""
    steered = [_steered_line(name, ids) for name, ids in experiment.steered.items()]
    if not experiment.n_classes:
        errors = cast(TargetFindings, experiment.findings)
        changes = ", ".join(f"{name} {_signed(-lost, 3)}" for name, lost in errors.ablation.items())
        lines = steered + [f"stack:oof without one backbone, in R²: {changes}"] * bool(changes)
        return lines + [
            f"furthest off, or wrongly labelled: {each.path} is {each.label:g}, taken for {each.predicted:.4g}"
            for each in errors.worst[:_SHOWN]
        ]
    lines = steered
    found = cast(ClassFindings, experiment.findings)
    if found.ablation:
        changes = ", ".join(f"{name} {_signed(-100 * each.mean, 1)}" for name, each in found.ablation.items())
        lines.append(f"stack:oof without one backbone, in points: {changes}")
    if len(found.overlap.names) > 1:
        lines.append(_overlap_line(found))
    weakest = sorted((each for each in found.classes if each.n), key=lambda each: each.f1)[:_SHOWN]
    lines.append("weakest classes (F1): " + ", ".join(f"{each.name} {each.f1:.2f}" for each in weakest))
    if found.confused:
        pairs = (f"{each.true} for {each.predicted} ({each.n})" for each in found.confused[:_SHOWN])
        lines.append("most often taken: " + ", ".join(pairs))
    for each in found.wrong[:_SHOWN]:
        lines.append(f"surely wrong, or wrongly labelled: {each.path} is {each.label}, taken for {each.predicted}")
    return lines


def _steered_line(name: str, ids: Sequence[str]) -> str:
    return (
        f"{name} is steered: each fold takes features whose steering saw nothing of its test part "
        f"({', '.join(dict.fromkeys(ids))}); labels that it saw of the training part may make a stack trust it too much"
    )


def _signed(change: float, digits: int) -> str:
    shown = f"{change:+.{digits}f}"
    return shown if float(shown) else shown[1:]


def _interval(experiment: Experiment, difference: Difference, unit: int, points: str) -> str:
    if difference.low is None or difference.high is None:
        where = "fold" if experiment.split is None else "image"
        return f"Every {where} gives the same difference, so no interval can be given."
    low, high = unit * difference.low, unit * difference.high
    digits = 1 if points else 3
    can_repeat = experiment.split is None and not experiment.steered  # steerings are of one division
    advice = "; more --repeats narrow it" if can_repeat else ""
    doubt = "" if difference.excludes_zero else f", so this may be chance{advice}"
    interval = f"{low:+.{digits}f} to {high:+.{digits}f}{points} ({difference.method})"
    return f"{100 * difference.confidence:.0f}% interval of the difference: {interval}{doubt}."


def _overlap_line(found: ClassFindings) -> str:
    overlap = found.overlap
    shared = {
        (overlap.names[i], overlap.names[j]): float(overlap.jaccard[i, j])
        for i, j in combinations(range(len(overlap.names)), 2)
    }
    (a, b), least = min(shared.items(), key=lambda each: each[1])
    return (
        f"at least one backbone is right on {overlap.oracle:.1%} of the images; {a} and {b} share the fewest errors "
        f"({least:.0%} of those that either makes)"
    )


def _metrics(experiment: Experiment) -> list[str]:
    found = {name for score in experiment.evaluation.results for name in score.metrics}
    return [name for name in _COLUMNS if name in found]


def _folds(score: ModelScore) -> list[str]:
    return [f"fold {i + 1}" for i in range(len(score.folds))] if 1 < len(score.folds) <= _MOST_FOLDS else []


def _numbers(score: ModelScore, metrics: list[str]) -> list[str]:
    numbers = [score.mean, *([score.std] if len(score.folds) > 1 else [])]
    means = (score.metrics.get(name) for name in metrics)
    cells = [f"{number:.3f}" for number in numbers]
    cells += ["-" if found is None else f"{sum(found) / len(found):.3f}" for found in means]
    return cells + ([f"{number:.3f}" for number in score.folds] if _folds(score) else [])
