"""An experiment's verdict: its model against the best single backbone, and how sure the difference is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackbone.cache.text import typed
from stackbone.stack.evaluation.options import is_savable
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.judging.model_test import ModelTest
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.tables import model_verdict
from stackbone.stack.tables.metric_names import PrimaryMetric, primary_metric


@dataclass(frozen=True)
class Verdict:
    """The experiment in a sentence or two.

    Attributes
    ----------
    comparison : str
        How the model compares with the best single backbone, whichever way it went.
    certainty : str, optional
        The interval of the difference; None on a single split of a regression, whose one number has no spread.
    beside : str, optional
        How the model compares with the best plain combination, a difference without an interval; None where the
        comparison went against the model or there is no such combination.
    is_clear : bool
        Whether the comparison can be taken at its word: folds or images do not leave open that it is chance.
    """

    comparison: str
    certainty: str | None
    beside: str | None = None
    is_clear: bool = True

    def __str__(self) -> str:
        return " ".join(filter(None, (self.comparison, self.certainty, self.beside)))


def verdict(experiment: Experiment) -> Verdict:
    """Compare the model with the best single backbone.

    The model is the one that `Experiment.recipe` named before any score was known, and that is saved; a saved model
    that is tested is compared with what it promised, too.
    """
    if isinstance(experiment, ModelTest):
        return Verdict(model_verdict.comparison(experiment), model_verdict.certainty(experiment))
    evaluation, metric = experiment.evaluation, primary_metric(experiment)
    stack, single = evaluation.score(experiment.model_name), experiment.kind.best(evaluation)
    plain = _best_plain(experiment, stack.model)
    if single is None:  # every evaluation has one
        raise AssertionError
    is_one = len(experiment.members) == 1 and len(experiment.options.heads) < 2
    if is_one or plain is None:
        sentence = f"With one backbone there is nothing to stack: {single.model} scores {single.mean:.3f}."
        return Verdict(f"{sentence} Embed the images with another one too, to compare and to stack.", None)
    gain = metric.unit * (stack.merit - single.merit)
    pair, beside = f"{single.model} ({single.mean:.3f})", None
    if gain <= 0:
        below = f"is {_told(-gain, metric)} {metric.worse}" if float(f"{gain:.{metric.digits}f}") else "does not beat"
        sentence = f"{stack.model} ({stack.mean:.3f}) {below} the best single backbone, {pair}: {_advice(experiment)}."
    else:
        wins = sum(a > b for a, b in zip(stack.merits, single.merits, strict=True))
        folds = f", ahead in {wins} of {len(stack.folds)} folds" if len(stack.folds) > 1 else ""
        lead = metric.unit * (stack.merit - plain.merit)
        better = f"is {_told(lead, metric)} {metric.better}" if lead > 0 else "is no better than"
        beats = f"{stack.model} ({stack.mean:.3f}) beats the best single backbone"
        sentence = f"{beats}, {pair}, by {_told(gain, metric)}{folds}."
        beside = f"{stack.model} {better} the plain {plain.model} ({plain.mean:.3f})."
    difference = experiment.findings.difference
    if difference is None:
        return Verdict(sentence, None, beside)
    return Verdict(sentence, _certainty(experiment, difference, metric), beside, is_clear=difference.excludes_zero)


def _told(difference: float, metric: PrimaryMetric) -> str:
    return f"{difference:.{metric.digits}f}{metric.suffix}"


def _best_plain(experiment: Experiment, model: str) -> ModelScore | None:
    rows = [each for each in experiment.evaluation.results if each.model in ("mean", "concat") and each.model != model]
    return max(rows, key=lambda each: each.merit, default=None)


def _advice(experiment: Experiment) -> str:
    """Return what to do when the model is no better than one of its members."""
    evaluation = experiment.evaluation
    judged = evaluation.score(experiment.model_name)
    single, plain = experiment.kind.best(evaluation), _best_plain(experiment, judged.model)
    if single is None or plain is None:  # there are several backbones
        raise AssertionError
    learner, _, name = single.model.partition(":")
    alone = evaluation.score(f"lr:{name}") if learner == "svm" else single  # an SVM of one backbone no recipe fits
    if plain.model in experiment.kind.recipes and plain.merit > max(alone.merit, judged.merit):
        saved = is_savable(experiment.kind, experiment.options, plain.model)
        uses = "uses and saves it" if saved else "uses it"
        return f"the plain {plain.model} ({plain.mean:.3f}) does better, and --recipe {plain.model} {uses}"
    if alone.merit < judged.merit:
        return f"no recipe fits that SVM alone, and {alone.model} ({alone.mean:.3f}) is worse than {judged.model}"
    blocks = {each.name: each.blocks for each in experiment.members}
    head = learner if learner in experiment.kind.heads else experiment.kind.base
    asked = f" --heads {typed(head)}" if experiment.options.heads else ""  # else the command would use those
    uses = f"--backbones {typed(','.join(blocks.get(name, (name,))))}{asked} uses that one alone"
    if learner == "svm":
        uses += f", by its logistic regression ({alone.mean:.3f})"
    return f"stacking does not help here; {uses}"


def _certainty(experiment: Experiment, difference: Difference, metric: PrimaryMetric) -> str:
    division = experiment.division
    can_repeat = division.can_repeat and not experiment.steered  # steerings are of one division
    if difference.low is None or difference.high is None:
        where = "fold" if experiment.split is None else "image"
        way_out = "; more --repeats would give one" if can_repeat else ""
        return f"Every {where} gives the same difference, so no interval can be given{way_out}."
    # Student's t knows no bounds: of a few images in two folds it goes beyond what accuracies can differ by.
    most = metric.unit if metric.suffix else np.inf
    low, high = np.clip([metric.unit * difference.low, metric.unit * difference.high], -most, most)
    advice = "; more --repeats would narrow it" if can_repeat else ""
    doubt = "" if difference.excludes_zero else f", so this may be chance{advice}"
    interval = f"{low:+.{metric.digits}f} to {high:+.{metric.digits}f}{metric.suffix} ({difference.method})"
    # Of a metric of which less is better, what is above 0 is still what the model is better by.
    what = "gain" if metric.lower_is_better else "difference"
    caveat = "" if division.caveat is None else f" {division.caveat}"
    return f"{100 * difference.confidence:.0f}% interval of the {what}: {interval}{doubt}.{caveat}"
