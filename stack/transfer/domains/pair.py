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
    repeated : int
        Source images that are byte-identical to another of the source, which takes part.
    conflicting : int
        Source images that are byte-identical to another of the source whose label differs: none of them takes part.
    source_classes, target_classes : dict of str to int
        Images of each class that one domain has alone: of a partial and of an open set.
    near : int, optional
        Source images that are near copies of one of the target; None where none were looked for.
    """

    same: int
    source_classes: dict[str, int]
    target_classes: dict[str, int]
    near: int | None = None
    repeated: int = 0
    conflicting: int = 0


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
    group_by: str = "auto",
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
    group_by : str
        What groups images, as of `stack.divisions.labelled_images.label_images`.
    near : float, optional
        Least cosine, in every backbone, of near copies; by default `SAME_PICTURE`, of up to `MOST_COMPARED` images.
    split : str, optional
        Split of the target that is tested; its own groups are then left as they are.
    progress : callable, optional
        See `cache.progress.Progress`.

    Raises
    ------
    StackError
        If a domain has one image, both are the same images, or they share fewer than two classes.
    UsageError
        If `near` is no cosine.
    """
    if near is not None:
        check_threshold(near)
    _check_sizes(source, target, target_name)
    by_column = _by_column(source, target, group_by)  # of all images: what takes no part may join two that do
    kept_source, counts = _each_once(source, target, target_name)
    classes, alone = _shared_classes(source.labels[kept_source], target.labels, source.names, target_name)
    kept_source = kept_source[np.isin(source.labels[kept_source], classes)]
    kept = np.flatnonzero(np.isin(target.labels, classes))
    if by_column is not None:
        by_column = by_column[np.concatenate([kept_source, len(source) + kept])]
    source = source.take(kept_source)
    if len(kept) < len(target.rows):
        target = target.take(kept)
    together, n_near, notes = _together(source, target, by_column, near, progress)
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
        matched=Matched(counts["same"], *alone, n_near, counts["repeated"], counts["conflicting"]),
        notes=[*_notes(counts, alone, target_name), *notes],
    )


def _check_sizes(source: Source, target: Joined, target_name: str) -> None:
    named = (("source", " + ".join(source.names), len(source)), ("target", target_name, len(target.rows)))
    for what, name, n in named:
        if n < 2:
            message = (
                f"the {what} {name!r} has {counted(n, 'labelled image')}, and a transfer needs images of 2 classes in "
                "both domains. Label more of its images with `stackbone extract DATA --labels FILE.csv`"
            )
            raise StackError(message)


def _each_once(source: Source, target: Joined, target_name: str) -> tuple[Codes, dict[str, int]]:
    """Return the rows of the source that are no image of the target, each image once, and how many are left out.

    An image that several sources label differently takes no part, as within one dataset.
    """
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
    _, first, image = np.unique(ours, return_index=True, return_inverse=True)
    differs = source.labels != source.labels[first][image]
    conflicting = np.isin(image, image[differs]) & ~same
    repeated = ~same & ~conflicting & (first[image] != np.arange(len(ours)))
    left_out = {"same": same, "repeated": repeated, "conflicting": conflicting}
    rows = np.flatnonzero(~(same | repeated | conflicting))
    return rows, {name: int(each.sum()) for name, each in left_out.items()}


def _shared_classes(
    ours: NDArray[np.str_], theirs: NDArray[np.str_], sources: Sequence[str], target_name: str
) -> tuple[NDArray[np.str_], tuple[dict[str, int], dict[str, int]]]:
    """Return the classes of both domains, and how many images each has of those that it has alone."""
    shared = np.intersect1d(ours, theirs)
    if len(shared) < 2:
        found = f"share {_listed(shared)} alone" if len(shared) else "share no class"
        message = (
            f"the domains {found}: {' + '.join(sources)} has {_listed(np.unique(ours))}; "
            f"{target_name} has {_listed(np.unique(theirs))}. A transfer needs 2 classes that both have "
            "under one name: rename labels with `stackbone extract DATA --labels FILE.csv`"
        )
        raise StackError(message)
    return shared, (_alone(ours, shared), _alone(theirs, shared))


def _alone(labels: NDArray[np.str_], shared: NDArray[np.str_]) -> dict[str, int]:
    names, counts = np.unique(labels[~np.isin(labels, shared)], return_counts=True)
    return dict(zip(map(str, names), map(int, counts), strict=True))


def _by_column(source: Source, target: Joined, group_by: str) -> Codes | None:
    """Return the groups of the images of both domains, those of the source first; None where nothing groups them.

    Images of one group, of groups of one name, and byte-identical ones belong together.
    """
    if source.groups is None and target.groups is None:
        return None
    own = np.full(len(source), -1) if source.groups is None else source.groups
    theirs = np.full(len(target.rows), -1) if target.groups is None else target.groups
    # Domains in one dataset have groups of one numbering; those of two are told apart but by their names.
    apart = 0 if source.is_same_dataset else int(own.max(initial=-1)) + 1
    columns: list[NDArray[np.generic]] = [np.concatenate([own, np.where(theirs < 0, -1, theirs + apart)])]
    names = None if source.is_same_dataset else group_names(target, group_by)
    if source.group_names is not None and names is not None:
        columns.append(np.concatenate([source.group_names, names]))
    _, image = np.unique(as_keys(np.concatenate([source.digests, target.digests])), return_inverse=True)
    return join_groups(*columns, image)


def _together(
    source: Source, target: Joined, by_column: Codes | None, near: float | None, progress: Progress | None
) -> tuple[Codes | None, int | None, list[str]]:
    """Return which images of both domains belong together, by group and by look; None where none do.

    Source images come first, as in `by_column`.
    """
    n, m = len(source), len(target.rows)
    columns: list[NDArray[np.generic]] = [] if by_column is None else [by_column]
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


def _notes(
    counts: Mapping[str, int], alone: tuple[Mapping[str, int], Mapping[str, int]], target_name: str
) -> list[str]:
    notes = []
    why = {
        "same": f"byte-identical to images of {target_name} and left out of the source",
        "repeated": "in several sources and counted once",
        "conflicting": "in several sources under different labels and left out",
    }
    for name, n_images in counts.items():
        if n_images:
            be = "is" if n_images == 1 else "are"
            notes.append(f"{counted(n_images, 'source image')} {be} {why[name]}")
    for whose, classes in zip(("source", "target"), alone, strict=True):
        if classes:
            those = _listed(list(classes))
            n = counted(sum(classes.values()), "image")
            fate = {"source": "not learnt", "target": "neither learnt nor tested: no source image shows them"}[whose]
            notes.append(f"{counted(len(classes), 'class', 'classes')} of the {whose} alone ({those}; {n}): {fate}")
    return notes


def _listed(names: Sequence[str] | NDArray[np.str_]) -> str:
    """Return the first few names as a message says them."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(str(name)) for name in names[:_SHOWN]) + more
