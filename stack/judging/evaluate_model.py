"""Test a saved model on labelled images that it never saw."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, FeatureSet, FeatureStore, StackError
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.labelled_images import LabelledImages
from stackbone.stack.evaluation.near_copies import CopyScore, NearCopies, copy_words
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.groups import SAME_PICTURE
from stackbone.stack.judging.asked import check_asked
from stackbone.stack.judging.model_test import MODEL_ROW, ModelTest
from stackbone.stack.judging.near_training import (
    MOST_PAIRS,
    TrainingCopies,
    comparable_training,
    near_training,
    path_of,
    plain_sets,
)
from stackbone.stack.judging.rows import score_rows_of
from stackbone.stack.judging.unseen import UnseenImages, absent_note, feature_sets, unseen_images
from stackbone.stack.metrics.model_scores import Evaluation
from stackbone.stack.models.model import StackModel
from stackbone.stack.tasks.findings import Examined, Findings
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.tasks.task import Task


def evaluate_model(
    model: StackModel,
    index: DatasetIndex,
    store: FeatureStore | None = None,
    *,
    split: str | None = None,
    group_by: str = "auto",
    near_duplicates: float | None = None,
    metric: str | None = None,
    file: str | os.PathLike[str] = "",
    progress: Progress | None = None,
) -> ModelTest:
    """Test a saved model on labelled images that it never saw, with the metrics, table and report of `run_experiment`.

    Parameters
    ----------
    model : StackModel
        As `load_model` returns it.
    index : DatasetIndex
        The images with their labels: `store.dataset(NAME)`, ``report.index`` of `extract`, or
        ``embed_for(model.specs, dataset, store).index(dataset)``.
    store : FeatureStore, optional
        The cache with their features in every feature set of the model, as `embed_for` or `extract` left them; by
        default `cache.default_cache`.
    split : str, optional
        Test on this split of the dataset alone.
    group_by : str
        What belongs together, as of `run_experiment`: images in a group with a training image are left out, and the
        intervals draw groups whole.
    near_duplicates : float, optional
        Leave out images whose features have at least this cosine with those of a training image, in every plain
        backbone. By default near copies stay, and a note says what they score.
    metric : str, optional
        What models are ranked by and intervals are of; by default the task's own.
    file : str or path, optional
        Where the model was read from, for what is shown and the command that repeats it.
    progress : callable, optional
        See `cache.progress.Progress`.

    Returns
    -------
    ModelTest
        An `Experiment` of one fold, whose rows are the model and its members alone: it displays, plots and is reported
        as others are.

    Raises
    ------
    StackError
        If no labelled image is left that the model never saw and can be right about, or the metric cannot be told.
    UsageError
        If a name is unknown, or the labels are of another form than the model's.
    CacheError
        If the cache lacks features of these images, or is damaged.
    """
    store, kind = store or FeatureStore(), get_task(model.task)
    check_asked(model, index, split=split, group_by=group_by, near_duplicates=near_duplicates, metric=metric)
    options = stack_options(model.task, metric=metric or kind.primary_metric)
    unseen = unseen_images(model, index, store, split=split, group_by=group_by)
    sets = feature_sets(model, store)
    own = {each.name: sets[each.feature_set] for each in model.backbones}
    threshold = SAME_PICTURE if near_duplicates is None else near_duplicates
    most = MOST_PAIRS if near_duplicates is None else None
    known, why = comparable_training(model, own, len(unseen.images.rows), most=most)
    plain = plain_sets(model, own) if len(known) else {}
    decisions, features = _read(model, sets, unseen.images, plain)
    copies = TrainingCopies(None, doubt=why)
    if plain:
        copies = near_training(model, features, plain, known, threshold, progress=progress)
    if near_duplicates is not None:
        unseen, copies, kept = _without_copies(unseen, copies)
        decisions = [each[kept] for each in decisions]
    images, truth = unseen.images, unseen.truth
    rows = np.arange(len(images.rows))
    fold = Fold(rows[:0], rows)
    kind.check_metric(truth, [fold], options.metric)
    evaluation = score_rows_of(model, decisions, truth, fold, options.metric or kind.primary_metric)
    examined = Examined(evaluation, truth, [fold], images.paths, images.groups, 0, None, options.metric)
    findings = _find(kind, examined)
    near = _near_copies(kind, examined, findings, copies, near_duplicates, store)
    notes = [
        *images.notes,
        *_views_note(model),
        *absent_note(model, truth),
        *_counted_as_wrong(kind, examined, unseen),
        *_thresholds_note(model, evaluation),
        *_copies_note(near),
        *([copies.doubt] if copies.doubt else []),
    ]
    return ModelTest(
        division=Division(task=model.task, split=unseen.split, group_by=group_by, near_duplicates=near_duplicates),
        joined=_joined(images, own, notes),
        folds=[fold],
        options=options,
        evaluation=evaluation,
        findings=findings,
        near_copies=near,
        tested=model,
        known=truth,
        decisions=decisions,
        unknown=unseen.unknown,
        file=os.fspath(file),
    )


def _read(
    model: StackModel, sets: Mapping[str, FeatureSet], images: LabelledImages, compared: Mapping[str, FeatureSet]
) -> tuple[list[NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """Return what the model's backbones say, and the features of those that are compared, all of one reading.

    No more of the other features is held than what is said of them.
    """
    deciders, whole = model.deciders, {each.id for each in compared.values()}
    kept = {
        name: each.load(images.digests, partial(_beside, deciders[name]) if name in whole else deciders[name])
        for name, each in sets.items()
    }
    n = model.n_outputs * model.n_heads
    said = {name: np.ascontiguousarray(each[:, :n]) for name, each in kept.items()}
    return model.decisions(said), {name: kept[each.id][:, n:] for name, each in compared.items()}


def _beside(
    decide: Callable[[NDArray[np.float32]], NDArray[np.float32]], features: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return decisions and, in the columns after them, the features that they are of."""
    return np.hstack([decide(features), features])


def _joined(images: LabelledImages, sets: Mapping[str, FeatureSet], notes: list[str]) -> Joined:
    return Joined(
        **{each.name: getattr(images, each.name) for each in fields(LabelledImages) if each.name != "notes"},
        notes=notes,
        feature_sets=dict(sets),
        blocks={},
        names=list(sets),
    )


def _find(kind: Task, examined: Examined) -> Findings:
    """Compare the model with the best of its members, and look at its errors."""
    single = kind.best(examined.evaluation)
    difference = None if single is None else kind.compare_on_split(MODEL_ROW, single.model, examined)
    return kind.find_errors(Findings(MODEL_ROW, single.model if single else MODEL_ROW, difference, {}), examined)


def _without_copies(
    unseen: UnseenImages, found: TrainingCopies
) -> tuple[UnseenImages, TrainingCopies, NDArray[np.int64]]:
    if found.copies is None:
        message = f"{found.doubt}. Leave --near-duplicates out to test on all of these images"
        raise StackError(message)
    kept = np.flatnonzero(~found.copies)
    if not len(kept):
        message = (
            f"all {counted(len(found.copies), 'image')} of {unseen.images.index.name!r} that the model never saw are "
            "near copies of its training images: test it on others, or use a larger --near-duplicates"
        )
        raise StackError(message)
    n = len(found.copies) - len(kept)
    images = unseen.images.take(kept) if n else unseen.images
    images = replace(images, left_out={**images.left_out, **({"training_copies": n} if n else {})})
    truth = replace(unseen.truth, values=unseen.truth.values[kept])
    return replace(unseen, images=images, truth=truth), TrainingCopies(found.copies[kept], None, found.doubt), kept


def _near_copies(
    kind: Task,
    examined: Examined,
    findings: Findings,
    found: TrainingCopies,
    asked: float | None,
    store: FeatureStore,
) -> NearCopies | None:
    """Return what the model, and the best of its members, score on near copies; None where none were looked for."""
    if found.copies is None:
        return None
    copies, truth = found.copies, examined.truth.values
    errors = {
        model: kind.errors(truth, examined.evaluation.predictions[model][0].scores)
        for model in dict.fromkeys((findings.stack, findings.single))
    }
    example = None
    if found.example is not None:
        position, digest = found.example
        example = examined.paths[position], path_of(digest, store)
    return NearCopies(
        threshold=SAME_PICTURE if asked is None else asked,
        n_copies=int(copies.sum()),
        n_tested=len(copies),
        example=example,
        metric=kind.copies_metric,
        scores={name: CopyScore(_mean(each[copies]), _mean(each[~copies])) for name, each in errors.items()},
    )


def _views_note(model: StackModel) -> list[str]:
    """Say which views of an image the model answers by, where these are several."""
    views = dict.fromkeys(
        ", ".join(spec.view for spec in each.specs.values()) for each in model.backbones if each.others
    )
    return [f"the model answers by the mean of several views of each image: {each}" for each in views]


def _copies_note(near: NearCopies | None) -> list[str]:
    if near is None or near.example is None:
        return []
    tested, trained = near.example
    return [
        f"{near.n_copies:,} of {counted(near.n_tested, 'tested image')} are near copies of images that the model was "
        f"fitted on (a cosine of {near.threshold:g} or more in every plain backbone), such as {tested} of {trained}; "
        f"{copy_words(MODEL_ROW, near.scores[MODEL_ROW], near.metric)}. "
        f"--near-duplicates {typed(f'{near.threshold:g}')} leaves them out"
    ]


def _counted_as_wrong(kind: Task, examined: Examined, unseen: UnseenImages) -> list[str]:
    """Say what the score would be if what the model cannot know counted as wrong."""
    n_out = unseen.images.left_out.get("unknown", 0)
    if not n_out:
        return []
    right = kind.errors(examined.truth.values, examined.evaluation.predictions[MODEL_ROW][0].scores)
    return [
        f"with the {counted(n_out, 'image')} of unknown classes counted as wrong, its {kind.copies_metric} would be "
        f"{right.sum() / (len(right) + n_out):.3f} instead of {right.mean():.3f}"
    ]


def _thresholds_note(model: StackModel, evaluation: Evaluation) -> list[str]:
    """Say by what the labels of members are decided, where an image can have several."""
    if model.thresholds is None or len(evaluation.results) < 2:
        return []
    return [
        "the members alone say a label from a probability of one half on: the model's file holds its own "
        "thresholds, and none of theirs"
    ]


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
