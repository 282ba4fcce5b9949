"""An experiment: a dataset's labels, joined by digest to the features of its backbones, divided and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from stackbone.cache import FeatureStore, UsageError
from stackbone.stack.divisions.outer_folds import Division, outer_folds
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.findings import Findings, find
from stackbone.stack.evaluation.near_copies import NearCopies, look_for_copies
from stackbone.stack.evaluation.options import StackOptions, stack_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.scores import Evaluation
from stackbone.stack.evaluation.target_findings import TargetFindings, find_targets
from stackbone.stack.features.join import Joined, features_of_folds, join_features, settle
from stackbone.stack.folds.checks import check_choice
from stackbone.stack.folds.folds import Fold
from stackbone.stack.learners.recipes import ROWS, STACKS
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.refit import refit
from stackbone.stack.solvers.fit_warnings import recorded
from stackbone.stack.solvers.fits import Progress
from stackbone.stack.tasks.regression import RegressionEvaluation, evaluate_regression
from stackbone.stack.tasks.targets import parse_targets

RESULT_FORMAT = "stackbone-result"
RESULT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Experiment:
    """What was asked and what came out.

    Attributes
    ----------
    task
        ``classification`` or ``regression``.
    joined
        Labels and features that took part.
    folds
        The outer folds, repeat after repeat.
    cv
        Folds of each repeat; None if the dataset's own split was used.
    repeats
        How often all images were divided anew.
    split
        Name of the test split; None under cross-validation.
    seed
        Of the folds and the inner folds.
    options
        What was fitted.
    evaluation
        The scores.
    findings
        What they mean.
    model
        The stack fitted on everything, if it was asked for.
    group_by, near_duplicates, rare
        As they were asked for: see `run_experiment`.
    steered
        Steered backbone to the id of the feature set that each fold used.
    recipe
        Of the model that the findings, the verdict and the saved file are about; named before any score is known.
    near_copies
        Tested images that look like one of the training part; None where they were not looked for.
    """

    task: str
    joined: Joined
    folds: list[Fold]
    cv: int | None
    repeats: int
    split: str | None
    seed: int
    options: StackOptions
    evaluation: Evaluation | RegressionEvaluation
    findings: Findings | TargetFindings
    model: StackModel | None = None
    group_by: str = "auto"
    near_duplicates: float | None = None
    rare: str = "refuse"
    steered: dict[str, list[str]] = field(default_factory=dict)
    recipe: str = "oof"
    near_copies: NearCopies | None = None

    @property
    def dataset(self) -> str:
        """Its name in the cache."""
        return self.joined.index.name

    @property
    def model_name(self) -> str:
        """Row of the model that this is about, which `recipe` named before any score was known."""
        return ROWS[self.recipe]

    @property
    def n_images(self) -> int:
        """Images that took part."""
        return len(self.joined.rows)

    @property
    def n_classes(self) -> int:
        """Classes among them; of regression, 0."""
        return len(np.unique(self.joined.labels)) if self.task == "classification" else 0

    @property
    def backbones(self) -> dict[str, str | list[str]]:
        """Backbone (or feature set, where names collide) to feature set id; of a steered one, to one for each fold."""
        ids: dict[str, str | list[str]] = {name: each.id for name, each in self.joined.feature_sets.items()}
        ids |= self.steered
        return {name: ids[name] for name in self.joined.names}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object; accuracies are 0 to 1, log-losses in nats, errors in the label's unit."""
        return {
            "format": RESULT_FORMAT,
            "format_version": RESULT_VERSION,
            "task": self.task,
            "dataset": self.dataset,
            "n_images": self.n_images,
            "n_classes": self.n_classes,
            "n_groups": self.joined.n_groups,
            "cv": self.cv,
            "repeats": self.repeats,
            "split": self.split,
            "seed": self.seed,
            "group_by": self.group_by,
            "near_duplicates": self.near_duplicates,
            "rare": self.rare,
            "recipe": self.recipe,
            **asdict(self.options),
            "stackbone": version("stackbone"),
            "backbones": self.backbones,
            "left_out": self.joined.left_out,
            "notes": self.joined.notes,
            "results": [score.to_dict() for score in self.evaluation.results],
            "without": {name: score.to_dict() for name, score in self.evaluation.without.items()},
            "chosen": self.evaluation.chosen,
            "warnings": self.evaluation.warnings,
            "findings": self.findings.to_dict(),
            "near_copies": self.near_copies.to_dict() if self.near_copies else None,
        }


def run_experiment(
    store: FeatureStore | None = None,
    *,
    dataset: str | None = None,
    backbones: Sequence[str] | None = None,
    task: str = "classification",
    cv: int = 3,
    repeats: int = 1,
    split: str | None = None,
    group_by: str = "auto",
    near_duplicates: float | None = None,
    rare: str = "refuse",
    seed: int = 0,
    recipes: Sequence[str] = STACKS,
    options: StackOptions | None = None,
    with_model: bool = False,
    n_jobs: int | None = None,
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
        Its name; by default the most lately extracted one.
    backbones
        Names of backbones or feature sets; by default every feature set that covers the dataset.
    task
        ``classification``, or ``regression`` where labels are numbers.
    cv
        Number of stratified (of regression: shuffled) folds.
    repeats
        How often to divide all images anew; more of them narrow the interval of the comparison.
    split
        Test on this split of the dataset instead, and train on its others.
    group_by, near_duplicates
        What is kept on one side of every fold: see `stack.features.join.join_features` and, without the second,
        `near_copies`.
    rare
        What to do with classes of fewer images (or groups) than folds: ``refuse``, ``drop``, or ``keep``: in every
        training part and never scored.
    seed
        Of the folds.
    recipes
        Of ``oof``, ``published``, ``mean`` and ``concat``. The first is the model that the findings are about and that
        is fitted on everything; of regression there is ``oof`` alone.
    options
        What is fitted; see `StackOptions`.
    with_model
        Fit the model on everything too, to be saved.
    n_jobs
        Fits at a time; all cores by default.
    progress
        See `stack.solvers.fits.Progress`.

    Raises
    ------
    StackError
        If labels or features do not allow the evaluation, or a steering saw what a fold is to be scored on.
    CacheError
        If the cache lacks the dataset, or features of some of its images.
    UsageError
        If a name is unknown.
    """
    options = options or stack_options(task)
    division = Division(
        task=task,
        cv=cv,
        repeats=repeats,
        split=split,
        group_by=group_by,
        near_duplicates=near_duplicates,
        rare=rare,
        seed=seed,
        inner_splits=options.inner_splits,
    )
    _check_recipes(task, recipes)
    store = store or FeatureStore()
    joined = join_features(
        store,
        dataset=dataset,
        backbones=backbones,
        split=split,
        group_by=group_by,
        near=near_duplicates,
        progress=progress,
    )
    joined, folds = outer_folds(joined, division)
    features = features_of_folds(joined, folds, division)
    name, ids = joined.index.name, features.feature_sets
    cache = ScoreCache(store.scores_folder, features.blocks, dataset=name, feature_sets=ids)
    evaluation: Evaluation | RegressionEvaluation
    findings: Findings | TargetFindings
    if task == "classification":
        evaluation = evaluate(
            features.blocks,
            joined.labels,
            folds,
            recipes=recipes,
            options=options,
            groups=joined.groups,
            seed=seed,
            n_jobs=n_jobs,
            cache=cache,
            progress=progress,
        )
        findings = find(evaluation, joined.labels, folds, joined.paths, seed, joined.groups, ROWS[recipes[0]])
    else:
        y = parse_targets(joined.labels)
        with recorded() as warned:
            evaluation = evaluate_regression(
                features.blocks,
                y,
                folds,
                groups=joined.groups,
                meta=options.meta.learner,
                inner_splits=options.inner_splits,
                seed=seed,
                n_jobs=n_jobs,
                cache=cache,
                progress=progress,
            )
        evaluation.warnings.update({name or "stack:oof": said for name, said in warned.by_model().items()})
        findings = find_targets(evaluation, y, folds, joined.paths)
    copies = None
    if near_duplicates is None:
        copies, joined = look_for_copies(joined, folds, evaluation, findings, progress=progress)
    model = None
    if with_model:
        score = evaluation.score(ROWS[recipes[0]])
        settled = settle(joined)
        joined = replace(joined, notes=settled.notes)
        ids = {block: each.id for block, each in settled.feature_sets.items()}
        cache = ScoreCache(store.scores_folder, settled.blocks, dataset=name, feature_sets=ids)
        with recorded() as warned:
            model = refit(
                settled,
                task,
                options,
                score,
                recipe=recipes[0],
                seed=seed,
                n_jobs=n_jobs,
                cache=cache,
                progress=progress,
            )
        evaluation.warnings.update({f"saved stack {fit}".rstrip(): said for fit, said in warned.by_model().items()})
    return Experiment(
        task=task,
        joined=joined,
        folds=folds,
        cv=None if split else cv,
        repeats=repeats,
        split=split,
        group_by=group_by,
        near_duplicates=near_duplicates,
        rare=rare,
        seed=seed,
        options=options,
        evaluation=evaluation,
        findings=findings,
        model=model,
        steered=features.steered,
        recipe=recipes[0],
        near_copies=copies,
    )


def _check_recipes(task: str, recipes: Sequence[str]) -> None:
    for recipe in recipes:
        check_choice("recipe", recipe, tuple(ROWS))
    if not recipes:
        message = f"no recipe was named; name one or more of {', '.join(ROWS)}"
        raise UsageError(message)
    if task == "regression" and recipes[0] != "oof":
        message = f"regression has the recipe oof, and {recipes[0]} was asked for: leave --recipe out, or use oof"
        raise UsageError(message)
