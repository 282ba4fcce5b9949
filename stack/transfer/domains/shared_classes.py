"""The classes that both domains have, and each image once, under one label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import StackError, as_keys
from stackbone.cache.text import counted
from stackbone.stack.features.join import Joined
from stackbone.stack.transfer.domains.reading import Source
from stackbone.stack.transfer.method import Codes

_SHOWN = 10


@dataclass(frozen=True, eq=False)
class SharedClasses:
    """Which images of two domains take part.

    Attributes
    ----------
    source_rows, target_rows : NDArray[np.int64]
        Rows of each domain that do: images of classes that both have, none of them in both.
    classes : NDArray[np.str_]
        ``(n_classes,)`` names, ascending.
    source_alone, target_alone : dict of str to int
        Images of each class that one domain has alone.
    counts : dict of str to int
        Source images that take no part though their class does, by why: ``same``, ``repeated``, ``conflicting`` as of
        `stack.transfer.domains.pair.Matched`.
    """

    source_rows: Codes
    target_rows: Codes
    classes: NDArray[np.str_]
    source_alone: dict[str, int]
    target_alone: dict[str, int]
    counts: dict[str, int]

    def take(self, source: Source, target: Joined) -> tuple[Source, Joined]:
        """Return the images of both domains that take part."""
        if len(self.target_rows) < len(target.rows):
            target = target.take(self.target_rows)
        return source.take(self.source_rows), target


def share_classes(source: Source, target: Joined, target_name: str) -> SharedClasses:
    """Find the classes of both domains, and which images show them; parameters as of `match_domains`.

    Raises
    ------
    StackError
        If both are the same images, or they share fewer than two classes.
    """
    rows, counts = _each_once(source, target, target_name)
    classes, (ours, theirs) = _shared_classes(source.labels[rows], target.labels, source.names, target_name)
    return SharedClasses(
        source_rows=rows[np.isin(source.labels[rows], classes)],
        target_rows=np.flatnonzero(np.isin(target.labels, classes)),
        classes=classes,
        source_alone=ours,
        target_alone=theirs,
        counts=counts,
    )


def check_sizes(source: Source, target: Joined, target_name: str) -> None:
    """Refuse a domain of fewer than two labelled images."""
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
        found = f"share {listed(shared)} alone" if len(shared) else "share no class"
        message = (
            f"the domains {found}: {' + '.join(sources)} has {listed(np.unique(ours))}; "
            f"{target_name} has {listed(np.unique(theirs))}. A transfer needs 2 classes that both have "
            "under one name: rename labels with `stackbone extract DATA --labels FILE.csv`"
        )
        raise StackError(message)
    return shared, (_alone(ours, shared), _alone(theirs, shared))


def _alone(labels: NDArray[np.str_], shared: NDArray[np.str_]) -> dict[str, int]:
    names, counts = np.unique(labels[~np.isin(labels, shared)], return_counts=True)
    return dict(zip(map(str, names), map(int, counts), strict=True))


def listed(names: Sequence[str] | NDArray[np.str_]) -> str:
    """Return the first few names as a message says them."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(str(name)) for name in names[:_SHOWN]) + more
