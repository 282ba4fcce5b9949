"""The verdict on a saved model: what it scores on images that it never saw, and whether that is what it promised."""

from __future__ import annotations

import re

from stackbone.cache.text import counted
from stackbone.stack.judging.model_test import MODEL_ROW, ModelTest
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.tables.metric_names import PrimaryMetric, primary_metric

_PROMISED = re.compile(r"(-?\d+(?:\.\d+)?)(?: ± (\d+(?:\.\d+)?))?")
_ROUNDED = 5e-4
"""What a promise of three decimals may be off by."""


def comparison(test: ModelTest) -> str:
    """Return what the model scores, and how that compares with what it scored when it was saved."""
    score, metric = test.evaluation.score(MODEL_ROW), primary_metric(test)
    new = "that it may know" if test.tested.seen is None else "that it never saw"
    images = f"{counted(test.n_images, 'image')} {new}"
    return f"{test.called} scores {score.mean:.3f} ({metric.name}) on {images}{_as_promised(test, metric)}."


def certainty(test: ModelTest) -> str | None:
    """Return the interval of that score, and how the model compares with the best of its members."""
    metric, ends = primary_metric(test), test.interval(MODEL_ROW)
    drawn = "groups of images" if test.joined.groups is not None else "images"
    said = [] if ends is None else [f"95% interval: {ends[0]:.3f} to {ends[1]:.3f} (bootstrap over {drawn})."]
    single = test.kind.best(test.evaluation)
    if single is not None and len(test.evaluation.results) > 2:
        said.append(f"Its best member alone, {single.model}, scores {single.mean:.3f}{_apart(test, metric)}.")
    return " ".join(said) or None


def _as_promised(test: ModelTest, metric: PrimaryMetric) -> str:
    """Return how the score compares with what the model's file says, where that is of the same metric."""
    saved = test.tested.score.get(test.evaluation.score(MODEL_ROW).primary_metric)
    if saved is None:
        return ""
    text = saved if isinstance(saved, str) else f"{saved:.3f}"
    found, ends = _PROMISED.match(text), test.interval(MODEL_ROW)
    if found is None or ends is None or not _is_like_what_was_scored(test):
        return f"; when it was saved it scored {text}"
    promised, apart = float(found[1]), float(found[2] or 0) + _ROUNDED
    if ends[0] - apart <= promised <= ends[1] + apart:
        return f", about as it promised: {text} when it was saved"
    is_worse = (promised > ends[1]) != metric.lower_is_better
    if is_worse:
        return f", worse than it promised: {text} when it was saved. These images may be of another kind"
    return f", better than it promised: {text} when it was saved"


def _is_like_what_was_scored(test: ModelTest) -> bool:
    """Return whether a score of the model measures what the promise did.

    A mean of probabilities is calibrated when it is saved, and was not when it was scored; with a column of weights,
    images counted differently.
    """
    needs = METRICS[test.evaluation.score(MODEL_ROW).primary_metric].needs_probability
    is_calibrated_since = bool(test.tested.classes) and test.tested.learner == "mean" and needs
    return not is_calibrated_since and test.tested.weight_column is None


def _apart(test: ModelTest, metric: PrimaryMetric) -> str:
    difference = test.findings.difference
    if not isinstance(difference, Difference):
        return ""
    gain = f"{metric.unit * difference.mean:+.{metric.digits}f}{metric.suffix}"
    if difference.low is None or difference.high is None:
        return f"; the model's gain is {gain}"
    low, high = (f"{metric.unit * end:+.{metric.digits}f}" for end in (difference.low, difference.high))
    doubt = "" if difference.excludes_zero else ", which may be chance"
    return f"; the model's gain is {gain}, with a 95% interval from {low} to {high}{doubt}"
