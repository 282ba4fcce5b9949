"""Every method on every backbone, fold and setting, stacked over backbones and compared with the best baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from stackbone.cache import StackError
from stackbone.cache.progress import Progress
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.metrics.checks import check_log_probabilities, check_scores
from stackbone.stack.metrics.compare import Difference, bootstrap_difference, mean_sizes, paired_difference
from stackbone.stack.metrics.metrics import class_metrics
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.parts import FoldPart, domains_of
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.memo import Memo
from stackbone.stack.transfer.method import Matrix, Method
from stackbone.stack.transfer.results.scores import POOLED, TARGET_ONLY, Logs, MethodScore, SettingScores

PRIMARY = "accuracy"


@dataclass(frozen=True, eq=False)
class _Answer:
    """What one method says of one test part, on one backbone."""

    logs: Logs
    chosen: dict[str, float | str]


def evaluate_methods(
    pair: DomainPair,
    parts: Sequence[FoldPart],
    settings: Sequence[Setting],
    methods: Sequence[Method],
    *,
    seed: int,
    is_split: bool,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[SettingScores], dict[str, list[str]]]:
    """Score methods on the same folds of the target.

    Parameters
    ----------
    pair : DomainPair
        Both domains.
    parts : sequence of FoldPart
        Folds of the target.
    settings : sequence of Setting
        Which target labels are shown.
    methods : sequence of Method
        In the order of the table.
    seed : int
        Of all that methods draw.
    is_split : bool
        Whether the one fold is the target's own split.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    progress : callable, optional
        See `cache.progress.Progress`.

    Returns
    -------
    scores : list of SettingScores
        One for each setting.
    warnings : dict of str to list of str
        What solvers warned of, by setting and backbone.

    Raises
    ------
    StackError
        If no baseline can serve in a setting, or a method answers with anything but probabilities.
    """
    memos = _source_memos(pair, parts)
    fits: dict[tuple[str, int], Callable[[], dict[str, _Answer | str]]] = {
        (f"{setting.name} {backbone}", part.number): partial(
            _answers, pair, part, setting, backbone, methods, seed, memos[backbone, part.number]
        )
        for backbone in pair.target.names
        for setting in reversed(settings)  # those of more labels take longer
        for part in parts
    }
    with recorded() as warned:
        found = run_fits(fits, n_jobs, FitCounter(progress, len(fits)))
    scores = []
    for setting in settings:
        of_setting = {
            backbone: [found[f"{setting.name} {backbone}", part.number] for part in parts]
            for backbone in pair.target.names
        }
        scores.append(_score(pair, parts, setting, methods, of_setting, seed=seed, is_split=is_split))
    return scores, warned.by_model()


def _source_memos(pair: DomainPair, parts: Sequence[FoldPart]) -> dict[tuple[str, int], Memo]:
    """Return a memo for each backbone and fold, one and the same where folds have the same source rows."""
    made: dict[tuple[str, bytes], Memo] = {}
    return {
        (backbone, part.number): made.setdefault((backbone, part.source.tobytes()), Memo())
        for backbone in pair.target.names
        for part in parts
    }


def _answers(
    pair: DomainPair,
    part: FoldPart,
    setting: Setting,
    backbone: str,
    methods: Sequence[Method],
    seed: int,
    source_memo: Memo,
) -> dict[str, _Answer | str]:
    """Fit every method and have it answer for the test part; of one that cannot serve, say why not."""
    domains = domains_of(pair, part, setting, backbone, seed, source_memo)
    tested: Matrix = pair.target.blocks[backbone][part.fold.test]
    found: dict[str, _Answer | str] = {}
    for method in methods:
        reason = method.fits(domains)
        if reason is not None:
            found[method.name] = reason
            continue
        try:
            fitted = method.fit(domains)
        except StackError as exc:
            found[method.name] = str(exc)
            continue
        probabilities = np.maximum(fitted.predict_proba(tested).astype(np.float64), np.finfo(np.float64).tiny)
        found[method.name] = _Answer(np.log(probabilities), fitted.chosen)
    return found


def _score(
    pair: DomainPair,
    parts: Sequence[FoldPart],
    setting: Setting,
    methods: Sequence[Method],
    found: Mapping[str, Sequence[Mapping[str, _Answer | str]]],
    *,
    seed: int,
    is_split: bool,
) -> SettingScores:
    results: list[MethodScore] = []
    unfit: dict[str, str] = {}
    predictions: dict[str, list[Logs]] = {}
    truth = [pair.target_codes[part.fold.test] for part in parts]
    for method in methods:
        answers = {backbone: [each[method.name] for each in own] for backbone, own in found.items()}
        reasons = [each for own in answers.values() for each in own if isinstance(each, str)]
        if reasons:
            unfit[method.name] = reasons[0]
            continue
        logs = {name: [each.logs for each in own if isinstance(each, _Answer)] for name, own in answers.items()}
        _check(method, truth, logs)
        stacked = [_mean(each) for each in zip(*logs.values(), strict=True)]
        predictions[method.name] = stacked
        results.append(
            MethodScore(
                method=method.name,
                family=method.family,
                setting=setting.name,
                score=_model_score(method.name, truth, stacked),
                backbones={name: _model_score(f"{method.name}:{name}", truth, own) for name, own in logs.items()},
                chosen={
                    name: [each.chosen for each in own if isinstance(each, _Answer)] for name, own in answers.items()
                },
            )
        )
    baselines = [each for each in results if each.family == "baseline"]
    if not baselines:
        said = "; ".join(f"{name} {why}" for name, why in unfit.items())
        message = f"no baseline can be fitted with {setting.in_words}: {said}. Use another --target-labels"
        raise StackError(message)
    best = max(baselines, key=lambda each: each.score.mean)
    compare = partial(_difference, pair, parts, truth, predictions, seed=seed, is_split=is_split)
    by_name = {each.method: each for each in results}
    effect = None
    if POOLED in by_name and TARGET_ONLY in by_name:
        effect = compare(by_name[POOLED].score, by_name[TARGET_ONLY].score)
    return SettingScores(
        setting=setting,
        results=[
            each if each is best else replace(each, difference=compare(each.score, best.score)) for each in results
        ],
        best_baseline=best.method,
        unfit=unfit,
        predictions=predictions,
        source_effect=effect,
    )


def _check(method: Method, truth: Sequence[NDArray[np.int64]], logs: Mapping[str, Sequence[Logs]]) -> None:
    try:
        for own in logs.values():
            for codes, each in zip(truth, own, strict=True):
                check_scores(codes, each)
                check_log_probabilities(each)
    except StackError as exc:
        message = f"the method {method.name!r} gives no probabilities: {exc}"
        raise StackError(message) from exc


def _mean(logs: Sequence[Logs]) -> Logs:
    """Return the natural log of the mean probability over backbones."""
    mean: Logs = logsumexp(logs, axis=0) - np.log(len(logs))
    return mean


def _model_score(model: str, truth: Sequence[NDArray[np.int64]], logs: Sequence[Logs]) -> ModelScore:
    numbers = [class_metrics(codes, each, probability=True) for codes, each in zip(truth, logs, strict=True)]
    return ModelScore.of_folds(model, numbers, PRIMARY)


def _difference(
    pair: DomainPair,
    parts: Sequence[FoldPart],
    truth: Sequence[NDArray[np.int64]],
    predictions: Mapping[str, Sequence[Logs]],
    a: ModelScore,
    b: ModelScore,
    *,
    seed: int,
    is_split: bool,
) -> Difference:
    """Return by how much the first of two rows is better.

    The corrected resampled t-test counts the target's images alone: folds share the source's too, which makes the
    correction an approximation here.
    """
    if is_split:
        right = (predictions[each.model][0].argmax(axis=1) == truth[0] for each in (a, b))
        groups = pair.target_groups
        return bootstrap_difference(*right, seed=seed, groups=None if groups is None else groups[parts[0].fold.test])
    folds = [part.fold for part in parts]
    return paired_difference(a.folds, b.folds, *mean_sizes(folds), tested=[len(fold.test) for fold in folds])
