"""A transfer as a table for people and as rows for programs."""

from __future__ import annotations

from stackbone.cache.text import counted
from stackbone.stack.metrics.compare import Difference
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.scores import TARGET_ONLY, MethodScore, SettingScores
from stackbone.stack.transfer.results.source_worth import HURTS
from stackbone.stack.transfer.results.told import Told


def title(told: Told, scores: SettingScores) -> str:
    """Return what was evaluated and how, in one line."""
    n_source, n_target = (counted(n, "image") for n in (told.n_source, told.n_target))
    return (
        f"{told.source} ({n_source}) to {told.target} ({n_target}), "
        f"{counted(len(told.class_names), 'class', 'classes')}, {how(told)}; {scores.setting.in_words}"
    )


def how(told: Told) -> str:
    """Return how the target was divided, in a few words."""
    division = told.division
    if division.split is not None:
        return f"tested on the target's {division.split!r}"
    return f"{division.in_words()} of the target, seed {division.seed}"


def header(told: Told, scores: SettingScores) -> list[str]:
    """Return the table's column titles."""
    spread = ["± std"] if told.n_folds > 1 else []
    names = list(told.backbones)
    alone = names if len(names) > 1 else []
    return ["method", "accuracy", *spread, f"against {scores.best_baseline}", "95% interval", *alone, "family", "what"]


def rows(told: Told, scores: SettingScores) -> list[list[str]]:
    """Return a row of cells for each method, in the order of `header`; differences are in points."""
    return [_row(told, each) for each in scores.results]


def _row(told: Told, result: MethodScore) -> list[str]:
    score = result.score
    spread = [f"{score.std:.3f}"] if told.n_folds > 1 else []
    alone = [f"{each.mean:.3f}" for each in result.backbones.values()] if len(result.backbones) > 1 else []
    what = METHODS[result.method].what
    return [result.method, f"{score.mean:.3f}", *spread, *_points(result.difference), *alone, result.family, what]


def source_header(scores: SettingScores) -> list[str]:
    """Return the column titles of the table of sources."""
    alone, added = ["alone", f"against {TARGET_ONLY}", "its interval"], ["all others", "it adds", "95% interval"]
    return ["source", "images", *alone, *added, "verdict"]


def source_rows(scores: SettingScores) -> list[list[str]]:
    """Return a row of cells for each of several sources, in the order of `source_header`; differences are in points."""
    return [
        [
            each.source,
            f"{each.n_images:,}",
            _mean(each.alone),
            *_points(each.alone_gain),
            _mean(each.without),
            *_points(each.gain),
            each.verdict,
        ]
        for each in scores.sources
    ]


def source_title(scores: SettingScores) -> str:
    """Return what the table of sources tells."""
    return f"Each source by {scores.sources[0].by}, {scores.setting.in_words}"


def source_footnotes(scores: SettingScores) -> list[str]:
    """Return a line on each accuracy that the table of sources lacks, and one on choosing by it where a source hurts.

    Of a source without an image the verdict tells.
    """
    notes = []
    for each in scores.sources:
        unlearnt = [
            (f"{each.source!r} alone", each.alone, each.why_alone),
            (f"without {each.source!r} the others", each.without, each.why_without),
        ]
        for which, score, why in unlearnt if each.n_images else []:
            if score is None:
                notes.append(f"{which} cannot be learnt from{f': {why}' if why else ''}")
    if any(each.verdict == HURTS for each in scores.sources):
        notes.append(
            "leaving out a source by this table chooses by the labels of tested images, which flatters the scores "
            "after it: judge them on other images of the target"
        )
    return notes


def _mean(score: ModelScore | None) -> str:
    return "-" if score is None else f"{score.mean:.3f}"


def _points(difference: Difference | None) -> list[str]:
    """Return a difference and the ends of its interval, in points."""
    if difference is None:
        return ["-", "-"]
    if difference.low is None or difference.high is None:
        return [f"{100 * difference.mean:+.1f}", "-"]
    return [f"{100 * difference.mean:+.1f}", f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"]


def footnotes(scores: SettingScores) -> list[str]:
    """Return a line on the methods that cannot serve, by reason, and one on what is refused of an open set."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in scores.unfit.items():
        by_reason.setdefault(reason, []).append(name)
    refused = [] if scores.refusals is None else [scores.refusals.line]
    return [*(f"not run: {', '.join(names)}: {reason}" for reason, names in by_reason.items()), *refused]


def transfer_rows(told: Told) -> list[dict[str, object]]:
    """Return a row for each setting and method, all with the same columns, with all digits and every fold."""
    found: list[dict[str, object]] = []
    for scores in told.scores:
        for each in scores.results:
            difference = each.difference
            row: dict[str, object] = {
                "setting": each.setting,
                "method": each.method,
                "family": each.family,
                "accuracy": each.score.mean,
                "std": each.score.std,
                "against": scores.best_baseline,
                "difference": None if difference is None else difference.mean,
                "low": None if difference is None else difference.low,
                "high": None if difference is None else difference.high,
            }
            row |= {name: sum(values) / len(values) for name, values in each.score.metrics.items()}
            row |= {f"accuracy:{name}": own.mean for name, own in each.backbones.items()}
            row |= {f"fold_{number}": value for number, value in enumerate(each.score.folds, start=1)}
            found.append(row)
    shared = [name for name in found[0] if all(name in row for row in found)]
    return [{name: row[name] for name in shared} for row in found]
