"""An experiment: a dataset's labels, joined by digest to the features of its backbones, divided and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from typing import Any

from stackbone.cache import FeatureStore, UsageError
from stackbone.cache.choices import check_choice
from stackbone.cache.progress import Progress
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.outer_folds import outer_folds
from stackbone.stack.evaluation.evaluate import evaluate
from stackbone.stack.evaluation.findings import find
from stackbone.stack.evaluation.near_copies import NearCopies, look_for_copies
from stackbone.stack.evaluation.options import stack_options
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.features.join import Joined, choose_final_features, features_of_folds, join_features
from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.learners.recipes import STACKS, recipe_rows
from stackbone.stack.metrics.model_scores import Evaluation
from stackbone.stack.models.model import StackModel
from stackbone.stack.models.refit import refit
from stackbone.stack.solvers.fit_warnings import recorded
from stackbone.stack.tasks.findings import Findings
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth

RESULT_FORMAT = "stackbone-result"
RESULT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Experiment:
    """What was asked and what came out.

    Attributes
    ----------
    division
        How the images were to be divided, and what is predicted of them.
    joined
        Labels and features that took part.
    folds
        The outer folds, repeat after repeat.
    options
        What was fitted.
    evaluation
        The scores.
    findings
        What they mean.
    model
        The stack fitted on everything, if it was asked for.
    steered
        Steered backbone to the id of the feature set that each fold used.
    recipe
        Of the model that the findings, the verdict and the saved file are about; named before any score is known.
    near_copies
        Tested images that look like one of the training part; None where they were not looked for.
    """

    division: Division
    joined: Joined
    folds: list[Fold]
    options: StackOptions
    evaluation: Evaluation
    findings: Findings
    model: StackModel | None = None
    steered: dict[str, list[str]] = field(default_factory=dict)
    recipe: str = "oof"
    near_copies: NearCopies | None = None

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.division.task

    @property
    def kind(self) -> Task:
        """The task itself: whatever depends on what is predicted, it knows."""
        return self.division.kind

    @cached_property
    def truth(self) -> Truth:
        """Class codes and names of the images that took part, or their numbers."""
        return self.kind.read(self.joined.labels)

    @property
    def cv(self) -> int | None:
        """Folds of each repeat; None if the dataset's own split was used."""
        return None if self.division.split is not None else self.division.cv

    @property
    def repeats(self) -> int:
        """How often all images were divided, each time into new folds."""
        return self.division.repeats

    @property
    def split(self) -> str | None:
        """Name of the test split; None under cross-validation."""
        return self.division.split

    @property
    def seed(self) -> int:
        """Of the folds and the inner folds."""
        return self.division.seed

    @property
    def dataset(self) -> str:
        """Its name in the cache."""
        return self.joined.index.name

    @property
    def model_name(self) -> str:
        """Row of the model that this is about, which `recipe` named before any score was known."""
        return recipe_rows()[self.recipe]

    @property
    def n_images(self) -> int:
        """Images that took part."""
        return len(self.joined.rows)

    @property
    def n_classes(self) -> int:
        """Classes among them; of regression, 0."""
        return self.truth.n_classes

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
            "group_by": self.division.group_by,
            "near_duplicates": self.division.near_duplicates,
            "rare": self.division.rare,
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
        How often to repeat the cross-validation with new folds; more repeats narrow the interval of the comparison.
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
        See `stack.progress.Progress`.

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
    _check_recipes(division.kind, recipes)
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
    name, row = joined.index.name, recipe_rows()[recipes[0]]
    cache = ScoreCache(store.scores_folder, features.blocks, dataset=name, feature_sets=features.feature_sets)
    evaluation = evaluate(
        features.blocks,
        joined.labels,
        folds,
        task=task,
        recipes=recipes,
        options=options,
        groups=joined.groups,
        seed=seed,
        n_jobs=n_jobs,
        cache=cache,
        progress=progress,
    )
    kind, truth = division.kind, division.kind.read(joined.labels)
    findings = find(kind, evaluation, truth, folds, joined.paths, seed=seed, groups=joined.groups, model=row)
    copies = None
    if near_duplicates is None:
        copies, joined = look_for_copies(kind, joined, truth, folds, evaluation, findings, progress=progress)
    experiment = Experiment(
        division=division,
        joined=joined,
        folds=folds,
        options=options,
        evaluation=evaluation,
        findings=findings,
        steered=features.steered,
        recipe=recipes[0],
        near_copies=copies,
    )
    return _with_model(experiment, store, n_jobs=n_jobs, progress=progress) if with_model else experiment


def _with_model(
    experiment: Experiment, store: FeatureStore, *, n_jobs: int | None, progress: Progress | None
) -> Experiment:
    """Return the experiment with its model, fitted on every image."""
    final = choose_final_features(experiment.joined)
    ids = {block: each.id for block, each in final.feature_sets.items()}
    cache = ScoreCache(store.scores_folder, final.blocks, dataset=experiment.dataset, feature_sets=ids)
    with recorded() as warned:
        model = refit(
            final,
            experiment.kind,
            experiment.options,
            experiment.evaluation.score(experiment.model_name),
            recipe=experiment.recipe,
            seed=experiment.seed,
            n_jobs=n_jobs,
            cache=cache,
            progress=progress,
        )
    said = {f"saved stack {fit}".rstrip(): messages for fit, messages in warned.by_model().items()}
    evaluation = replace(experiment.evaluation, warnings={**experiment.evaluation.warnings, **said})
    joined = replace(experiment.joined, notes=final.notes)
    return replace(experiment, joined=joined, evaluation=evaluation, model=model)


def _check_recipes(task: Task, recipes: Sequence[str]) -> None:
    for recipe in recipes:
        check_choice("recipe", recipe, recipe_rows())
    if not recipes:
        message = f"no recipe was named; name one or more of {', '.join(recipe_rows())}"
        raise UsageError(message)
    task.check_recipes(recipes)
