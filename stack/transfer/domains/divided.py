"""Two domains matched, with the target's images that have no label, and divided; where these prevent it, a way out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stackbone.cache import StackError
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.division import Division
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.groups import SAME_PICTURE
from stackbone.stack.transfer.domains.pair import DomainPair, match_domains
from stackbone.stack.transfer.domains.parts import FoldPart, divide_target
from stackbone.stack.transfer.domains.reading import Asked, Source
from stackbone.stack.transfer.domains.shared_classes import listed
from stackbone.stack.transfer.domains.unlabelled import with_unlabelled
from stackbone.stack.transfer.method import Codes

_HIGHER = (0.99, 0.995, 0.999, 0.9995)  # cosines that are tried in place of one that joins too much


def divide_domains(
    source: Source, target: Joined, asked: Asked, division: Division, progress: Progress | None = None
) -> tuple[DomainPair, list[FoldPart]]:
    """Match two domains, add the target's images without a label, and divide the target.

    Parameters
    ----------
    source, target
        As of `stack.transfer.domains.reading.read_domains`.
    asked
        Which were meant.
    division
        How the target is divided, and what near copies are.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    StackError
        If domains, labels, groups or the split do not allow it. Where they would, but for images without a label that
        join labelled ones, the message says so, and which ``--near-duplicates`` keeps them apart.
    CacheError
        If features are damaged.
    """

    def matched(near: float | None) -> DomainPair:
        return match_domains(
            source,
            target,
            target_name=asked.target,
            group_by=division.group_by,
            near=near,
            split=division.split,
            progress=progress,
        )

    def seen(near: float | None) -> DomainPair:
        return with_unlabelled(matched(near), asked, near, progress)

    near = division.near_duplicates
    labelled = matched(near)
    pair = with_unlabelled(labelled, asked, near, progress)
    try:
        return divide_target(pair, division)
    except StackError as exc:
        joining = _joining(labelled, pair)
        if not joining or not _divides(labelled, division):
            raise
        message = f"{exc}. {_without_these(joining)}: {_way_out(seen, division)}"
        raise StackError(message) from exc


def _joining(labelled: DomainPair, pair: DomainPair) -> list[str]:
    """Return the paths of the images without a label whose group joins target images to others with a label."""
    if pair.unlabelled is None or pair.unlabelled.groups is None:
        return []
    before, now = _groups(labelled), _groups(pair)
    # Each group of before lies within one of now: a group of now that appears twice among them joins several.
    held, times = np.unique(now[np.unique(before, return_index=True)[1]], return_counts=True)
    joined = np.intersect1d(held[times > 1], now[len(pair.source) :])
    is_joining = np.isin(pair.unlabelled.groups, joined)
    return [pair.unlabelled.paths[row] for row in np.flatnonzero(is_joining)]


def _groups(pair: DomainPair) -> Codes:
    """Return the group of each labelled image, source images first."""
    if pair.source_groups is None or pair.target_groups is None:
        return np.arange(len(pair.source) + len(pair.target.rows))
    return np.concatenate([pair.source_groups, pair.target_groups])


def _divides(pair: DomainPair, division: Division) -> bool:
    try:
        divide_target(pair, division, advise=False)
    except StackError:
        return False
    return True


def _without_these(joining: list[str]) -> str:
    those = f"{counted(len(joining), 'image')} without a label ({listed(joining)})"
    joins, them = ("joins", "it") if len(joining) == 1 else ("join", "them")
    return f"{those} {joins} labelled ones, as near copies or by a group, and without {them} this division is possible"


def _way_out(seen: Callable[[float], DomainPair], division: Division) -> str:
    """Return what to type for the least threshold of near copies by which the target can be divided."""
    least = division.near_duplicates or SAME_PICTURE
    works = (near for near in _HIGHER if near > least and _divides(seen(near), division))
    if (near := next(works, None)) is not None:
        words = typed("--near-duplicates", f"{near:g}")
        return f"type {words}, which takes fewer images for near copies than {least:g} does"
    return "take such images out of the data, and run `stackbone extract` on it again"
