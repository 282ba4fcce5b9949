"""Score every backbone, every baseline and every stack on the same folds.

Features and folds flow in; each base learner is fitted once per outer fold and serves its own row of
the table, the mean and the stack; accuracies per fold flow out. All choices a learner makes (scaling,
C, the meta-learner) are made inside the training part of the fold it is scored on.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import joblib
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from cache.errors import StackError, UsageError
from stack.base import ClassScores, inner_folds, predict_svm, score_classes
from stack.folds import Fold, check_fold_classes, check_labels
from stack.meta import predict_mean, predict_oof, predict_published

RECIPES = ("oof", "published")

Progress = Callable[[str, int, int], None]
"""Called with ("fitting", fits done, fits in all) in the caller's thread, first with none done."""


@dataclass(frozen=True)
class ModelScore:
    """The accuracy of one model on each outer fold.

    Attributes
    ----------
    model : str
        ``lr:BACKBONE``, ``svm:BACKBONE``, ``mean``, ``concat``, ``stack:oof`` or ``stack:published``.
    folds : list of float
        Share of the fold's test rows classified rightly, 0 to 1, one per fold.
    """

    model: str
    folds: list[float]

    @property
    def mean(self) -> float:
        """Mean over folds."""
        return float(np.mean(self.folds))

    @property
    def std(self) -> float:
        """Population standard deviation over folds (``ddof=0``, as ``scores.std()`` prints it).

        It describes the spread of these folds; it is not a standard error, since the folds share
        training rows.
        """
        return float(np.std(self.folds))

    def to_dict(self) -> dict[str, object]:
        """Return the score as one entry of the ``results`` of ``stack --json``."""
        return {"model": self.model, "accuracy": {"mean": self.mean, "std": self.std, "folds": self.folds}}


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    results : list of ModelScore
        One per model, in the table's order.
    """

    results: list[ModelScore]


@dataclass(frozen=True, eq=False)
class _Part:
    """One outer fold as the learners need it."""

    number: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    y_train: NDArray[np.int64]
    inner: list[Fold]


_Outcome = ClassScores | NDArray[np.int64]  # the scores of a base learner, or predicted class codes
_Key = tuple[str, int]  # model, number of the fold
_Fits = dict[_Key, Callable[[], _Outcome]]


def evaluate(
    blocks: Mapping[str, NDArray[np.float32]],
    y: NDArray[np.str_],
    folds: Sequence[Fold],
    *,
    recipes: Sequence[str] = RECIPES,
    seed: int = 0,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Score backbones, baselines and stacks on the test part of each fold.

    Parameters
    ----------
    blocks : mapping of str to NDArray[np.float32]
        Backbone name to its ``(n_images, dim)`` features; the same rows in every block.
    y : NDArray[np.str_]
        ``(n_images,)`` class names.
    folds : sequence of Fold
        Outer folds, of `stratified_folds` or `split_folds`.
    recipes : sequence of str
        Stacks to evaluate beside the baselines: ``oof``, ``published``.
    seed : int
        Seed of the inner folds; the same seed gives the same scores, whatever `n_jobs`.
    n_jobs : int, optional
        Fits at a time, in threads that share the features; all cores by default, negative numbers as
        in joblib. Each running fit holds two to three copies of its own training rows.
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
    _check_recipes(recipes)
    check_labels(y)
    _check_blocks(blocks, len(y))
    _check_folds(folds, y)
    names, codes = np.unique(y, return_inverse=True)
    codes = codes.astype(np.int64)
    parts = [
        _Part(number, f.train, f.test, codes[f.train], inner_folds(codes[f.train], names, seed))
        for number, f in enumerate(folds)
    ]

    base = _base_fits(blocks, parts, published="published" in recipes, seed=seed)
    report = _Counter(progress, len(base) + len(parts) * (1 + ("oof" in recipes)))
    outcomes = _run(base, n_jobs, report)
    outcomes |= _run(_meta_fits(list(blocks), parts, outcomes, oof="oof" in recipes), n_jobs, report)
    if len(blocks) == 1:  # side by side with nothing: the same fit
        outcomes |= {("concat", p.number): outcomes[f"lr:{next(iter(blocks))}", p.number] for p in parts}

    def score(model: str) -> ModelScore:
        return ModelScore(model, [_accuracy(outcomes[model, p.number], codes[p.test]) for p in parts])

    return Evaluation([score(model) for model in _models(list(blocks), recipes)])


def _models(backbones: list[str], recipes: Sequence[str]) -> list[str]:
    singles = [f"{learner}:{name}" for learner in ("lr", "svm") for name in backbones]
    return [*singles, "mean", "concat", *(f"stack:{recipe}" for recipe in RECIPES if recipe in recipes)]


def _base_fits(blocks: Mapping[str, NDArray[np.float32]], parts: list[_Part], *, published: bool, seed: int) -> _Fits:
    """List what is fitted on features; the longest first, so that no core ends with a long one alone."""
    features = list(blocks.values())
    fits: _Fits = {}
    if len(blocks) > 1:
        fits |= {("concat", p.number): partial(_fit_scores, features, p) for p in parts}
    if published:
        fits |= {("stack:published", p.number): partial(_fit_published, features, p, seed) for p in parts}
    for name, x in blocks.items():
        fits |= {(f"lr:{name}", p.number): partial(_fit_scores, [x], p) for p in parts}
    for name, x in blocks.items():
        fits |= {(f"svm:{name}", p.number): partial(_fit_svm, x, p) for p in parts}
    return fits


def _meta_fits(backbones: list[str], parts: list[_Part], outcomes: Mapping[_Key, _Outcome], *, oof: bool) -> _Fits:
    """List what is made of the backbones' scores."""
    fits: _Fits = {}
    for p in parts:
        scores = [s for name in backbones if isinstance(s := outcomes[f"lr:{name}", p.number], ClassScores)]
        fits["mean", p.number] = partial(predict_mean, scores)
        if oof:
            fits["stack:oof", p.number] = partial(predict_oof, scores, p.y_train, p.inner)
    return fits


def _fit_scores(features: list[NDArray[np.float32]], part: _Part) -> ClassScores:
    train = np.hstack([x[part.train] for x in features])
    test = np.hstack([x[part.test] for x in features])
    return score_classes(train, part.y_train, test, part.inner)


def _fit_svm(x: NDArray[np.float32], part: _Part) -> NDArray[np.int64]:
    return predict_svm(x[part.train], part.y_train, x[part.test])


def _fit_published(features: list[NDArray[np.float32]], part: _Part, seed: int) -> NDArray[np.int64]:
    train, test = [x[part.train] for x in features], [x[part.test] for x in features]
    return predict_published(train, part.y_train, test, seed)


def _run(fits: _Fits, n_jobs: int | None, report: "_Counter") -> dict[_Key, _Outcome]:
    """Run the fits in threads, one core each.

    A fit is a thousand small matrix products: a BLAS that spreads each over the cores loses by it, even alone,
    and by far more when several fits do so at once.
    """

    def run(key: _Key, fit: Callable[[], _Outcome]) -> tuple[_Key, _Outcome]:
        return key, fit()

    outcomes: dict[_Key, _Outcome] = {}
    with threadpool_limits(limits=1, user_api="blas"):
        parallel = joblib.Parallel(
            -1 if n_jobs is None else n_jobs, backend="threading", return_as="generator_unordered"
        )
        done: Iterable[tuple[_Key, _Outcome]] = parallel(joblib.delayed(run)(*item) for item in fits.items())
        for key, outcome in done:
            outcomes[key] = outcome
            report.step()
    return outcomes


class _Counter:
    """Turns finished fits into calls of the progress callback."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0
        self._report()

    def step(self) -> None:
        self._done += 1
        self._report()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress("fitting", self._done, self._total)


def _accuracy(outcome: _Outcome, truth: NDArray[np.int64]) -> float:
    predicted = outcome.predict() if isinstance(outcome, ClassScores) else outcome
    return float((predicted == truth).mean())


def _check_recipes(recipes: Sequence[str]) -> None:
    for recipe in recipes:
        if recipe not in RECIPES:
            near = difflib.get_close_matches(recipe, RECIPES, n=1, cutoff=0.0)
            msg = f"unknown recipe {recipe!r}; there are {' and '.join(RECIPES)}: did you mean {near[0]!r}?"
            raise UsageError(msg)


def _check_blocks(blocks: Mapping[str, NDArray[np.float32]], n_images: int) -> None:
    if not blocks:
        msg = "no features were given; name at least one backbone whose features were extracted"
        raise StackError(msg)
    for name, x in blocks.items():
        if x.ndim != 2 or len(x) != n_images or x.shape[1] == 0:
            msg = (
                f"features of {name!r} have shape {x.shape}; expected ({n_images}, dim), one row per label: "
                "features and labels must come from the same dataset"
            )
            raise StackError(msg)
        rows = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(rows):
            msg = (
                f"features of {name!r} hold NaN or infinity in {len(rows)} of {n_images} rows (first rows: "
                f"{', '.join(map(str, rows[:5]))}); every feature must be finite: "
                "verify the cache and extract this backbone again"
            )
            raise StackError(msg)


def _check_folds(folds: Sequence[Fold], y: NDArray[np.str_]) -> None:
    if not folds:
        msg = "no folds were given; make them with stratified_folds or split_folds"
        raise StackError(msg)
    for number, fold in enumerate(folds, start=1):
        where = f"the training part of fold {number} of {len(folds)}"
        rows = np.concatenate([fold.train, fold.test])
        if len(fold.test) == 0 or len(fold.train) == 0 or rows.min() < 0 or rows.max() >= len(y):
            msg = (
                f"fold {number} of {len(folds)} has {len(fold.train)} training and {len(fold.test)} test rows "
                f"for {len(y)} images; neither may be empty or reach beyond them: make folds of these labels"
            )
            raise StackError(msg)
        shared = np.intersect1d(fold.train, fold.test)
        if len(shared):
            msg = (
                f"{where} shares {len(shared)} rows with its test part (row {shared[0]} first); "
                "scores on rows that were learnt mean nothing: make disjoint folds"
            )
            raise StackError(msg)
        check_fold_classes(y, fold, where)
