"""Two domains matched: the classes that both have, and no image in the source that is one of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackError, as_keys
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted
from stackbone.stack.evaluation.near_copies import MOST_COMPARED
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.groups import SAME_PICTURE, check_threshold, join_groups, near_duplicates
from stackbone.stack.transfer.domains.reading import Source, group_names
from stackbone.stack.transfer.method import Codes

_SHOWN = 10


@dataclass(frozen=True)
class Matched:
    """Images and classes that take no part, counted.

    Attributes
    ----------
    same : int
        Source images that are byte-identical to one of the target.
    source_classes, target_classes : dict of str to int
        Images of each class that one domain has alone: of a partial and of an open set.
    near : int, optional
        Source images that are near copies of one of the target; None where none were looked for.
    """

    same: int
    source_classes: dict[str, int]
    target_classes: dict[str, int]
    near: int | None = None


@dataclass(frozen=True, eq=False)
class DomainPair:
    """Two domains of the same classes on the same backbones.

    Attributes
    ----------
    source : Source
        Its images.
    target : Joined
        The target's; grouped by near copies too, unless it has a split to test.
    classes : NDArray[np.str_]
        ``(n_classes,)`` names, ascending.
    source_groups, target_groups : NDArray[np.int64], optional
        ``(n,)`` ids of what belongs together, of one numbering; None where every image stands alone.
    matched : Matched
        What takes no part.
    notes : list of str
        What a reader of the scores should know, in sentences.
    """

    source: Source
    target: Joined
    classes: NDArray[np.str_]
    source_groups: Codes | None
    target_groups: Codes | None
    matched: Matched
    notes: list[str]

    @property
    def source_codes(self) -> Codes:
        """``(n_source,)`` class codes."""
        return np.searchsorted(self.classes, self.source.labels)

    @property
    def target_codes(self) -> Codes:
        """``(n_target,)`` class codes."""
        return np.searchsorted(self.classes, self.target.labels)

    @property
    def source_name(self) -> str:
        """The source in a few words."""
        return " + ".join(self.source.names)


def match_domains(
    source: Source,
    target: Joined,
    *,
    target_name: str,
    near: float | None = None,
    split: str | None = None,
    progress: Progress | None = None,
) -> DomainPair:
    """Match two domains.

    Parameters
    ----------
    source, target
        As of `stack.transfer.domains.reading.read_domains`.
    target_name : str
        What the target is called.
    near : float, optional
        Least cosine, in every backbone, of near copies; by default `SAME_PICTURE`, of up to `MOST_COMPARED` images.
    split : str, optional
        Split of the target that is tested; its own groups are then left as they are.
    progress : callable, optional
        See `cache.progress.Progress`.

    Raises
    ------
    StackError
        If the domains are the same images, share fewer than two classes, or one is left with too few images.
    UsageError
        If `near` is no cosine.
    """
    if near is not None:
        check_threshold(near)
    source, n_same = _without_copies(source, target, target_name)
    classes, alone = _shared_classes(source, target, target_name)
    source = source.take(np.flatnonzero(np.isin(source.labels, classes)))
    # `take` numbers groups anew, and those of the source must stay comparable.
    kept = np.flatnonzero(np.isin(target.labels, classes))
    if len(kept) < len(target.rows):
        groups = None if target.groups is None else target.groups[kept]
        target = replace(target.take(kept), groups=groups)
    for name, n in (("source " + " + ".join(source.names), len(source)), (f"target {target_name}", len(target.rows))):
        if n < 2:
            message = f"the {name} has {counted(n, 'image')} of the shared classes, and 2 of each are the least"
            raise StackError(message)
    together, n_near, notes = _together(source, target, near, progress)
    source_groups = None if together is None else together[: len(source)]
    target_groups = None if together is None else together[len(source) :]
    if split is None:
        target = replace(target, groups=target_groups)
    return DomainPair(
        source=source,
        target=target,
        classes=classes,
        source_groups=source_groups,
        target_groups=target_groups,
        matched=Matched(n_same, *alone, n_near),
        notes=[*_notes(n_same, alone, target_name), *notes],
    )


def _without_copies(source: Source, target: Joined, target_name: str) -> tuple[Source, int]:
    """Leave out the images of the source that are those of the target, to the byte."""
    theirs, ours = as_keys(target.digests), as_keys(source.digests)
    same = np.isin(ours, theirs)
    n_known = int(np.isin(theirs, ours).sum())
    if same.all() or n_known == len(theirs):
        what = "every image of the source" if same.all() else "every image of the target"
        where = f"the target {target_name!r}" if same.all() else f"the source {' + '.join(source.names)!r}"
        message = (
            f"{what} is in {where} too, to the byte: what is tested would be learnt from under its label. Name two "
            "domains of different images; `stackbone stack` scores one dataset by itself"
        )
        raise StackError(message)
    return source.take(np.flatnonzero(~same)), int(same.sum())


def _shared_classes(
    source: Source, target: Joined, target_name: str
) -> tuple[NDArray[np.str_], tuple[dict[str, int], dict[str, int]]]:
    """Return the classes of both domains, and how many images each has of those that it has alone."""
    shared = np.intersect1d(source.labels, target.labels)
    if len(shared) < 2:
        found = f"share {_listed(shared)} alone" if len(shared) else "share no class"
        message = (
            f"the domains {found}: {' + '.join(source.names)} has {_listed(np.unique(source.labels))}; "
            f"{target_name} has {_listed(np.unique(target.labels))}. A transfer needs 2 classes that both have "
            "under one name: rename labels with `stackbone extract DATA --labels FILE.csv`"
        )
        raise StackError(message)
    return shared, (_alone(source.labels, shared), _alone(target.labels, shared))


def _alone(labels: NDArray[np.str_], shared: NDArray[np.str_]) -> dict[str, int]:
    names, counts = np.unique(labels[~np.isin(labels, shared)], return_counts=True)
    return dict(zip(map(str, names), map(int, counts), strict=True))


def _together(
    source: Source, target: Joined, near: float | None, progress: Progress | None
) -> tuple[Codes | None, int | None, list[str]]:
    """Return which images of both domains belong together, by group, name of group and look; None where none do.

    Source images come first.
    """
    n, m = len(source), len(target.rows)
    columns: list[NDArray[np.generic]] = []
    if source.groups is not None or target.groups is not None:
        own = np.full(n, -1) if source.groups is None else source.groups
        theirs = np.full(m, -1) if target.groups is None else target.groups
        # Domains in one dataset have groups of one numbering; those of two are told apart but by their names.
        apart = 0 if source.is_same_dataset else int(own.max(initial=-1)) + 1
        columns.append(np.concatenate([own, np.where(theirs < 0, -1, theirs + apart)]))
        names = None if source.is_same_dataset else group_names(target)
        if source.group_names is not None and names is not None:
            columns.append(np.concatenate([source.group_names, names]))
    notes: list[str] = []
    n_near = None
    if near is None and n + m > MOST_COMPARED:
        notes.append(
            f"near copies are not searched for above {MOST_COMPARED:,} images; --near-duplicates {SAME_PICTURE:g} "
            "does, and is slow"
        )
    else:
        blocks = {name: np.concatenate([source.blocks[name], target.blocks[name]]) for name in target.names}
        found = near_duplicates(blocks, near or SAME_PICTURE, progress=progress)
        straddling = np.intersect1d(found[:n], found[n:])
        n_near = int(np.isin(found[:n], straddling[straddling >= 0]).sum())
        if (found >= 0).any():
            columns.append(found)
    return (join_groups(*columns) if columns else None), n_near, notes


def _notes(n_same: int, alone: tuple[Mapping[str, int], Mapping[str, int]], target_name: str) -> list[str]:
    notes = []
    if n_same:
        be = "is" if n_same == 1 else "are"
        notes.append(
            f"{counted(n_same, 'source image')} {be} byte-identical to images of {target_name} and left out of the "
            "source"
        )
    for whose, classes in zip(("source", "target"), alone, strict=True):
        if classes:
            those = _listed(list(classes))
            n = counted(sum(classes.values()), "image")
            why = {"source": "not learnt", "target": "neither learnt nor tested: no source image shows them"}[whose]
            notes.append(f"{counted(len(classes), 'class', 'classes')} of the {whose} alone ({those}; {n}): {why}")
    return notes


def _listed(names: Sequence[str] | NDArray[np.str_]) -> str:
    """Return the first few names as a message says them."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(str(name)) for name in names[:_SHOWN]) + more
