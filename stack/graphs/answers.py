"""The formulas of fitted models as operators of a graph: each does what a function elsewhere does in NumPy.

All numbers are float32, which every runtime computes in. What NumPy takes the logarithm of in double precision, because
single precision would lose it, is therefore kept as a logarithm throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stackbone.stack.graphs.graph import Graph
from stackbone.stack.learners.labels.label_meta import LEAST_LOG_ODDS
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.solvers.linear import LinearMap


def decide(graph: Graph, x: str, linear: LinearMap) -> str:
    """Return ``(n, n_outputs)`` decision values of ``(n, dim)`` rows: `LinearMap.decide`."""
    if linear.mean is not None:
        x = graph.op("Sub", x, graph.constant(linear.mean))
    return graph.op("Gemm", x, graph.constant(linear.coef), graph.constant(linear.intercept))


def columns(graph: Graph, x: str, start: int, end: int) -> str:
    """Return some columns of ``(n, dim)`` rows."""
    places = (graph.constant(np.array([place], np.int64)) for place in (start, end, 1))
    return graph.op("Slice", x, *places)


def sum_of(graph: Graph, values: Sequence[str]) -> str:
    """Return the sum of values of one shape."""
    return values[0] if len(values) == 1 else graph.op("Sum", *values)


def mean_of(graph: Graph, values: Sequence[str]) -> str:
    """Return the mean of values of one shape."""
    return values[0] if len(values) == 1 else graph.op("Mean", *values)


def side_by_side(graph: Graph, values: Sequence[str]) -> str:
    """Return the columns of all values."""
    return values[0] if len(values) == 1 else graph.op("Concat", *values, axis=1)


def numbers(graph: Graph, meta: MetaModel, decisions: Sequence[str]) -> str:
    """Return ``(n, n_targets)`` predicted numbers: `MetaModel.numbers`."""
    if meta.linear is None:
        message = "a meta-learner of classes predicts no numbers"
        raise ValueError(message)
    return decide(graph, side_by_side(graph, decisions), meta.linear)


def class_probabilities(graph: Graph, meta: MetaModel, decisions: Sequence[str]) -> str:
    """Return ``(n, n_classes)`` calibrated probabilities: `MetaModel.log_probabilities`, without the logarithm.

    Parameters
    ----------
    decisions
        ``(n, n_classes)`` decision values of each backbone and head, in the order of the fit.
    """
    if meta.linear is None:
        said = _mean_log_probability(graph, meta, decisions)
    else:
        said = decide(graph, _meta_features(graph, meta, decisions), meta.linear)
    return graph.op("Softmax", _times(graph, said, meta.scale), axis=1)


def label_probabilities(graph: Graph, meta: MetaModel, logits: Sequence[str]) -> str:
    """Return the ``(n, n_labels)`` probability of each label: `log_presence`, without the logarithm."""
    if meta.linear is None:
        odds = _mean_log_odds(graph, logits)
    else:
        odds = decide(graph, side_by_side(graph, logits), meta.linear)
    return graph.op("Sigmoid", _times(graph, odds, meta.scale))


def _meta_features(graph: Graph, meta: MetaModel, decisions: Sequence[str]) -> str:
    """Do what `stack.learners.meta_model.meta_features` does."""
    operator = {"probability": "Softmax", "log-probability": "LogSoftmax"}.get(meta.options.scores)
    seen = [graph.op(operator, each, axis=1) for each in decisions] if operator else list(decisions)
    return side_by_side(graph, seen) if meta.options.combine == "concat" else mean_of(graph, seen)


def _mean_log_probability(graph: Graph, meta: MetaModel, decisions: Sequence[str]) -> str:
    """Do what `stack.learners.meta_model.mean_probability` does; backbones without weight have no say."""
    logs = [graph.op("LogSoftmax", decision, axis=1) for decision in decisions]
    if meta.weights is not None:  # what all have in common, such as 1/n, is nothing to a softmax
        weighted = zip(logs, meta.weights, strict=True)
        logs = [_plus(graph, each, float(np.log(weight))) for each, weight in weighted if weight > 0]
    return _log_sum_exp(graph, logs)


def _mean_log_odds(graph: Graph, logits: Sequence[str]) -> str:
    """Do what `stack.learners.labels.label_meta.mean_log_odds` does."""
    for_label = [graph.op("Neg", graph.op("Softplus", graph.op("Neg", each))) for each in logits]
    against = [graph.op("Neg", graph.op("Softplus", each)) for each in logits]
    odds = graph.op("Sub", _log_sum_exp(graph, for_label), _log_sum_exp(graph, against))
    return graph.op("Clip", odds, _number(graph, -LEAST_LOG_ODDS), _number(graph, LEAST_LOG_ODDS))


def _log_sum_exp(graph: Graph, terms: Sequence[str]) -> str:
    """Return the logarithm of the sum of the exponentials of values of one shape, of which none overflows."""
    if len(terms) == 1:
        return terms[0]
    largest = graph.op("Max", *terms)
    total = graph.op("Sum", *(graph.op("Exp", graph.op("Sub", each, largest)) for each in terms))
    return graph.op("Add", largest, graph.op("Log", total))


def _times(graph: Graph, x: str, factor: float) -> str:
    return x if factor == 1 else graph.op("Mul", x, _number(graph, factor))


def _plus(graph: Graph, x: str, term: float) -> str:
    return graph.op("Add", x, _number(graph, term))


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.array(value, np.float32))
