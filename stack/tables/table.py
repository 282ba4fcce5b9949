"""An experiment as a table for people: a row per model, with its score on each fold and what it is."""

from __future__ import annotations

from stackbone.cache.text import counted
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.tables.metric_names import primary_metric, titles

_MOST_FOLDS = 3  # shown one by one; of more folds the spread says enough


def title(experiment: Experiment) -> str:
    """Return what was evaluated and how, in one line."""
    n = len(experiment.truth.columns)
    what = f"{n} {experiment.kind.classes_are[n != 1]}" if n else "a number each"
    images = counted(experiment.n_images, "image")
    return f"{experiment.dataset}: {images}, {what}, {experiment.how}; the model is {experiment.called}"


def header(experiment: Experiment) -> list[str]:
    """Return the table's column titles; under a single split there is no spread to show."""
    first = experiment.evaluation.results[0]
    spread = ["± std"] if len(first.folds) > 1 else []
    names = [titles()[name] for name in _metrics(experiment)]
    return ["model", primary_metric(experiment).name, *spread, *names, *_folds(first), "what it is"]


def rows(experiment: Experiment) -> list[list[str]]:
    """Return one row of cells per model, in the order of `header`; ``-`` where a model has no such number."""
    metrics = _metrics(experiment)
    return [
        [score.model, *_numbers(score, metrics), experiment.describe(score.model)]
        for score in experiment.evaluation.results
    ]


def model_row(experiment: Experiment) -> int:
    """Return the row of the model that the experiment is about, whatever the others score."""
    return [score.model for score in experiment.evaluation.results].index(experiment.model_name)


def footnotes(experiment: Experiment) -> list[str]:
    """Return a line on each score whose title does not say what it is."""
    shown = [experiment.evaluation.results[0].primary_metric, *_metrics(experiment)]
    notes = [(titles()[name], METRICS[name].note) for name in shown]
    return [f"{title}: {note}" for title, note in notes if note]


def _metrics(experiment: Experiment) -> list[str]:
    found = {name for score in experiment.evaluation.results for name in score.metrics}
    return [name for name in titles() if name in found]


def _folds(score: ModelScore) -> list[str]:
    return [f"fold {i + 1}" for i in range(len(score.folds))] if 1 < len(score.folds) <= _MOST_FOLDS else []


def _numbers(score: ModelScore, metrics: list[str]) -> list[str]:
    numbers = [score.mean, *([score.std] if len(score.folds) > 1 else [])]
    means = (score.metrics.get(name) for name in metrics)
    cells = [f"{number:.3f}" for number in numbers]
    cells += ["-" if found is None else f"{sum(found) / len(found):.3f}" for found in means]
    return cells + ([f"{number:.3f}" for number in score.folds] if _folds(score) else [])
