"""Score every backbone, every baseline and every stack on the same folds.

Features and folds flow in; each base learner is fitted once per outer fold and serves its own row of
the table, the mean and the stack; predictions and scores per fold flow out. All choices a learner makes
(scaling, C, the meta-learner, its calibration) are made inside the training part of the fold it is scored on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from stackbone.stack.evaluation.options import StackOptions
from stackbone.stack.evaluation.score_cache import BaseOutcome, ScoreCache
from stackbone.stack.evaluation.scores import Evaluation, ModelScore, Prediction
from stackbone.stack.folds.checks import check_blocks, check_choice, check_folds, check_groups
from stackbone.stack.folds.folds import Fold, check_fold_classes, check_labels, inner_folds
from stackbone.stack.folds.per_fold import Features, check_per_fold, distinct_blocks, of_fold
from stackbone.stack.learners.base import ClassScores, predict_svm, score_classes
from stackbone.stack.learners.meta import MetaModel, MetaOptions, check_meta, fit_meta, mean_probability
from stackbone.stack.learners.published import predict_published
from stackbone.stack.learners.recipes import ROWS, STACKS
from stackbone.stack.learners.weight_shares import mean_shares
from stackbone.stack.metrics.metrics import class_metrics
from stackbone.stack.solvers.fit_warnings import recorded
from stackbone.stack.solvers.fits import FitCounter, FitKey, Progress, run_alone, run_fits
from stackbone.stack.solvers.rows import Rows

_LARGE = 2**27  # bytes of features
WITHOUT = "without:"
"""How the name of a stack that lacks one backbone begins."""


@dataclass(frozen=True, eq=False)
class _Part:
    """One outer fold as the learners need it."""

    number: int
    fold: Fold
    y_train: NDArray[np.int64]
    n_classes: int
    inner: list[Fold]


def evaluate(
    blocks: Mapping[str, Features],
    y: NDArray[np.str_],
    folds: Sequence[Fold],
    *,
    recipes: Sequence[str] = STACKS,
    baselines: bool = True,
    ablation: bool = True,
    options: StackOptions | None = None,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    cache: ScoreCache | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score backbones, baselines and stacks on the test part of each fold.

    Parameters
    ----------
    blocks : mapping of str to Features
        Backbone name to its ``(n_images, dim)`` features, or those of each fold; the same rows in every block.
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    folds : sequence of Fold
        Outer folds, of `stratified_folds` or `split_folds`.
    recipes : sequence of str
        What to evaluate beside the single backbones, of `stack.learners.recipes.ROWS`; ``mean`` and ``concat`` are
        baselines in any case.
    baselines : bool
        Whether to fit ``svm:`` and ``concat``, too.
    ablation : bool
        Whether to fit the stacks that lack one backbone, beside `baselines`.
    options : StackOptions, optional
        What is fitted; the defaults are the ``oof`` recipe.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group of each row; the inner folds keep groups together. The outer folds are the caller's.
    seed : int
        Seed of the inner folds; the same seed gives the same scores, whatever `n_jobs`.
    n_jobs : int, optional
        Fits at a time, in threads that share the features; all cores by default, negative numbers as
        in joblib. Each running fit holds one copy of its own training rows; of large features, those that see every
        backbone run one at a time, with all cores.
    cache : ScoreCache, optional
        Where scores of earlier fits are found, and those of new ones kept.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    Evaluation
        ``lr:`` and ``svm:`` of each backbone, ``mean``, ``concat``, then ``stack:oof`` and
        ``stack:published`` as asked for.

    Raises
    ------
    StackError
        If features are not finite, shapes disagree, or labels and folds do not allow a fair score.
    UsageError
        If a recipe is unknown.
    """
    options = options or StackOptions()
    for recipe in recipes:
        check_choice("recipe", recipe, tuple(ROWS))
    check_meta(options.meta)
    check_labels(y)
    check_blocks(blocks, len(y))
    check_groups(groups, len(y))
    check_folds(folds, len(y))
    check_per_fold(blocks, len(folds))
    for number, fold in enumerate(folds, start=1):
        check_fold_classes(y, fold, f"the training part of fold {number} of {len(folds)}")
    names, codes = np.unique(y, return_inverse=True)
    codes = codes.astype(np.int64)
    parts = [_part(number, fold, codes, names, groups, options, seed) for number, fold in enumerate(folds)]

    found_keys: list[str] = []
    models = _models(list(blocks), recipes, baselines=baselines)
    base = {key: fit for key, fit in _base_fits(blocks, parts, options, seed).items() if key[0] in models}
    runs: dict[FitKey, Callable[[], BaseOutcome]] = {
        key: fit.run if cache is None else partial(_find_or_run, fit, cache, codes, parts[key[1]], found_keys)
        for key, fit in base.items()
    }
    metas = _meta_backbones(list(blocks), ablation=baselines and ablation) if "oof" in recipes else {}
    counter = FitCounter(progress, len(base) + len(parts) * len(metas))
    with recorded() as warned:
        outcomes = _run_base(runs, sum(x.nbytes for _, x in distinct_blocks(blocks)), n_jobs, counter)
        if len(blocks) == 1 and baselines:  # side by side with nothing: the same fit
            outcomes |= {("concat", p.number): outcomes[f"lr:{next(iter(blocks))}", p.number] for p in parts}
        scores = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, ClassScores)}
        stacks = run_fits(_meta_fits(metas, parts, scores, options.meta), n_jobs, counter)

    def predict(model: str, number: int) -> Prediction:
        outcome = outcomes.get((model, number))
        if isinstance(outcome, Prediction):
            return outcome
        if isinstance(outcome, ClassScores):
            return Prediction(log_softmax(outcome.test.astype(np.float64), axis=1), probability=True)
        decisions = [scores[f"lr:{name}", number].test for name in metas.get(model, blocks)]
        meta = stacks.get((model, number))
        log = mean_probability(decisions) if meta is None else meta.log_probabilities(decisions)
        return Prediction(log, probability=True)

    def score(model: str) -> tuple[ModelScore, list[Prediction]]:
        predictions = [predict(model, p.number) for p in parts]
        each = [
            class_metrics(codes[p.fold.test], prediction.scores, probability=prediction.probability)
            for p, prediction in zip(parts, predictions, strict=True)
        ]
        metrics = {metric: [numbers[metric] for numbers in each] for metric in each[0]}
        return ModelScore(model, metrics.pop("accuracy"), metrics), predictions

    found = {model: score(model) for model in dict.fromkeys([*models, *metas])}
    return Evaluation(
        results=[found[model][0] for model in models],
        predictions={model: each for model, (_, each) in found.items()},
        without={model.removeprefix(WITHOUT): found[model][0] for model in metas if model.startswith(WITHOUT)},
        chosen=_chosen_c({**scores, **stacks}, models, len(parts)),
        warnings=warned.by_model(),
        n_from_cache=len(found_keys),
        shares=mean_shares(list(blocks), [each.shares for key, each in stacks.items() if key[0] == "stack:oof"]),
    )


def _part(
    number: int,
    fold: Fold,
    codes: NDArray[np.int64],
    names: NDArray[np.str_],
    groups: NDArray[np.int64] | None,
    options: StackOptions,
    seed: int,
) -> _Part:
    y_train = codes[fold.train]
    own_groups = None if groups is None else groups[fold.train]
    inner = inner_folds(y_train, names, seed, groups=own_groups, n_splits=options.inner_splits)
    return _Part(number, fold, y_train, len(names), inner)


def _models(backbones: list[str], recipes: Sequence[str], *, baselines: bool) -> list[str]:
    singles = [f"{learner}:{name}" for learner in ("lr", *(["svm"] if baselines else [])) for name in backbones]
    plain = ["mean", "concat"] if baselines else ["mean"]
    return [*singles, *plain, *(ROWS[recipe] for recipe in STACKS if recipe in recipes)]


def _meta_backbones(backbones: list[str], *, ablation: bool) -> dict[str, list[str]]:
    """Return the stacks to fit, by name, and the backbones of each: all, and all but one."""
    stacks = {"stack:oof": backbones}
    if ablation and len(backbones) > 1:
        stacks |= {f"{WITHOUT}{name}": [each for each in backbones if each != name] for name in backbones}
    return stacks


def _chosen_c(
    fitted: Mapping[FitKey, ClassScores | MetaModel], models: list[str], n_folds: int
) -> dict[str, list[float]]:
    chosen = {}
    for model in models:
        found = [fitted[model, number].c for number in range(n_folds) if (model, number) in fitted]
        if found and None not in found:
            chosen[model] = [float(c) for c in found if c is not None]
    return chosen


def _meta_fits(
    metas: Mapping[str, list[str]],
    parts: list[_Part],
    scores: Mapping[FitKey, ClassScores],
    options: MetaOptions,
) -> dict[FitKey, Callable[[], MetaModel]]:
    """List what is fitted on the backbones' scores."""
    return {
        (model, p.number): partial(
            fit_meta, [scores[f"lr:{name}", p.number] for name in names], p.y_train, p.n_classes, p.inner, options
        )
        for model, names in metas.items()
        for p in parts
    }


@dataclass(frozen=True, eq=False)
class _BaseFit:
    """A fit on features, and what decides its outcome beside the images and labels of its fold."""

    learner: dict[str, object]
    names: list[str]
    uses_inner_folds: bool
    run: Callable[[], BaseOutcome]


def _base_fits(
    blocks: Mapping[str, Features],
    parts: list[_Part],
    options: StackOptions,
    seed: int,
) -> dict[FitKey, _BaseFit]:
    """List all that can be fitted on features; the longest first, so that no core ends with a long one alone."""
    everything = list(blocks)
    lr = options.lr_learner
    fit_lr = partial(_fit_scores, c_grid=options.c_grid)
    kinds: list[tuple[str, list[str], dict[str, object], Callable[..., BaseOutcome]]] = []
    if len(blocks) > 1:
        kinds.append(("concat", everything, lr, fit_lr))
    published: dict[str, object] = {
        "name": "published",
        "seed": seed,
        **{name: version(name) for name in ("mlxtend", "scikit-learn")},  # what they compute is theirs to change
    }
    kinds.append(("stack:published", everything, published, partial(_fit_published, seed=seed)))
    kinds += [(f"lr:{name}", [name], lr, fit_lr) for name in blocks]
    kinds += [(f"svm:{name}", [name], {"name": "svm"}, _fit_svm) for name in blocks]
    return {
        (model, p.number): _BaseFit(
            learner, names, learner is lr, partial(fit, [of_fold(blocks[name], p.number) for name in names], p)
        )
        for model, names, learner, fit in kinds
        for p in parts
    }


def _run_base(
    runs: Mapping[FitKey, Callable[[], BaseOutcome]], n_bytes: int, n_jobs: int | None, counter: FitCounter
) -> dict[FitKey, BaseOutcome]:
    """Run the fits side by side; of large features, those that see every backbone one at a time.

    Each of these holds a copy of its training rows, and its products are large enough for BLAS to use every core.
    """
    of_all = [key for key in runs if key[0] in ("concat", "stack:published")] if n_bytes > _LARGE else []
    alone = run_alone({key: runs[key] for key in of_all}, n_jobs, counter)
    return alone | run_fits({key: run for key, run in runs.items() if key not in alone}, n_jobs, counter)


def _fit_scores(features: list[NDArray[np.float32]], part: _Part, c_grid: Sequence[float]) -> ClassScores:
    train, test = Rows(features, part.fold.train), Rows(features, part.fold.test)
    return score_classes(train, part.y_train, test, part.n_classes, part.inner, c_grid)


def _fit_svm(features: list[NDArray[np.float32]], part: _Part) -> Prediction:
    train, test = Rows(features, part.fold.train), Rows(features, part.fold.test)
    return Prediction(predict_svm(train, part.y_train, test, part.n_classes), probability=False)


def _fit_published(features: list[NDArray[np.float32]], part: _Part, seed: int) -> Prediction:
    train, test = [x[part.fold.train] for x in features], [x[part.fold.test] for x in features]
    return Prediction(predict_published(train, part.y_train, test, seed), probability=False)


def _find_or_run(
    fit: _BaseFit, cache: ScoreCache, codes: NDArray[np.int64], part: _Part, found: list[str]
) -> BaseOutcome:
    inner = part.inner if fit.uses_inner_folds else []
    key = cache.key(fit.learner, fit.names, codes, part.fold, inner, number=part.number)
    return cache.find_or_run(key, fit.run, found)
