"""A transfer in plain words: whether source images help or hurt, and whether a method beats the best baseline."""

from __future__ import annotations

from dataclasses import dataclass

from stackbone.stack.metrics.compare import Difference
from stackbone.stack.transfer.results.scores import POOLED, SOURCE_ONLY, TARGET_ONLY, SettingScores
from stackbone.stack.transfer.results.source_worth import HELPS, HURTS, UNSURE, in_words
from stackbone.stack.transfer.results.told import Told


@dataclass(frozen=True)
class TransferVerdict:
    """One setting in a few sentences.

    Attributes
    ----------
    source : str, optional
        `HELPS`, `HURTS` or `UNSURE`: what source images do where they are simply added; None without target labels.
    effect : str
        The same in words, with numbers and interval.
    methods : str, optional
        What methods add to that; None where baselines alone were run.
    sources : str, optional
        What each of several sources does; None of one alone.
    """

    source: str | None
    effect: str
    methods: str | None
    sources: str | None = None

    @property
    def beside(self) -> str | None:
        """All but the effect; None where that is all."""
        return " ".join(each for each in (self.sources, self.methods) if each is not None) or None

    def __str__(self) -> str:
        return self.effect if self.beside is None else f"{self.effect} {self.beside}"

    def to_dict(self) -> dict[str, str | None]:
        """Return a JSON-able object."""
        return {"source": self.source, "text": str(self)}


def verdict(told: Told, scores: SettingScores) -> TransferVerdict:
    """Say what one setting shows.

    What source images do is `pooled` against `target-only`, both named before any score is known. The best method is
    named after, which flatters it; the verdict says so.
    """
    source, effect = _effect(told, scores)
    return TransferVerdict(source, f"{effect}.", _methods(told, scores), in_words(scores.sources))


def _effect(told: Told, scores: SettingScores) -> tuple[str | None, str]:
    """Return what source images do, and the sentence on it without its full stop."""
    difference = scores.source_effect
    if difference is None:
        alone = scores.result(SOURCE_ONLY).score.mean
        lacking = TARGET_ONLY if TARGET_ONLY in scores.unfit else POOLED
        why = "Without target labels" if scores.setting.shots == 0 else f"Since {lacking} could not be run"
        return None, f"{why} there is no {lacking} to compare with; {SOURCE_ONLY} scores {alone:.3f}"
    best = scores.best_method
    better = best is not None and best.difference is not None and best.difference.mean > 0 and scores.is_sure(best)
    return effect_of_source(
        difference,
        scores.result(POOLED).score.mean,
        scores.result(TARGET_ONLY).score.mean,
        use=best.method if best is not None and better else scores.best_baseline,
        more=_more(told),
    )


def effect_of_source(
    difference: Difference, pooled: float, alone: float, *, use: str = TARGET_ONLY, more: str = ""
) -> tuple[str, str]:
    """Say what source images do where they are simply added.

    Parameters
    ----------
    difference : Difference
        By how much `pooled` is better than `target-only`.
    pooled, alone : float
        Accuracy of the two, 0 to 1.
    use : str
        What scores best, which is advised where source images hurt.
    more : str
        What would tell more where nothing can be told.

    Returns
    -------
    source : str
        `HELPS`, `HURTS` or `UNSURE`.
    sentence : str
        The same in words, without its full stop.
    """
    way = "above" if difference.mean > 0 else "below"
    numbers = (
        f"{POOLED} ({pooled:.3f}) is {abs(100 * difference.mean):.1f} points {way} {TARGET_ONLY} ({alone:.3f}), "
        f"{interval(difference)}"
    )
    if difference.mean == 0:
        numbers = f"{POOLED} and {TARGET_ONLY} score the same ({alone:.3f})"
    if not difference.excludes_zero:
        return UNSURE, f"Whether source images help here cannot be told: {numbers}{more}"
    if difference.mean > 0:
        return HELPS, f"Source images help here: {numbers}"
    added = "" if use == TARGET_ONLY else ", where they are simply added"
    return HURTS, f"Source images hurt here{added}: {numbers}; use {use}"


def _methods(told: Told, scores: SettingScores) -> str | None:
    best, baseline = scores.best_method, scores.result(scores.best_baseline)
    if best is None or best.difference is None:
        return None
    n = sum(each.family != "baseline" for each in scores.results)
    against = f"the best baseline, {baseline.method} ({baseline.score.mean:.3f})"
    points = f"{abs(100 * best.difference.mean):.1f} points"
    of_all = f" among {n} methods" if n > 1 else ""
    if best.difference.mean > 0:
        which = f"the best of {n} methods, " if n > 1 else ""
        doubt = "" if scores.is_sure(best) else f", which may be chance{of_all}{_more(told)}"
        flatters = " It was named after the scores were known, which flatters it." if n > 1 else ""
        said = (
            f"{best.method} ({best.score.mean:.3f}) is {which}{points} above {against}, "
            f"{interval(best.difference)}{doubt}.{flatters}"
        )
    else:
        closest = "comes closest" if n > 1 else "scores"
        below = f"{points} below" if best.difference.mean else "no better"
        said = (
            f"No method beats {against}: {best.method} {closest} ({best.score.mean:.3f}, {below}, "
            f"{interval(best.difference)})."
        )
    worse = [
        f"{each.method} ({100 * each.difference.mean:+.1f})"
        for each in scores.results
        if each.family != "baseline" and each.difference and each.difference.mean < 0 and scores.is_sure(each)
    ]
    return f"{said} Worse than {baseline.method} beyond chance{of_all}: {', '.join(worse)}." if worse else said


def interval(difference: Difference) -> str:
    """Return the interval of a difference of accuracies in a few words."""
    if difference.low is None or difference.high is None:
        return "the same in every fold, so that no interval can be given"
    low, high = max(-100.0, 100 * difference.low), min(100.0, 100 * difference.high)
    return f"{100 * difference.confidence:.0f}% interval {low:+.1f} to {high:+.1f}"


def _more(told: Told) -> str:
    return "; more --repeats would narrow it" if told.division.can_repeat else ""
