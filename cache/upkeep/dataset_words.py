"""A dataset's numbers in words, a line for each thing that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from stackbone.cache.labels.sets import SETS
from stackbone.cache.text import counted
from stackbone.cache.upkeep.oddities.find import QUANTITIES

if TYPE_CHECKING:
    from stackbone.cache.upkeep.dataset_summary import DatasetSummary

_SHOWN_CLASSES = 12
_SHOWN_LARGEST, _SHOWN_SMALLEST = 6, 3
_LONGEST = 60  # characters of a name in a line for people


def facts_of(summary: DatasetSummary) -> list[str]:
    """Return a dataset's numbers in words."""
    tellers = (_images, _classes, _boxes, _splits, _groups, _sizes)
    return [told for each in tellers if (told := each(summary))]


def _images(summary: DatasetSummary) -> str:
    facts = [counted(summary.n_listed, "image")]
    facts += [f"{counted(summary.n_doubles, 'file')} byte-identical to another"] if summary.n_doubles else []
    facts += [f"{summary.n_failed:,} failed"] if summary.n_failed else []
    n_unlabelled = summary.n_listed - summary.n_failed - summary.n_labelled
    if n_unlabelled:
        facts.append(f"{n_unlabelled:,} without a label" if summary.n_labelled else "no labels: features only")
    return ", ".join(facts)


def _classes(summary: DatasetSummary) -> str:
    if summary.numbers:
        shown = list(summary.numbers.items())[:_SHOWN_CLASSES]
        spans = [f"{_apart(name)} {low:g} to {high:g}" for name, (low, high) in shown]
        spans += [f"and {len(summary.numbers) - len(shown):,} more"] if len(summary.numbers) > len(shown) else []
        return f"{counted(len(summary.numbers), 'number')} of each labelled image: {', '.join(spans)}"
    if not summary.classes:
        return ""
    ranked = _ranked(summary.classes)
    title = counted(len(ranked), "class", "classes")
    if summary.label_form == SETS:
        mean = sum(summary.classes.values()) / summary.n_labelled
        title = f"{counted(len(ranked), 'label')}, {mean:.2g} per labelled image on average"
    if len(ranked) <= _SHOWN_CLASSES:
        return f"{title}: {_named(ranked)}"
    if any(oddity.kind == QUANTITIES for oddity in summary.oddities):
        numbers = sorted(summary.classes, key=float)
        return f"{len(ranked):,} different numbers as labels, from {numbers[0]} to {numbers[-1]}"
    most, least = ranked[0][1], ranked[-1][1]
    if most == least:
        return f"{title} of {counted(most, 'image')} each, such as {_named(ranked[:_SHOWN_SMALLEST])}"
    return (
        f"{title} of {least:,} to {most:,} images, {np.median([n for _, n in ranked]):g} in the median; largest: "
        f"{_named(ranked[:_SHOWN_LARGEST])}; smallest: {_named(ranked[-_SHOWN_SMALLEST:])}"
    )


def _boxes(summary: DatasetSummary) -> str:
    if summary.boxes is None:
        return ""
    ranked = _ranked(summary.boxes)
    more = f", and {len(ranked) - _SHOWN_CLASSES:,} more" if len(ranked) > _SHOWN_CLASSES else ""
    classes = f": {_named(ranked[:_SHOWN_CLASSES])}{more}" if ranked else ""
    n = counted(sum(summary.boxes.values()), "box", "boxes")
    return f"{n} on {counted(summary.n_boxed, 'annotated image')}{classes}"


def _splits(summary: DatasetSummary) -> str:
    named = _ranked({name: n for name, n in summary.splits.items() if name})
    if not named:
        return ""
    rest = f", none {summary.splits['']:,}" if summary.splits.get("") else ""
    more = f", and {len(named) - _SHOWN_CLASSES:,} more" if len(named) > _SHOWN_CLASSES else ""
    return f"{counted(len(named), 'split')}: {_named(named[:_SHOWN_CLASSES])}{more}{rest}"


def _groups(summary: DatasetSummary) -> str:
    if not summary.groups:
        return ""
    (name, largest), *_ = _ranked(summary.groups)
    n_without = summary.n_listed - summary.n_failed - sum(summary.groups.values())
    rest = f"; {counted(n_without, 'image')} without a group" if n_without else ""
    return f"{counted(len(summary.groups), 'group')}, the largest {_short(name)} with {largest:,}{rest}"


def _sizes(summary: DatasetSummary) -> str:
    if summary.sizes is None:
        return ""
    measured = f"; {summary.sizes.n_measured:,} were measured" if summary.sizes.n_measured < summary.n_images else ""
    if summary.sizes.smallest == summary.sizes.largest:
        return f"sizes: {_by(summary.sizes.median)} pixels{measured}"
    spread = f"from {_by(summary.sizes.smallest)} to {_by(summary.sizes.largest)}"
    return f"sizes: {_by(summary.sizes.median)} pixels in the median, {spread}{measured}"


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], each[0]))


def _named(ranked: Sequence[tuple[str, int]]) -> str:
    return ", ".join(f"{_apart(name)} {n:,}" for name, n in ranked)


def _apart(name: str) -> str:
    """Return a name that a number can follow."""
    short = _short(name)
    return short if any(map(str.isalpha, short)) else repr(short)


def _short(name: str) -> str:
    short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."
    return short if short == short.strip() and ", " not in short else repr(short)  # or nobody sees where it ends


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]:,} x {size[1]:,}"
