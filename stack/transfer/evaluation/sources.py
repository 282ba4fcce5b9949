"""What each of several sources is worth: every one alone, and every one left out, on the same folds of the target.

A source's images are simply added, as the baselines do: to the target's shown labels where there are any, else to those
of the other sources. So nothing is learnt from, or chosen by, another label than the setting shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from stackbone.cache.progress import Progress
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.transfer.domains.parts import FoldPart, domains_of
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.evaluation.comparing import Scored, Scoring
from stackbone.stack.transfer.evaluation.evaluate import Answer, answer
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.scores import POOLED, SOURCE_ONLY, TARGET_ONLY, SettingScores
from stackbone.stack.transfer.results.source_worth import SourceWorth

Sources = tuple[int, ...]
"""Some of the sources, by number, ascending."""


def weigh_sources(
    scoring: Scoring,
    scores: Sequence[SettingScores],
    *,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[SettingScores], dict[str, list[str]]]:
    """Judge each source by itself and beside the others; of one source there is nothing to tell.

    Two sources take two further fits of a baseline for each setting, backbone and fold, K more take 2 K.

    Parameters
    ----------
    scoring : Scoring
        The folds.
    scores : sequence of SettingScores
        Of all sources together.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    progress : callable, optional
        See `cache.progress.Progress`.

    Returns
    -------
    scores : list of SettingScores
        The same with what each source is worth.
    warnings : dict of str to list of str
        What solvers warned of, by setting, backbone and sources.
    """
    names = scoring.pair.source.names
    if len(names) < 2:
        return list(scores), {}
    every = range(len(names))
    asked = dict.fromkeys(some for number in every for some in ((number,), _others(every, number)))
    fits: dict[tuple[str, int], Callable[[], Answer | str]] = {
        (_key(scores_of.setting, backbone, names, some), part.number): partial(
            _answer, scoring, part, scores_of.setting, backbone, _learner(scores_of), some
        )
        for backbone in scoring.pair.target.names
        for some in asked
        for part in scoring.parts
        for scores_of in reversed(scores)
    }
    with recorded() as warned:
        found = run_fits(fits, n_jobs, FitCounter(progress, len(fits)))
    weighed = []
    for one in scores:
        learnt: dict[Sources, Scored | str] = {}
        for some in asked:
            answers = {
                backbone: [found[_key(one.setting, backbone, names, some), part.number] for part in scoring.parts]
                for backbone in scoring.pair.target.names
            }
            learnt[some] = _scored(scoring, _learner(one), answers)
        worths = [_worth(scoring, one, number, learnt) for number in every]
        weighed.append(replace(one, sources=worths))
    return weighed, warned.by_model()


def _others(every: Sequence[int], number: int) -> Sources:
    return tuple(each for each in every if each != number)


def _key(setting: Setting, backbone: str, names: Sequence[str], some: Sources) -> str:
    return f"{setting.name} {backbone} from {' + '.join(names[number] for number in some)}"


def _learner(scores: SettingScores) -> str:
    """Return the baseline that learns from sources: with the target's labels where the setting shows enough."""
    ran = [each.method for each in scores.results]
    return POOLED if POOLED in ran else SOURCE_ONLY


def _answer(
    scoring: Scoring, part: FoldPart, setting: Setting, backbone: str, learner: str, some: Sources
) -> Answer | str:
    """Have a baseline learn from some of the sources, and answer for the test part."""
    held = scoring.pair.source.held_by[part.source][:, some].any(axis=1)
    domains = domains_of(scoring.pair, replace(part, source=part.source[held]), setting, backbone, scoring.seed)
    return answer(METHODS[learner], domains, scoring.pair.target.blocks[backbone][part.fold.test])


def _scored(scoring: Scoring, learner: str, answers: Mapping[str, Sequence[Answer | str]]) -> Scored | str:
    """Score what a baseline learnt; where it could not, return why."""
    reasons = [each for own in answers.values() for each in own if isinstance(each, str)]
    if reasons:
        return reasons[0]
    logs = {name: [each.logs for each in own if isinstance(each, Answer)] for name, own in answers.items()}
    return scoring.score(learner, logs)


def _worth(scoring: Scoring, scores: SettingScores, number: int, learnt: Mapping[Sources, Scored | str]) -> SourceWorth:
    source, learner = scoring.pair.source, _learner(scores)
    alone, without = learnt[number,], learnt[_others(range(len(source.names)), number)]
    why = [each for each in (without, alone) if isinstance(each, str)]
    one = None if isinstance(alone, str) else alone
    others = None if isinstance(without, str) else without
    target = _of_all(scores, TARGET_ONLY) if learner == POOLED and TARGET_ONLY in scores.predictions else None
    return SourceWorth(
        source=source.names[number],
        n_images=int(source.held_by[:, number].sum()),
        n_sources=len(source.names),
        by=learner,
        alone=None if one is None else one.score,
        without=None if others is None else others.score,
        alone_gain=None if one is None or target is None else scoring.difference(one, target),
        gain=None if others is None else scoring.difference(_of_all(scores, learner), others),
        why=why[0] if why else "",
    )


def _of_all(scores: SettingScores, method: str) -> Scored:
    """Return how a method did with all sources."""
    result = scores.result(method)
    return Scored(result.score, result.backbones, scores.predictions[method])
