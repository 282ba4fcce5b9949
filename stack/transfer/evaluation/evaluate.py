"""Every method on every backbone, fold and setting, stacked over backbones and compared with the best baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from stackbone.cache import StackError
from stackbone.cache.progress import Progress
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.transfer.domains.parts import FoldPart, domains_of
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.evaluation.comparing import Scored, Scoring
from stackbone.stack.transfer.memo import Memo
from stackbone.stack.transfer.method import Domains, Matrix, Method
from stackbone.stack.transfer.results.scores import POOLED, TARGET_ONLY, Logs, MethodScore, SettingScores


@dataclass(frozen=True, eq=False)
class Answer:
    """What one method says of one test part, on one backbone.

    Attributes
    ----------
    logs : NDArray[np.float64]
        ``(n_test, n_classes)`` natural-log probabilities.
    chosen : dict of str to (float or str)
        See `stack.transfer.method.Fitted`.
    """

    logs: Logs
    chosen: dict[str, float | str]


def evaluate_methods(
    scoring: Scoring,
    settings: Sequence[Setting],
    methods: Sequence[Method],
    *,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[SettingScores], dict[str, list[str]]]:
    """Score methods on the same folds of the target.

    Parameters
    ----------
    scoring : Scoring
        The folds; its seed is that of all that methods draw.
    settings : sequence of Setting
        Which target labels are shown.
    methods : sequence of Method
        In the order of the table.
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
    pair, parts = scoring.pair, scoring.parts
    memos = _source_memos(scoring)
    fits: dict[tuple[str, int], Callable[[], dict[str, Answer | str]]] = {}
    for backbone in pair.target.names:
        for part in parts:
            images = Memo(len(settings))
            for setting in reversed(settings):  # those of more labels take longer
                shared = memos[backbone, part.number], images
                fit = partial(_answers, scoring, part, setting, backbone, methods, *shared)
                fits[f"{setting.name} {backbone}", part.number] = fit
    with recorded() as warned:
        found = run_fits(fits, n_jobs, FitCounter(progress, len(fits)))
    scores = []
    for setting in settings:
        of_setting = {
            backbone: [found[f"{setting.name} {backbone}", part.number] for part in parts]
            for backbone in pair.target.names
        }
        scores.append(_score(scoring, setting, methods, of_setting))
    return scores, warned.by_model()


def _source_memos(scoring: Scoring) -> dict[tuple[str, int], Memo]:
    """Return a memo for each backbone and fold, one and the same where folds have the same source rows."""
    made: dict[tuple[str, bytes], Memo] = {}
    return {
        (backbone, part.number): made.setdefault((backbone, part.source.tobytes()), Memo())
        for backbone in scoring.pair.target.names
        for part in scoring.parts
    }


def _answers(
    scoring: Scoring,
    part: FoldPart,
    setting: Setting,
    backbone: str,
    methods: Sequence[Method],
    of_source: Memo,
    of_images: Memo,
) -> dict[str, Answer | str]:
    """Fit every method and have it answer for the test part; of one that cannot serve, say why not."""
    domains = domains_of(scoring.pair, part, setting, backbone, scoring.seed, of_source, of_images)
    tested: Matrix = scoring.pair.target.blocks[backbone][part.fold.test]
    found = {method.name: answer(method, domains, tested) for method in methods}
    of_images.leave()
    return found


def answer(method: Method, domains: Domains, tested: Matrix) -> Answer | str:
    """Fit a method and have it answer for ``(n, dim)`` test images; where it cannot serve, return why not."""
    reason = method.fits(domains)
    if reason is not None:
        return reason
    try:
        fitted = method.fit(domains)
    except StackError as exc:
        return str(exc)
    probabilities = np.maximum(fitted.predict_proba(tested).astype(np.float64), np.finfo(np.float64).tiny)
    return Answer(np.log(probabilities), fitted.chosen)


def _score(
    scoring: Scoring,
    setting: Setting,
    methods: Sequence[Method],
    found: Mapping[str, Sequence[Mapping[str, Answer | str]]],
) -> SettingScores:
    results: list[MethodScore] = []
    unfit: dict[str, str] = {}
    scored: dict[str, Scored] = {}
    for method in methods:
        answers = {backbone: [each[method.name] for each in own] for backbone, own in found.items()}
        reasons = [each for own in answers.values() for each in own if isinstance(each, str)]
        if reasons:
            unfit[method.name] = reasons[0]
            continue
        given = {name: [each for each in own if isinstance(each, Answer)] for name, own in answers.items()}
        own = scoring.score(method.name, {name: [each.logs for each in own] for name, own in given.items()})
        scored[method.name] = own
        results.append(
            MethodScore(
                method=method.name,
                family=method.family,
                setting=setting.name,
                score=own.score,
                backbones=own.backbones,
                chosen={name: [each.chosen for each in own] for name, own in given.items()},
            )
        )
    baselines = [each for each in results if each.family == "baseline"]
    if not baselines:
        said = "; ".join(f"{name} {why}" for name, why in unfit.items())
        message = f"no baseline can be fitted with {setting.in_words}: {said}. Use another --target-labels"
        raise StackError(message)
    best = max(baselines, key=lambda each: each.score.mean)
    effect = None
    if POOLED in scored and TARGET_ONLY in scored:
        effect = scoring.difference(scored[POOLED], scored[TARGET_ONLY])
    return SettingScores(
        setting=setting,
        results=[
            each
            if each is best
            else replace(each, difference=scoring.difference(scored[each.method], scored[best.method]))
            for each in results
        ],
        best_baseline=best.method,
        unfit=unfit,
        predictions={name: each.logs for name, each in scored.items()},
        source_effect=effect,
    )
