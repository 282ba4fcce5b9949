"""Run an experiment: join a dataset's labels by digest to the features of its backbones, divide, score, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from stackbone.cache import FeatureStore, UsageError
from stackbone.cache.progress import Progress
from stackbone.stack.computing.arithmetic import CPU, computing_with
from stackbone.stack.computing.devices import choose_arithmetic
from stackbone.stack.divisions.division import Division, choose_plan
from stackbone.stack.divisions.image_weights import image_weights, without_weightless
from stackbone.stack.divisions.named_split import find_split
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.findings import find
from stackbone.stack.evaluation.near_copies import look_for_copies
from stackbone.stack.evaluation.options import check_options, check_savable, stack_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.experiments.asked import check_recipes, unmeasured_note, weights_note
from stackbone.stack.experiments.experiment import Experiment, Planned
from stackbone.stack.experiments.few_shots import check_drawable, few_shots
from stackbone.stack.experiments.shots import TRIES, check_shots
from stackbone.stack.features.fair_folds import fair_folds
from stackbone.stack.features.fusion import fuse
from stackbone.stack.features.join import FoldFeatures, Joined, choose_final_features, features_of_folds, join_features
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import n_columns
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.recipes import STACKS, affordable, recipe_rows
from stackbone.stack.metrics.model_scores import Evaluation
from stackbone.stack.models.refit import refit


def run_experiment(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: str | Sequence[str] | None = None,
    task: str = "classification",
    cv: int | str | None = None,
    repeats: int = 1,
    split: str | None = None,
    folds: str | Path | None = None,
    time_column: str | None = None,
    group_by: str = "auto",
    near_duplicates: float | None = None,
    train_views: str | Sequence[str] | None = None,
    test_views: str | Sequence[str] | None = None,
    rare: str = "refuse",
    seed: int = 0,
    dealing: str | None = None,
    recipes: Sequence[str] = STACKS,
    options: StackOptions | None = None,
    shots: Sequence[int] | None = None,
    tries: int = TRIES,
    with_model: bool = False,
    train_only: bool = False,
    keep_features: bool = True,
    check: Callable[[Planned], object] | None = None,
    n_jobs: int | None = None,
    device: str = CPU,
    progress: Progress | None = None,
) -> Experiment:
    """Score single backbones, their plain combinations and their stacks on cached features.

    Scores of earlier runs are taken from the cache: a backbone that joins a finished experiment costs its own fits
    and those of the models that see every backbone.

    Parameters
    ----------
    store
        The cache; by default `cache.default_cache`.
    dataset
        Its name; by default the most recently extracted one.
    backbones
        Names of backbones, groups of them (``offline``) or feature sets, as a list or separated by commas; by default
        every feature set that covers the dataset.
    task
        ``classification``, or ``regression`` where labels are numbers.
    cv
        Number of stratified (of regression: shuffled) folds, 3 by default; ``loo`` to leave out each image once,
        ``logo`` each group.
    repeats
        How often to repeat the cross-validation with new folds; more repeats narrow the interval of the comparison.
    split
        Test on this split of the dataset instead, and train on its others.
    folds
        Folds of your own instead: a column of the dataset's table (``split`` and ``group`` too), or a CSV or Parquet
        file of ``filename`` and ``fold``. The fold -1 is never tested and always trained on.
    time_column
        Column of the table with ISO dates or numbers: every fold tests what comes after all that it trains on, and
        inner folds follow the order too; see `stack.folds.splitters.ordered_folds`.
    group_by, near_duplicates
        What is kept on one side of every fold: see `stack.features.join.join_features` and, without the second,
        `near_copies`.
    train_views, test_views
        Views that each image is learnt from, ``all`` for every one that all backbones have, and views whose mean is
        tested, ``mean`` for every one; the plain view by default.
    rare
        What to do with classes of fewer images (or groups) than folds: ``refuse``, ``drop``, or ``keep``: in every
        training part and never scored.
    seed
        Of the folds.
    dealing
        How images are dealt to folds: ``digests``, by content, so that a changed label or image moves few others, or
        ``rows``, as Stackbone 0.1.0 did. By default by digests, unless a backbone was steered for the folds of rows.
    recipes
        Of ``oof``, ``published``, ``mean`` and ``concat``. The first is the model that the findings are about and that
        is fitted on everything; of regression there is no ``published``.
    options
        What is fitted; see `StackOptions`.
    shots
        Also score what so many training images of each class teach, such as ``[1, 2, 4, 8, 16]``: see
        `stack.experiments.few_shots.few_shots`.
    tries
        Times that they are drawn.
    with_model
        Fit the model on everything too, to be saved.
    train_only
        Fit it on the training part alone where a split is tested on, so that nobody has to ask which images it knows.
    keep_features
        Let the model keep features of its training images, by which it knows images unlike all of them.
    check
        Called with images and folds before any fit, such as `stack.experiments.against.check.check_against`: what it
        raises ends the run.
    n_jobs
        Fits at a time; all cores by default.
    device
        Where logistic regressions and linear SVMs are solved: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for a GPU if
        there is one. Scores that were kept serve whatever they were solved on; `Evaluation.solved_on` tells.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    StackError
        If labels or features do not allow the evaluation, or a steering saw what a fold is to be scored on.
    CacheError
        If the cache lacks the dataset, or features of some of its images.
    UsageError
        If a name is unknown, or arguments contradict each other.
    """
    if train_only and (split is None or not with_model):
        message = "--save-train-only is for --split with --save: folds have several training parts, and no model of one"
        raise UsageError(message)
    if shots is not None:
        shots = sorted(set(shots))
        check_shots(task, shots, tries, cv)
    options = check_options(task, options or stack_options(task))
    arithmetic = choose_arithmetic(device)
    store = store or FeatureStore()
    split = None if split is None else find_split(store.dataset(dataset), split)
    division = Division(
        task=task,
        **choose_plan(cv, split, folds, time_column),
        repeats=repeats,
        split=split,
        group_by=group_by,
        near_duplicates=near_duplicates,
        rare=rare,
        seed=seed,
        inner_splits=options.inner_splits,
    )
    check_recipes(division.kind, recipes, options)
    if with_model:
        check_savable(division.kind, options, recipes[0])
    joined = join_features(
        store,
        dataset=dataset,
        backbones=backbones,
        split=split,
        group_by=group_by,
        near=near_duplicates,
        train_views=train_views,
        test_views=test_views,
        progress=progress,
    )
    joined, outer, division = fair_folds(joined, division, dealing)
    joined, outer = without_weightless(joined, outer, options.weight_column)
    if shots is not None:
        check_drawable(joined, outer, shots)
    if check is not None:
        check(Planned(division, joined, outer, options))
    features = features_of_folds(joined, outer, division)
    recipes, left_out = affordable(recipes, max(len(fold.train) for fold in outer), n_columns(features.blocks))
    joined = replace(joined, notes=[*joined.notes, *features.notes, *left_out])
    cache = ScoreCache(
        store.scores_folder, features.blocks, dataset=joined.index.name, feature_sets=features.feature_sets
    )
    with computing_with(arithmetic):
        evaluation = _evaluate(
            cache, joined, outer, features, division, recipes=recipes, options=options, n_jobs=n_jobs, progress=progress
        )
    row = recipe_rows()[recipes[0]]
    kind, truth = division.kind, joined.truth(division.kind)
    advice = [*kind.advice(truth, options), *weights_note(options), *unmeasured_note(kind, options)]
    joined = replace(joined, notes=[*joined.notes, *advice])
    findings = find(
        kind,
        evaluation,
        truth,
        outer,
        joined.paths,
        seed=seed,
        groups=joined.groups,
        model=row,
        weights=image_weights(joined, options.weight_column),
        metric=options.metric,
    )
    copies = None
    if near_duplicates is None:
        copies, joined = look_for_copies(kind, joined, truth, outer, evaluation, findings, progress=progress)
    few = None
    if shots is not None:
        at_work: dict[str, Any] = {"cache": cache, "n_jobs": n_jobs, "progress": progress}
        with computing_with(arithmetic):
            few = few_shots(joined, outer, features.blocks, division, options, shots, tries, **at_work)
    experiment = Experiment(
        division=division,
        joined=joined,
        folds=outer,
        options=options,
        evaluation=evaluation,
        findings=findings,
        steered=features.steered,
        nested=features.nested,
        recipe=recipes[0],
        near_copies=copies,
        few_shots=few,
    )
    if not with_model:
        return experiment
    fitted_on = experiment.training_part() if train_only else experiment.joined
    how: dict[str, Any] = {"keep_features": keep_features, "n_jobs": n_jobs, "progress": progress}
    with computing_with(arithmetic):
        return _with_model(experiment, fitted_on, store, **how)


def _evaluate(
    cache: ScoreCache,
    joined: Joined,
    folds: Sequence[Fold],
    features: FoldFeatures,
    division: Division,
    *,
    recipes: Sequence[str],
    options: StackOptions,
    n_jobs: int | None,
    progress: Progress | None,
) -> Evaluation:
    """Score all models, with what earlier runs have kept."""
    return evaluate(
        features.blocks,
        joined.truth(division.kind),
        folds,
        members=fuse(joined, options.fusion),
        task=division.task,
        recipes=recipes,
        options=options,
        groups=joined.groups,
        digests=joined.units(division.dealing).digests,
        times=joined.times,
        weights=image_weights(joined, options.weight_column),
        seed=division.seed,
        n_jobs=n_jobs,
        cache=cache,
        progress=progress,
    )


def _with_model(experiment: Experiment, fitted_on: Joined, store: FeatureStore, **how: Any) -> Experiment:  # noqa: ANN401
    """Return the experiment with its model, fitted on all of some images; `how` is of `refit`."""
    started = perf_counter()
    final = choose_final_features(fitted_on)
    ids = {block: each.id for block, each in final.feature_sets.items()}
    cache = ScoreCache(store.scores_folder, final.features, dataset=experiment.dataset, feature_sets=ids)
    with recorded() as warned:
        model = refit(
            final,
            experiment.kind,
            experiment.options,
            experiment.evaluation.score(experiment.model_name),
            recipe=experiment.recipe,
            members=experiment.members,
            seed=experiment.seed,
            dealing=experiment.division.dealing,
            cache=cache,
            **how,
        )
    said = {f"saved stack {fit}".rstrip(): messages for fit, messages in warned.by_model().items()}
    evaluation = replace(experiment.evaluation, warnings={**experiment.evaluation.warnings, **said})
    joined = replace(experiment.joined, notes=final.notes)
    took = perf_counter() - started
    return replace(experiment, joined=joined, evaluation=evaluation, model=model, model_seconds=took)
