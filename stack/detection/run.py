"""Run a detection experiment: join boxes and maps by digest, divide the images, train heads, fuse, score, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stackbone.cache import FeatureStore, UsageError
from stackbone.cache.progress import Progress, silent
from stackbone.stack.detection.experiments.asked import DEFAULT_HEAD, check_installed, choose_heads, settings_of
from stackbone.stack.detection.experiments.copies import keep_copies_together, look_for_copies
from stackbone.stack.detection.experiments.fold_work import detect_fold
from stackbone.stack.detection.experiments.kept import DetectionCache
from stackbone.stack.detection.experiments.scoring import score_detectors
from stackbone.stack.detection.experiments.training import Trainer
from stackbone.stack.detection.head import PRECISIONS
from stackbone.stack.detection.models.refit import refit_detector
from stackbone.stack.detection.records.annotated import TASK, AnnotatedImages, annotated_images, find_annotated
from stackbone.stack.detection.records.experiment import DetectionExperiment
from stackbone.stack.detection.records.folds import divide_images
from stackbone.stack.detection.records.sources import MapBackbone, choose_backbones, recorded_backbones
from stackbone.stack.divisions.division import Division, choose_plan
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.folds.dealing import DEALINGS
from stackbone.stack.folds.fold import Fold


@dataclass(frozen=True, eq=False)
class PlannedDetection:
    """A detection experiment before anything is trained.

    Attributes
    ----------
    annotated : AnnotatedImages
        The images that take part.
    division : Division
        How they are divided.
    folds : list of Fold
        Rows of them.
    backbones : list of MapBackbone
        Whose maps are used.
    heads : tuple of str
        To be trained.
    settings : dict
        Of heads, by head.
    cache : DetectionCache
        Of what was found before.
    """

    annotated: AnnotatedImages
    division: Division
    folds: list[Fold]
    backbones: list[MapBackbone]
    heads: tuple[str, ...]
    settings: dict[str, dict[str, Any]]
    cache: DetectionCache


def run_detection(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    heads: str | Sequence[str] = DEFAULT_HEAD,
    epochs: int | None = None,
    precision: str = PRECISIONS[0],
    cv: int | str | None = None,
    split: str | None = None,
    group_by: str = "auto",
    near_duplicates: float | None = None,
    seed: int = 0,
    dealing: str | None = None,
    with_model: bool = False,
    train_only: bool = False,
    progress: Progress | None = None,
) -> DetectionExperiment:
    """Score heads on cached feature maps of each backbone, and the fusion of what they find.

    In each fold, a quarter of the training part is held out: heads that are trained on the rest say there what a
    fusion shall weigh, from which score on a box is shown, and which backbone is best alone. Then heads are trained on
    the whole training part and find objects in the test part, which nothing else has seen. What was found is kept: a
    backbone or a head that joins costs its own training.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the one with boxes that was extracted last.
    backbones
        Names of backbones, groups of them or feature sets, as a list or separated by commas; by default every one
        whose pyramid covers the annotated images.
    heads
        Names of heads, as a list or separated by commas; the verdict is about the first.
    epochs
        Of heads that are trained in epochs.
    precision
        What heads are trained in: ``fp32``, or ``bf16`` (conv), which is faster where the processor multiplies it.
    cv, split
        Number of folds, 3 by default; or the split of the dataset to test on.
    group_by, near_duplicates
        What is kept on one side of every fold: see `stack.divisions.labelled_images.label_images`, and images whose
        last maps, averaged, have at least this cosine in every backbone.
    seed
        Of folds and heads.
    dealing
        How images are dealt to folds; see `run_experiment`.
    with_model
        Fit the detector on all annotated images too, to be saved.
    train_only
        Fit it on the training part alone where a split is tested on.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    StackError
        If boxes, maps or folds do not allow it.
    CacheError
        If the cache lacks the dataset or is damaged.
    UsageError
        If a name is unknown, or arguments contradict each other.
    """
    told = progress or silent
    planned = plan_detection(
        store or FeatureStore(),
        dataset=dataset,
        backbones=backbones,
        heads=heads,
        epochs=epochs,
        precision=precision,
        cv=cv,
        split=split,
        group_by=group_by,
        near_duplicates=near_duplicates,
        seed=seed,
        dealing=dealing,
        progress=told,
    )
    return carry_out(planned, with_model=with_model, train_only=train_only, progress=told)


def plan_detection(
    store: FeatureStore,
    *,
    dataset: str | None,
    backbones: str | Sequence[str] | None = None,
    recorded: Mapping[str, Sequence[str]] | None = None,
    heads: str | Sequence[str],
    epochs: int | None,
    precision: str,
    cv: int | str | None,
    split: str | None,
    group_by: str,
    near_duplicates: float | None,
    seed: int,
    dealing: str | None,
    progress: Progress,
) -> PlannedDetection:
    """Return what `run_detection` is to train and test on; arguments and errors are its own.

    Parameters
    ----------
    recorded : mapping of str to sequence of str, optional
        In place of `backbones`, exactly the feature sets of a result: see `sources.recorded_backbones`.
    """
    names = choose_heads(heads)
    settings = settings_of(names, epochs, precision)
    check_installed()
    if isinstance(cv, str):
        message = f"--cv {cv}: detection trains every head twice for each fold; use a number, such as --cv 3"
        raise UsageError(message)
    index, table = find_annotated(store, dataset)
    cache = DetectionCache(store.scores_folder, index.name)
    split = None if split is None else find_split(index, split)
    division = Division(
        task=TASK,
        **choose_plan(cv, split, None, None),
        split=split,
        group_by=group_by,
        near_duplicates=near_duplicates,
        seed=seed,
        dealing=dealing or DEALINGS[0],
    )
    annotated = annotated_images(index, table, split=split, group_by=group_by)
    digests = annotated.images.digests
    if recorded is not None:
        chosen = recorded_backbones(store, digests, recorded)
    else:
        chosen, notes = choose_backbones(store, index, digests, backbones)
        annotated = annotated.note(*notes)
    if near_duplicates is not None:
        annotated = keep_copies_together(annotated, chosen, near_duplicates, cache, progress)
    annotated, folds = divide_images(annotated, division)
    return PlannedDetection(annotated, division, folds, chosen, names, settings, cache)


def carry_out(
    planned: PlannedDetection, *, with_model: bool = False, train_only: bool = False, progress: Progress = silent
) -> DetectionExperiment:
    """Train, find, score and compare as planned: see `run_detection`."""
    annotated, folds, division, seed = planned.annotated, planned.folds, planned.division, planned.division.seed
    trainer = Trainer(annotated, seed, planned.cache, planned.settings, progress)
    names = [f"fold {number} of {len(folds)}" if len(folds) > 1 else "" for number in range(1, len(folds) + 1)]
    work = [
        detect_fold(trainer, planned.heads, planned.backbones, fold, division, name)
        for fold, name in zip(folds, names, strict=True)
    ]
    detectors = {name: [each[name] for each in work] for name in work[0]}
    scores, gain = score_detectors(annotated, folds, detectors, planned.heads[0], seed, progress)
    experiment = DetectionExperiment(
        annotated=annotated,
        division=division,
        folds=folds,
        backbones=planned.backbones,
        heads=planned.heads,
        detectors=detectors,
        scores=scores,
        gain=gain,
        settings=planned.settings,
    )
    if division.near_duplicates is None:
        experiment = replace(experiment, annotated=_with_copies(experiment, planned.cache, progress))
    if with_model:
        experiment = replace(experiment, model=refit_detector(experiment, trainer, train_only=train_only))
    return experiment


def _with_copies(experiment: DetectionExperiment, cache: DetectionCache, progress: Progress) -> AnnotatedImages:
    note = look_for_copies(experiment, cache, progress)
    return experiment.annotated if note is None else experiment.annotated.note(note)
