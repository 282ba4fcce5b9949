"""An experiment beside an earlier result on the same folds, image by image where the result tells its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.text import counted
from stackbone.stack.experiments.against.change import Change, ClassChange, ImageChange, ModelChange
from stackbone.stack.experiments.against.check import check_against
from stackbone.stack.experiments.against.earlier import Earlier
from stackbone.stack.experiments.against.image_answers import ImageAnswers, image_answers
from stackbone.stack.experiments.against.same_folds import fold_gain, share_images
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.metrics.compare import Difference, bootstrap_difference, mean_sizes, paired_difference
from stackbone.stack.metrics.confusion import per_class

ACCURACY = "accuracy"
"""The metric by which answers to single images are paired."""


def compare_results(experiment: Experiment, earlier: Earlier) -> Change:
    """Return what changed since an earlier result.

    Where images are known one by one, accuracy holds both answers against the labels of now, on the images that both
    tested in the same fold: corrected labels then count for both. By other metrics, and of several labels an image,
    there is no interval where images or labels differ.

    Raises
    ------
    StackError
        If the two are of different datasets, tasks, metrics or folds: the message says what to type.
    """
    check_against(experiment, earlier)
    now = {each.model: each.folds for each in experiment.evaluation.results}
    models = []
    for name, folds in now.items():
        before = earlier.scores.get(name, [])
        if len(before) == len(folds):
            difference = _difference(experiment, folds, name, earlier)
            models.append(ModelChange(name, float(np.mean(before)), float(np.mean(folds)), difference))
    if earlier.images is None:
        return _by_scores(experiment, earlier, models)
    return _by_images(experiment, earlier, models, earlier.images)


def _difference(experiment: Experiment, now: Sequence[float], model: str, earlier: Earlier) -> Difference | None:
    """Return by how much a model's scores of each fold are better than those of an earlier one; None of one fold."""
    if len(now) < 2:
        return None
    tested = [len(fold.test) for fold in experiment.folds]
    return fold_gain(earlier.metric, now, earlier.scores[model], mean_sizes(experiment.folds), tested=tested)


def _by_scores(experiment: Experiment, earlier: Earlier, models: list[ModelChange]) -> Change:
    """Return what the scores alone tell."""
    note = (
        f"{earlier.file.name} does not tell its images one by one (Stackbone {earlier.content.get('stackbone')} wrote "
        "it), so images won and lost are not listed, and nobody knows whether labels are the same; a result that "
        "`stackbone stack --result FILE` writes now tells them"
    )
    return _of_scores(experiment, earlier, models, [note])


def _of_scores(experiment: Experiment, earlier: Earlier, models: list[ModelChange], notes: list[str]) -> Change:
    now = experiment.evaluation.score(experiment.model_name)
    before = earlier.scores[earlier.model]
    is_paired = len(before) == len(now.folds)
    return Change(
        file=str(earlier.file),
        metric=earlier.metric,
        model_before=earlier.model,
        model_now=experiment.model_name,
        before=float(np.mean(before)),
        now=now.mean,
        difference=_difference(experiment, now.folds, earlier.model, earlier) if is_paired else None,
        models=models,
        notes=notes,
    )


def _by_images(experiment: Experiment, earlier: Earlier, models: list[ModelChange], before: ImageAnswers) -> Change:
    """Return what the scores and the answers to images tell."""
    now = image_answers(experiment)
    shared = share_images(before, now)
    rows, same = shared.rows, shared.same
    counts: dict[str, Any] = {
        "n_both": len(rows),
        "n_new": shared.n_new,
        "n_gone": shared.n_gone,
        "n_moved": shared.n_moved,
        "n_relabelled": shared.n_relabelled,
        "n_other_fold": shared.n_other_fold,
    }
    found: dict[str, Any] = {**vars(_of_scores(experiment, earlier, models, [])), **counts}
    if not shared.is_same:  # better labels, or easier images, are no better model
        found["difference"] = None
        found["models"] = [replace(each, difference=None) for each in models]
        found["notes"] = ["the scores of each are by its own labels, on its own images: no interval is given"]
    if not experiment.truth.n_classes:  # numbers are never quite right, nor wrong
        return Change(**found)
    hits = [(before.predicted[old] == now.labels[new], now.predicted[new] == now.labels[new]) for old, new in same]
    found["images"] = [
        ImageChange(
            path=now.paths[new],
            label=now.labels[new],
            before=str(before.predicted[old]),
            now=str(now.predicted[new]),
            change="won" if is_right else "lost",
        )
        for won in (True, False)
        for (old, new), (was_right, is_right) in zip(same, hits, strict=True)
        if was_right != is_right == won
    ]
    if not experiment.truth.has_one_class:
        return Change(**found)
    found["classes"] = _classes(before, now, same, found["images"])
    if earlier.metric == ACCURACY and not (shared.is_same and len(experiment.folds) > 1):
        right, fold_of = np.array(hits, np.bool_).reshape(-1, 2), np.array([now.folds[new] for _, new in same])
        found |= _accuracy(experiment, right, fold_of)
        if not shared.is_same:
            n = counted(len(same), "image")
            found["notes"] = [
                f"the score above is by the labels of now, on the {n} that both tested in the same fold"
                f"{' of the first repeat' if experiment.repeats > 1 else ''}; the table of models has each by its own "
                "labels",
                *_said_before(before, now, rows),
            ]
    return Change(**found)


def _said_before(before: ImageAnswers, now: ImageAnswers, rows: Sequence[tuple[int, int]]) -> list[str]:
    """Return what to say where labels became what the earlier model had said: by these it is right by itself."""
    changed = [(old, new) for old, new in rows if before.labels[old] != now.labels[new]]
    n = sum(before.predicted[old] == now.labels[new] for old, new in changed)
    if 2 * n <= len(changed):
        return []
    return [
        f"{n:,} of {counted(len(changed), 'label')} that changed became what the earlier model had said: unless "
        "somebody looked at these images, the score above favours it"
    ]


def _accuracy(experiment: Experiment, right: NDArray[np.bool_], fold_of: NDArray[np.int64]) -> Mapping[str, Any]:
    """Return accuracies of ``(n, 2)`` hits before and now, and their difference, by fold or of a single split."""
    numbers, tested = np.unique(fold_of, return_counts=True)
    if len(numbers) > 1:
        before, now = (np.array([right[fold_of == each, side].mean() for each in numbers]) for side in (0, 1))
        difference = paired_difference(now, before, *mean_sizes(experiment.folds), tested=tested.tolist())
        return {"before": float(before.mean()), "now": float(now.mean()), "difference": difference}
    difference = bootstrap_difference(right[:, 1], right[:, 0], seed=experiment.seed)
    return {"before": float(right[:, 0].mean()), "now": float(right[:, 1].mean()), "difference": difference}


def _classes(
    before: ImageAnswers, now: ImageAnswers, same: Sequence[tuple[int, int]], images: Sequence[ImageChange]
) -> list[ClassChange]:
    """Return the classes whose F1 changed, by the labels of now."""
    columns = (
        [now.labels[new] for _, new in same],
        [str(before.predicted[old]) for old, _ in same],
        [str(now.predicted[new]) for _, new in same],
    )
    names = sorted({name for column in columns for name in column})
    code = {name: number for number, name in enumerate(names)}
    truth, old, new = (np.array([code[name] for name in column], np.int64) for column in columns)
    changes = Counter((each.label, each.change) for each in images)
    found = [
        ClassChange(b.name, b.n, b.f1, a.f1, changes[b.name, "won"], changes[b.name, "lost"])
        for b, a in zip(per_class(truth, old, names), per_class(truth, new, names), strict=True)
        if b.n and (b.f1 != a.f1)
    ]
    return sorted(found, key=lambda each: -abs(each.now - each.before))
