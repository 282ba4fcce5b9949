"""A result file that another result is to be compared with, read and found whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackbone.cache import StackError
from stackbone.stack.experiments.against.image_answers import ImageAnswers
from stackbone.stack.experiments.result_file import IMAGES, N_TESTED, not_a_result, read_result
from stackbone.stack.metrics.metrics import METRICS

_SHOWN = 80  # characters of a name that a message quotes


@dataclass(frozen=True, eq=False)
class Earlier:
    """An earlier result, read and found whole.

    Attributes
    ----------
    file : Path
        Where it is.
    content : dict of str to Any
        The JSON object.
    scores : dict of str to list of float
        Its models' scores of each fold, in `metric`, one number of them for all models.
    metric : str
        That models were ranked by.
    model : str
        The one that it is about.
    images : ImageAnswers, optional
        What it tells of single images; None of results of versions that did not.
    tested_by_fold : list of int, optional
        How many images each fold tested, as many numbers as scores; None where it does not tell it of every fold.
    """

    file: Path
    content: dict[str, Any]
    scores: dict[str, list[float]]
    metric: str
    model: str
    images: ImageAnswers | None
    tested_by_fold: list[int] | None


def read_earlier(file: Path) -> Earlier:
    """Return what a result file says, before the work on what it is to be compared with.

    Raises
    ------
    StackError
        If it does not exist, or is not a valid result.
    """
    content = read_result(file)
    try:
        _check_head(content)
        metric, scores = _scores(content.get("results"))
        model = _model(content.get("findings"), scores)
        images = ImageAnswers.from_dict(content[IMAGES]) if IMAGES in content else None
        tested = _tested_by_fold(content, len(scores[model]), images)
    except ValueError as exc:
        raise StackError(not_a_result(file, str(exc))) from exc
    return Earlier(file, content, scores, metric, model, images, tested)


def _check_head(content: Mapping[str, Any]) -> None:
    if not isinstance(content.get("dataset"), str):
        message = "it does not name its dataset"
        raise ValueError(message)
    for name, default in (("n_images", None), ("repeats", 1)):
        value = content.get(name, default)
        if type(value) is not int or value < 1:
            message = f"its {name} is {_quoted(value)}, where a number from 1 is expected"
            raise ValueError(message)


def _scores(results: object) -> tuple[str, dict[str, list[float]]]:
    """Return the metric, and the scores of each fold by model."""
    if not isinstance(results, list) or not results:
        message = "it has no list of scores"
        raise ValueError(message)
    if not all(isinstance(each, Mapping) and isinstance(each.get("model"), str) for each in results):
        message = "its scores do not name their models"
        raise ValueError(message)
    metric = next((str(name) for name in results[0] if name != "model"), None)
    if metric is None or metric not in METRICS:
        message = f"its models are ranked by {_quoted(metric)}, a metric that is not known here"
        raise ValueError(message)
    scores = {each["model"]: _folds(each["model"], each.get(metric), metric) for each in results}
    lengths = dict.fromkeys(map(len, scores.values()))
    if len(lengths) > 1:
        message = f"its models have scores of {' and '.join(map(str, lengths))} folds, where one number is expected"
        raise ValueError(message)
    return metric, scores


def _folds(model: str, found: object, metric: str) -> list[float]:
    folds = found.get("folds") if isinstance(found, Mapping) else None
    if not isinstance(folds, list) or not folds:
        message = f"its model {_quoted(model)} has no {metric} of each fold"
        raise ValueError(message)
    for number, score in enumerate(folds, start=1):
        if type(score) not in (int, float) or not math.isfinite(score):
            message = f"the {metric} of {_quoted(model)} in fold {number} is {_quoted(score)}, which is no number"
            raise ValueError(message)
    return [float(each) for each in folds]


def _model(findings: object, scores: Mapping[str, list[float]]) -> str:
    model = findings.get("stack") if isinstance(findings, Mapping) else None
    if not isinstance(model, str) or model not in scores:
        message = (
            "it does not say which model it is about"
            if model is None
            else f"it lacks scores of {_quoted(model)}, the model that it is about"
        )
        raise ValueError(message)
    return model


def _tested_by_fold(content: Mapping[str, Any], n_folds: int, images: ImageAnswers | None) -> list[int] | None:
    """Return how many images each fold tested: as is recorded, else by its images where these tell every fold."""
    if N_TESTED in content:
        found = content[N_TESTED]
        is_whole = isinstance(found, list) and all(type(each) is int and each > 0 for each in found)
        if not is_whole or len(found) != n_folds:
            message = (
                f"its {N_TESTED} is {_quoted(found)}, where {n_folds} numbers from 1 are expected, one for each fold"
            )
            raise ValueError(message)
        return list(found)
    of_folds = {} if images is None else Counter(images.folds)
    return [of_folds[fold] for fold in sorted(of_folds)] if len(of_folds) == n_folds else None


def _quoted(value: object) -> str:
    return "null" if value is None else repr(value)[:_SHOWN]
