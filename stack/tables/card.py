"""What an experiment tells the card of its model: data, scores with intervals, limits that were measured, commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureStore
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.labelled_images import LEFT_OUT
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.experiments.provenance import repeat_commands
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.models.cards.card import CardFacts
from stackbone.stack.models.cards.markdown import bullets, code_block, escaped, table
from stackbone.stack.models.model import StackModel
from stackbone.stack.tables.metric_names import primary_metric, titles
from stackbone.stack.tables.table import footnotes
from stackbone.stack.tables.verdict import verdict
from stackbone.stack.tasks.truth import Truth

_MOST_CLASSES = 200
_FEW = 20  # images of a class that teach little of it
_NAMED = 10


def card_facts(
    experiment: Experiment, store: FeatureStore, file: Path | str, licences: Mapping[str, str] | None = None
) -> CardFacts:
    """Return what the card of an experiment's model tells.

    Parameters
    ----------
    experiment : Experiment
        With its model.
    store : FeatureStore
        The cache it was made with.
    file : path or str
        That the model is saved to.
    licences : mapping of str to str, optional
        Under which the weights of each architecture were released.

    Raises
    ------
    ValueError
        If it has no model.
    """
    model = experiment.model
    if model is None:
        message = "the experiment has no model: run it with with_model=True"
        raise ValueError(message)
    fitted = _fitted_rows(experiment, model)
    return CardFacts(
        data=_data(experiment, fitted),
        scores=_scores(experiment),
        making=_making(experiment, model, store, Path(file)),
        limits=[*_calibration(experiment), *_copies(experiment), *_small_classes(experiment.truth, fitted)],
        licences=licences or {},
    )


def _fitted_rows(experiment: Experiment, model: StackModel) -> NDArray[np.int64]:
    """Return the ``(n,)`` rows that the model was fitted on: all, or those of the training part."""
    everything = np.arange(experiment.n_images)
    return everything if model.n_images == experiment.n_images else experiment.folds[0].train


def _data(experiment: Experiment, fitted: NDArray[np.int64]) -> str:
    joined = experiment.joined
    which = (
        "all images" if len(fitted) == experiment.n_images else f"the images that do not belong to {experiment.split!r}"
    )
    lines = [
        f"dataset {escaped(experiment.dataset)}: {counted(experiment.n_images, 'image')} took part, and the model was "
        f"fitted on {escaped(which)}, {len(fitted):,}"
    ]
    if joined.n_groups is not None:
        lines.append(f"{counted(joined.n_groups, 'group')} of images, each on one side of every fold")
    else:
        lines.append("no groups: whatever belongs together, such as photographs of one object, may be on both sides")
    left = [f"{n:,} {LEFT_OUT[why]}" for why, n in joined.left_out.items() if n]
    lines.append(f"left out: {'; '.join(left) or 'nothing'}")
    lines += [escaped(note) for note in joined.notes]
    return f"{bullets(lines)}\n\n{_labels(experiment, fitted)}"


def _labels(experiment: Experiment, fitted: NDArray[np.int64]) -> str:
    """Return how many images there are of each class or label, or how the numbers are spread."""
    truth = experiment.truth
    if not truth.n_classes:
        low, middle, high = np.quantile(truth.values[fitted], [0, 0.5, 1]).tolist()
        return f"The numbers go from {low:g} to {high:g}; half of them are below {middle:g}."
    sizes = _sizes(truth, fitted)
    ranked = sorted(sizes.items(), key=lambda each: (-each[1], each[0]))
    rows = [[escaped(name), f"{n:,}"] for name, n in ranked[:_MOST_CLASSES]]
    more = f"\n\nand {len(ranked) - _MOST_CLASSES:,} smaller ones" if len(ranked) > _MOST_CLASSES else ""
    return f"{table([experiment.kind.classes_are[0], 'images fitted on'], rows, [1])}{more}"


def _sizes(truth: Truth, rows: NDArray[np.int64]) -> dict[str, int]:
    presence = truth.presence
    if presence is None:
        counts = np.bincount(truth.values[rows], minlength=truth.n_classes)
    else:
        counts = presence[rows].sum(axis=0, dtype=np.int64)
    return dict(zip(map(str, truth.classes), counts.tolist(), strict=True))


def _scores(experiment: Experiment) -> str:
    metric = primary_metric(experiment)
    names = [name for name in titles() if any(name in each.metrics for each in experiment.evaluation.results)]
    rows = []
    for score in experiment.evaluation.results:
        ends = _interval(experiment, score)
        means = (score.metrics.get(name) for name in names)
        name = escaped(score.model)
        rows.append(
            [
                f"**{name}**" if score.model == experiment.model_name else name,
                f"{score.mean:.3f}",
                "-" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}",
                *("-" if each is None else f"{np.mean(each):.3f}" for each in means),
                escaped(experiment.describe(score.model)),
            ]
        )
    header = ["model", metric.name, "95% interval", *(titles()[name] for name in names), "what it is"]
    said = [
        f"On images that a model of the same recipe had not seen ({escaped(experiment.how)}); in bold the recipe of "
        "this model, which was then fitted as told above.",
        table(header, rows, range(1, len(header) - 1)),
        *(bullets(map(escaped, notes)) for notes in [footnotes(experiment)] if notes),
        escaped(str(verdict(experiment))),
    ]
    if _is_calibrated_mean(experiment):
        said.append(
            "Scores of the mean's probabilities, such as its log-loss, are from before these were calibrated: the "
            "model's own probabilities are others."
        )
    return "\n\n".join([*said, *_by_class(experiment)])


def _interval(experiment: Experiment, score: ModelScore) -> tuple[float, float] | None:
    """Return the interval of a mean score; of the model itself also where an experiment spares the draws for it."""
    ends = experiment.interval(score.model)
    if ends is not None or score.model != experiment.model_name:
        return ends
    drawn = replace(experiment, options=replace(experiment.options, metric=score.primary_metric))
    return drawn.interval(score.model)


def _by_class(experiment: Experiment) -> list[str]:
    """Return a table of the model's scores of each class or label; nothing of numbers."""
    found = experiment.findings.by_class()[:_MOST_CLASSES]
    if not found:
        return []
    names = list(found[0])
    rows = [
        [f"{value:.3f}" if isinstance(value, float) else escaped("-" if value is None else str(value)) for value in row]
        for row in (list(each.values()) for each in found)
    ]
    said = {"name": experiment.kind.classes_are[0], "n": "images tested", "ap": "average precision", "f1": "F1"}
    return [table([said.get(name, name) for name in names], rows, range(1, len(names)))]


def _making(experiment: Experiment, model: StackModel, store: FeatureStore, file: Path) -> str:
    *before, last = map(shlex.split, repeat_commands(experiment, store))
    part = ["--save-train-only"] if model.n_images < experiment.n_images else []
    lines = [typed(*map(_last_name, words)) for words in [*before, [*last, "--save", file.name, *part]]]
    return f"{code_block(lines)}\n\nPaths are shortened to their last names. Seed {experiment.seed}."


def _last_name(word: str) -> str:
    """Return a word of a command without the folders of its path: where files are kept is nobody else's business."""
    if Path(word).is_absolute():
        return Path(word).name or word
    option, is_given, value = word.partition("=")
    return f"{option}={_last_name(value)}" if is_given and Path(value).is_absolute() else word


def _is_calibrated_mean(experiment: Experiment) -> bool:
    """Return whether the model is a mean of probabilities, which is calibrated when it is saved and not before."""
    return experiment.recipe == "mean" and bool(experiment.truth.n_classes)


def _calibration(experiment: Experiment) -> list[str]:
    if _is_calibrated_mean(experiment):
        return ["How far off its probabilities are was not measured: they were calibrated on the training images."]
    score = experiment.evaluation.score(experiment.model_name)
    error = score.metrics.get("calibration_error")
    if error is not None:
        return [
            f"Its probabilities were {np.mean(error):.3f} off on images that it had not seen (expected calibration "
            "error, from 0 to 1); of other images they can be further off."
        ]
    if experiment.truth.n_classes:
        return ["How far its probabilities can be taken at their word was not measured."]
    return ["It gives no interval for the number that it predicts."]


def _copies(experiment: Experiment) -> list[str]:
    near = experiment.near_copies
    if near is None and experiment.division.near_duplicates is not None:
        return ["Near copies were kept on one side of every fold, so that no score is of an image that it knows."]
    if near is None:
        return ["Near copies among the images were not looked for: scores may be of images that it knows."]
    if not near.n_copies:
        return [
            f"No near copies were found among the {near.n_tested:,} tested images (a cosine of {near.threshold:g})."
        ]
    return [
        f"{near.n_copies:,} of {near.n_tested:,} tested images had a near copy in the training part (a cosine of "
        f"{near.threshold:g} or more): on new images it may score less."
    ]


def _small_classes(truth: Truth, fitted: NDArray[np.int64]) -> list[str]:
    few = {name: n for name, n in _sizes(truth, fitted).items() if n < _FEW} if truth.n_classes else {}
    if not few:
        return []
    more = f" and {len(few) - _NAMED:,} more" if len(few) > _NAMED else ""
    names = ", ".join(f"{escaped(name)} ({n})" for name, n in list(few.items())[:_NAMED])
    return [f"It saw fewer than {_FEW} images of: {names}{more}. Its answers on these are hardly tested."]
