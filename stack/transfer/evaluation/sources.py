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
from stackbone.stack.transfer.memo import Memo
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.scores import POOLED, SOURCE_ONLY, TARGET_ONLY, SettingScores
from stackbone.stack.transfer.results.source_worth import SourceWorth, judged_together

Sources = tuple[int, ...]
"""Some of the sources, by number, ascending."""

MOST_JUDGED = 12
"""Sources that are judged each; of more it would take longer than all else."""


def not_judged(scoring: Scoring) -> str | None:
    """Return in a sentence that the sources are too many to judge each; None where they are not."""
    n = len(scoring.pair.source.names)
    if n <= MOST_JUDGED:
        return None
    return (
        f"what each of {n:,} sources is worth is not told: above {MOST_JUDGED} sources it would take {2 * n:,} further "
        "fits of a baseline for each setting, backbone and fold. Name fewer with --source to tell it"
    )


def weigh_sources(
    scoring: Scoring,
    scores: Sequence[SettingScores],
    *,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[list[SettingScores], dict[str, list[str]]]:
    """Judge each source by itself and beside the others; of one source, or of more than `MOST_JUDGED`, tell nothing.

    Two sources take two further fits of a baseline for each setting, backbone and fold, K more take 2 K; what is learnt
    of source images alone is learnt once for all folds that have the same.

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
    if not 2 <= len(names) <= MOST_JUDGED:
        return list(scores), {}
    every = range(len(names))
    asked = dict.fromkeys(some for number in every for some in ((number,), _others(every, number)))
    taken = {some: [_of_some(scoring, part, some) for part in scoring.parts] for some in asked}
    memos: dict[tuple[str, bytes], Memo] = {}
    fits: dict[tuple[str, int], Callable[[], Answer | str]] = {}
    for backbone in scoring.pair.target.names:
        for some, parts in taken.items():
            for part in parts:
                memo = memos.setdefault((backbone, part.source.tobytes()), Memo())
                for one in reversed(scores):
                    fit = partial(_answer, scoring, part, one.setting, backbone, _learner(one), memo)
                    fits[_key(one.setting, backbone, names, some), part.number] = fit
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
        weighed.append(replace(one, sources=judged_together(worths)))
    return weighed, warned.by_model()


def _others(every: Sequence[int], number: int) -> Sources:
    return tuple(each for each in every if each != number)


def _key(setting: Setting, backbone: str, names: Sequence[str], some: Sources) -> str:
    """Return a name of one source alone, or of all but one, that no other has: quoted, as a source may have any."""
    left_out = next(name for number, name in enumerate(names) if number not in some)
    which = repr(names[some[0]]) if len(some) == 1 else f"all but {left_out!r}"
    return f"{setting.name} {backbone} from {which}"


def _learner(scores: SettingScores) -> str:
    """Return the baseline that learns from sources: with the target's labels where the setting shows enough."""
    ran = [each.method for each in scores.results]
    return POOLED if POOLED in ran else SOURCE_ONLY


def _of_some(scoring: Scoring, part: FoldPart, some: Sources) -> FoldPart:
    """Return a fold that learns from some of the sources."""
    held = scoring.pair.source.held_by[part.source][:, some].any(axis=1)
    return replace(part, source=part.source[held])


def _answer(
    scoring: Scoring, part: FoldPart, setting: Setting, backbone: str, learner: str, of_source: Memo
) -> Answer | str:
    """Have a baseline learn from the sources of a fold, and answer for its test part."""
    domains = domains_of(scoring.pair, part, setting, backbone, scoring.seed, of_source)
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
    one = None if isinstance(alone, str) else alone
    others = None if isinstance(without, str) else without
    target = _of_all(scores, TARGET_ONLY) if learner == POOLED and TARGET_ONLY in scores.predictions else None
    return SourceWorth(
        source=source.names[number],
        n_images=int(source.held_by[:, number].sum()),
        by=learner,
        alone=None if one is None else one.score,
        without=None if others is None else others.score,
        alone_gain=None if one is None or target is None else scoring.difference(one, target),
        gain=None if others is None else scoring.difference(_of_all(scores, learner), others),
        why_alone=alone if isinstance(alone, str) else "",
        why_without=without if isinstance(without, str) else "",
    )


def _of_all(scores: SettingScores, method: str) -> Scored:
    """Return how a method did with all sources."""
    result = scores.result(method)
    return Scored(result.score, result.backbones, scores.predictions[method])
