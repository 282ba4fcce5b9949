"""What a saved model and each of its members say of images, as the rows of a table that compare them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.judging.model_test import MODEL_ROW, members_of, sums_up
from stackbone.stack.learners.learner import BaseScores
from stackbone.stack.metrics.model_scores import Evaluation, Prediction
from stackbone.stack.models.model import StackModel
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.tasks.truth import Truth


def score_rows_of(
    model: StackModel, decisions: Sequence[NDArray[np.float32]], truth: Truth, fold: Fold, metric: str
) -> Evaluation:
    """Score a model, and its members alone, on the same images.

    Parameters
    ----------
    model : StackModel
        The model.
    decisions : sequence of NDArray[np.float32]
        What `StackModel.decide` returns for each of its backbones, of the n images.
    truth : Truth
        What is true of them, in the model's classes.
    fold : Fold
        That tests them all.
    metric : str
        Name of the metric that ranks them.

    Returns
    -------
    Evaluation
        ``HEAD:BACKBONE`` of each, ``mean`` of several, and ``model``. A model whose backbones say nothing alone, as of
        one classifier on all features, has its own row only.

    Raises
    ------
    StackError
        If the images do not allow the metric.
    """
    kind = get_task(model.task)
    predictions = {name: [each] for name, each in _predictions(model, decisions).items()}
    results = [kind.score(name, truth, each, [fold], metric=metric) for name, each in predictions.items()]
    return Evaluation(results=results, predictions=predictions, without={}, chosen={})


def _predictions(model: StackModel, decisions: Sequence[NDArray[np.float32]]) -> dict[str, Prediction]:
    kind = get_task(model.task)
    found = {} if sums_up(model) else _members(model, decisions)
    thresholds = None if model.thresholds is None else model.thresholds.astype(np.float64)
    own = Prediction(model.combined(decisions), probability=bool(model.classes), thresholds=thresholds)
    alone = {name: kind.predict(each) for name, each in found.items()}
    mean = {"mean": kind.mean(list(found.values()))} if len(found) > 1 and model.learner != "mean" else {}
    return {**alone, **mean, MODEL_ROW: own}


def _members(model: StackModel, decisions: Sequence[NDArray[np.float32]]) -> dict[str, BaseScores]:
    """Return what each head says of each member, head after head; which labels are there, from one half on."""
    kind = get_task(model.task)
    heads, members = model.heads or (kind.base,), [each.name for each in members_of(model)]
    half = None if model.thresholds is None else np.full(len(model.classes), 0.5)  # those of members are not saved
    said = iter(model.said(decisions))
    found = {
        (head, member): BaseScores(1.0, np.empty(0), kind.as_scores(next(said)), None, thresholds=half)
        for member in members
        for head in heads
    }
    return {f"{head}:{member}": found[head, member] for head in heads for member in members}
