"""An experiment beside an earlier result on the same folds, image by image where the result tells its images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackError
from stackbone.cache.text import counted, typed
from stackbone.stack.experiments.against.change import Change, ClassChange, ImageChange, ModelChange
from stackbone.stack.experiments.against.earlier import Earlier
from stackbone.stack.experiments.against.image_answers import ImageAnswers, image_answers
from stackbone.stack.experiments.against.same_folds import FOLDS, differing_options, fold_gain, share_images
from stackbone.stack.experiments.experiment import Experiment
from stackbone.stack.metrics.compare import Difference, bootstrap_difference, mean_sizes, paired_difference
from stackbone.stack.metrics.confusion import per_class

_SAME_FOLDS = 0.8  # of the images that both tested, at least, in the same fold
_SAME_DATASET = 0.5  # of the images of the larger one, at least, in both
_ACCURACY = "accuracy"


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
    _check_same(experiment, earlier)
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


def _check_same(experiment: Experiment, earlier: Earlier) -> None:
    content, now, file = earlier.content, experiment.to_dict(), earlier.file
    if content.get("task") != experiment.task:
        message = (
            f"{file} is of the task {content.get('task')}, and this is {experiment.task}: their scores cannot be "
            f"compared. Type `stackbone stack --task {typed(content.get('task'))}`, or compare with another result"
        )
        raise StackError(message)
    if earlier.images is None and content.get("dataset") != experiment.dataset:
        message = (
            f"{file} is of the dataset {content.get('dataset')!r}, and this is {experiment.dataset!r}: add --dataset "
            f"{typed(content.get('dataset'))}, or compare with a result of this one"
        )
        raise StackError(message)
    if other := differing_options(content, now):
        found, current = ({name: each.get(name, FOLDS[name][1]) for name in other} for each in (content, now))
        told = ", ".join(f"{name} {found[name]} (now {current[name]})" for name in other)
        message = (
            f"{file} was scored on other folds: {told}. Scores of different folds cannot be compared: "
            f"{_way_to(other, found)}write a result on these folds with --result FILE first"
        )
        raise StackError(message)
    metric = experiment.evaluation.results[0].primary_metric
    if metric != earlier.metric:
        message = (
            f"{file} ranks models by {earlier.metric}, and this run by {metric}: add --metric {typed(earlier.metric)}, "
            "or compare with a result of the same metric"
        )
        raise StackError(message)


def _way_to(other: Sequence[str], folds: Mapping[str, Any]) -> str:
    """Return which options lead to these folds, where options do: those to add, and those to leave out."""
    if not all(FOLDS[name][0] for name in other):
        return ""
    to_add = [word for name in other if folds[name] is not None for word in (FOLDS[name][0], folds[name])]
    to_leave = [FOLDS[name][0] for name in other if folds[name] is None]
    parts = ([f"add {typed(*to_add)}"] if to_add else []) + ([f"leave {', '.join(to_leave)} out"] if to_leave else [])
    return f"{' and '.join(parts)} for its folds, or "


def _difference(experiment: Experiment, now: Sequence[float], model: str, earlier: Earlier) -> Difference | None:
    """Return by how much a model's scores of each fold are better than those of an earlier one; None of one fold."""
    if len(now) < 2:
        return None
    tested = [len(fold.test) for fold in experiment.folds]
    return fold_gain(earlier.metric, now, earlier.scores[model], mean_sizes(experiment.folds), tested=tested)


def _by_scores(experiment: Experiment, earlier: Earlier, models: list[ModelChange]) -> Change:
    """Return what the scores alone tell."""
    if earlier.content.get("n_images") != experiment.n_images:
        message = (
            f"{earlier.file} tested {earlier.content.get('n_images')} images, and there are {experiment.n_images}; "
            f"it was written by Stackbone {earlier.content.get('stackbone')}, whose results do not tell which images, "
            "so that those that both tested cannot be compared. Compare with a result of this version"
        )
        raise StackError(message)
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
    n_largest = max(len(before), len(now))
    if len(rows) < _SAME_DATASET * n_largest:
        message = (
            f"{earlier.file} is of the dataset {earlier.content.get('dataset')!r} and tested "
            f"{counted(len(before), 'image')}, of which {len(rows):,} are among the {len(now):,} of "
            f"{experiment.dataset!r}: these are different datasets. Name the same one with --dataset, or compare with "
            "a result of this one"
        )
        raise StackError(message)
    if len(same) < _SAME_FOLDS * len(rows):
        message = (
            f"{earlier.file} tested {len(rows):,} of these images too, but only {len(same):,} of them in the same "
            "fold: images that were added, or labels that changed, moved the others. Scores of different folds cannot "
            "be compared: write a result with --dealing digests before the next change, which moves few images"
        )
        raise StackError(message)
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
    if earlier.metric == _ACCURACY and not (shared.is_same and len(experiment.folds) > 1):
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
