"""The target's images to which its dataset gives no label: seen in training, as those whose label is hidden are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, as_keys
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted
from stackbone.stack.divisions.further_columns import find_column
from stackbone.stack.divisions.labelled_images import named_groups
from stackbone.stack.evaluation.near_copies import MOST_COMPARED
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.groups import SAME_PICTURE, join_groups, near_duplicates
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.reading import Asked
from stackbone.stack.transfer.method import Codes, Matrix


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Images of the target without a label; none of them is tested.

    Attributes
    ----------
    digests : Digests
        ``(n, 32)`` SHA-256 of each image.
    blocks : dict of str to NDArray[np.float32]
        ``(n, dim)`` features by backbone.
    groups : NDArray[np.int64]
        ``(n,)`` group of each image, -1 for none, of the numbering of `LabelledImages.file_groups`.
    names, names_known : NDArray[np.str_]
        ``(n,)`` name of each image's group, empty for none; and ``(n_listed,)`` those of the labelled images.
    near : NDArray[np.int64]
        ``(n,)`` near copies have one number, -1 for an image without any.
    near_known : NDArray[np.int64]
        ``(n_listed,)`` the same numbers of the labelled images, by row of the dataset's index.
    """

    digests: Digests
    blocks: dict[str, Matrix]
    groups: Codes
    names: NDArray[np.str_]
    names_known: NDArray[np.str_]
    near: Codes
    near_known: Codes

    def __len__(self) -> int:
        return len(self.digests)

    def apart_from(self, target: Joined, tested: Codes) -> Codes:
        """Return the rows of the images that are no near copies of tested ones, and of no group with them.

        `tested` are rows of `target`, which is of the dataset that these images are of.
        """
        listed = target.rows[tested]
        columns = ((self.groups, target.file_groups[listed]), (self.near, self.near_known[listed]))
        belongs = np.logical_or.reduce([(own >= 0) & np.isin(own, theirs) for own, theirs in columns])
        return np.flatnonzero(~belongs)

    def join(
        self,
        source_names: NDArray[np.str_],
        source_groups: Codes | None,
        listed: Codes,
        target_groups: Codes | None,
        rows: Codes,
    ) -> tuple[Codes | None, Codes | None]:
        """Return the groups of source images, and those of target images with some of these images after them.

        Images of one group and near copies belong together, with a label or without.

        Parameters
        ----------
        source_names
            ``(n_source,)`` names of the source images' groups, empty for none.
        listed
            ``(n_target,)`` rows of the dataset's index that the labelled images of the target are.
        source_groups, target_groups
            Groups of both, of one numbering; None where each image stands alone.
        rows
            Which of these images.

        Returns
        -------
        source_groups, target_groups : NDArray[np.int64] or None
            ``(n_source,)`` and ``(n_target + n_rows,)``, of one numbering; None where each image stands alone.
        """
        n = len(source_names)
        names = np.concatenate([source_names, self.names_known[listed], self.names[rows]])
        near = np.concatenate([np.full(n, -1), self.near_known[listed], self.near[rows]])
        if source_groups is not None and target_groups is not None:
            known = np.concatenate([source_groups, target_groups, np.full(len(rows), -1)])
            joined = join_groups(known, names, near)
        else:
            joined = join_groups(names, near)
            if len(np.unique(joined)) == len(joined):
                return None, None
        return joined[:n], joined[n:]


def with_unlabelled(
    pair: DomainPair, asked: Asked, near: float | None = None, progress: Progress | None = None
) -> DomainPair:
    """Return the pair with the target's images that have no label, counted; as it is where there are none.

    Images that are byte-identical to a labelled one of either domain, and those of the split that is tested, take no
    part.

    Parameters
    ----------
    pair, asked
        The domains, and which were meant.
    near
        Least cosine of near copies, as of `stack.transfer.domains.pair.match_domains`.
    progress
        See `cache.progress.Progress`.

    Raises
    ------
    CacheError
        If features are damaged.
    """
    rows = _rows(pair, asked)
    if not len(rows):
        return pair
    target, index = pair.target, pair.target.index
    digests: Digests = index.image_sha256[rows]
    blocks = {name: each.load(digests) for name, each in target.feature_sets.items()}
    n = len(target.rows)
    found = np.full(n + len(rows), -1)
    if near is not None or n + len(rows) <= MOST_COMPARED:
        both = {name: np.concatenate([target.blocks[name], blocks[name]]) for name in target.names}
        found = near_duplicates(both, near or SAME_PICTURE, progress=progress)
    near_known = np.full(len(index), -1)
    near_known[target.rows] = found[:n]
    names = named_groups(index, asked.group_by)
    names_known = np.full(len(index), "", names.dtype)
    names_known[target.rows] = names[target.rows]
    unlabelled = Unlabelled(digests, blocks, target.file_groups[rows], names[rows], names_known, found[n:], near_known)
    left_out = {**target.left_out, "unlabelled": max(0, target.left_out["unlabelled"] - len(rows))}
    those, take = ("takes", "is") if len(rows) == 1 else ("take", "are")
    note = (
        f"{counted(len(rows), 'target image')} without a label {those} part as images whose label is hidden, and "
        f"{take} never tested"
    )
    notes = [*pair.notes, note]
    if near is None and n + len(rows) > MOST_COMPARED:
        notes.append(
            f"near copies of tested images are not searched for among those without a label above {MOST_COMPARED:,} "
            f"target images; --near-duplicates {SAME_PICTURE:g} does, and is slow"
        )
    return replace(pair, unlabelled=unlabelled, target=replace(target, left_out=left_out), notes=notes)


def _rows(pair: DomainPair, asked: Asked) -> NDArray[np.int64]:
    """Return the rows of the index of the images that take part, each image once."""
    index = pair.target.index
    labels = np.array(index.label, np.str_)
    takes_part = index.ok & (labels == "")
    if asked.column is not None:
        takes_part &= np.array(list(find_column(index, "--domain-column", asked.column)), np.str_) == asked.target
    if asked.split is not None:
        takes_part &= np.array(index.split, np.str_) != asked.split
    rows = np.flatnonzero(takes_part)
    keys = as_keys(index.image_sha256)
    labelled = np.concatenate([keys[index.ok & (labels != "")], as_keys(pair.source.digests)])
    rows = rows[~np.isin(keys[rows], labelled)]
    _, first = np.unique(keys[rows], return_index=True)
    return rows[np.sort(first)]
