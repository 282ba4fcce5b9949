"""Two domains matched: the classes that both have, and no image in the source that is one of the target."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import as_keys
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted
from stackbone.stack.evaluation.near_copies import MOST_COMPARED
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.groups import SAME_PICTURE, check_threshold, join_groups, near_duplicates
from stackbone.stack.transfer.domains.reading import Source, group_names
from stackbone.stack.transfer.domains.shared_classes import SharedClasses, check_sizes, listed, share_classes
from stackbone.stack.transfer.method import Codes

if TYPE_CHECKING:
    from stackbone.stack.transfer.domains.unlabelled import Unlabelled


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
    unknown : Joined, optional
        The target's images of classes that the source lacks; None where there is none.
    unlabelled : Unlabelled, optional
        The target's images without a label; None where there is none.
    """

    source: Source
    target: Joined
    classes: NDArray[np.str_]
    source_groups: Codes | None
    target_groups: Codes | None
    matched: Matched
    notes: list[str]
    unknown: Joined | None = None
    unlabelled: Unlabelled | None = None

    @property
    def source_codes(self) -> Codes:
        """``(n_source,)`` class codes."""
        return np.searchsorted(self.classes, self.source.labels)

    @property
    def target_codes(self) -> Codes:
        """``(n_target,)`` class codes."""
        return np.searchsorted(self.classes, self.target.labels)

    @property
    def images_sha256(self) -> str:
        """SHA-256 of the digests and labels of both domains, image by image: which images take part, and as what."""
        found = hashlib.sha256()
        for digests, labels in ((self.source.digests, self.source.labels), (self.target.digests, self.target.labels)):
            for digest, label in zip(digests, labels, strict=True):
                found.update(digest.tobytes() + str(label).encode() + b"\0")
            found.update(b"\0")
        return found.hexdigest()

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
    check_sizes(source, target, target_name)
    by_column = _by_column(source, target, group_by)  # of all images: what takes no part may join two that do
    shared = share_classes(source, target, target_name)
    if by_column is not None:
        by_column = by_column[np.concatenate([shared.source_rows, len(source) + shared.target_rows])]
    strange = np.setdiff1d(np.arange(len(target.rows)), shared.target_rows)
    unknown = target.take(strange) if len(strange) else None
    source, target = shared.take(source, target)
    together, n_near, notes = _together(source, target, by_column, near, progress)
    source_groups = None if together is None else together[: len(source)]
    target_groups = None if together is None else together[len(source) :]
    if split is None:
        target = replace(target, groups=target_groups)
    return DomainPair(
        source=source,
        target=target,
        classes=shared.classes,
        source_groups=source_groups,
        target_groups=target_groups,
        matched=Matched(
            same=shared.counts["same"],
            source_classes=shared.source_alone,
            target_classes=shared.target_alone,
            near=n_near,
            repeated=shared.counts["repeated"],
            conflicting=shared.counts["conflicting"],
        ),
        notes=[*_notes(shared, target_name), *notes],
        unknown=unknown,
    )


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


def _notes(shared: SharedClasses, target_name: str) -> list[str]:
    notes = []
    why = {
        "same": f"byte-identical to images of {target_name} and left out of the source",
        "repeated": "in several sources and counted once",
        "conflicting": "in several sources under different labels and left out",
    }
    for name, n_images in shared.counts.items():
        if n_images:
            be = "is" if n_images == 1 else "are"
            notes.append(f"{counted(n_images, 'source image')} {be} {why[name]}")
    for whose, classes in (("source", shared.source_alone), ("target", shared.target_alone)):
        if classes:
            those = listed(list(classes))
            n = counted(sum(classes.values()), "image")
            fate = {"source": "not learnt", "target": "neither learnt nor tested: no source image shows them"}[whose]
            notes.append(f"{counted(len(classes), 'class', 'classes')} of the {whose} alone ({those}; {n}): {fate}")
    return notes
