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
    paths : list of str
        As the dataset lists them.
    blocks : dict of str to NDArray[np.float32]
        ``(n, dim)`` features by backbone.
    groups : NDArray[np.int64], optional
        ``(n,)`` group of each image, of the numbering of the pair's groups; None where these are.
    """

    digests: Digests
    paths: list[str]
    blocks: dict[str, Matrix]
    groups: Codes | None

    def __len__(self) -> int:
        return len(self.digests)

    def apart_from(self, tested: Codes | None) -> Codes:
        """Return the rows of the images that belong together with none of the tested ones, which have these groups."""
        if self.groups is None or tested is None:
            return np.arange(len(self))
        return np.flatnonzero(~np.isin(self.groups, tested))


def with_unlabelled(
    pair: DomainPair, asked: Asked, near: float | None = None, progress: Progress | None = None
) -> DomainPair:
    """Return the pair with the target's images that have no label, counted; as it is where there are none.

    Images that are byte-identical to a labelled one of either domain, and those of the split that is tested, take no
    part. What belongs together is told once for all folds, so that two labelled images belong together too where one
    without a label is a near copy of both, or of one group with one and a near copy of the other. Whether two labelled
    ones are near copies of each other is for `stack.transfer.domains.pair.match_domains` to tell.

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
        found = near_duplicates(both, near or SAME_PICTURE, known=n, progress=progress)
    together = _together(pair, rows, named_groups(index, asked.group_by), found)
    groups = None if together is None else together[len(pair.source) + n :]
    unlabelled = Unlabelled(digests, [index.path[row] for row in rows], blocks, groups)
    if together is not None:
        pair = _grouped(pair, together[: len(pair.source) + n], is_split=asked.split is not None)
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
    return replace(pair, unlabelled=unlabelled, target=replace(pair.target, left_out=left_out), notes=notes)


def _together(pair: DomainPair, rows: Codes, names: NDArray[np.str_], near: Codes) -> Codes | None:
    """Return the groups of source images, labelled target images and these without a label; None where all stand alone.

    Parameters
    ----------
    rows
        ``(n,)`` rows of the dataset's index without a label.
    names
        ``(n_listed,)`` name of each listed image's group, empty for none.
    near
        ``(n_target + n,)`` near copies have one number, by pairs of which one has no label; -1 for an image in no pair.
    """
    source, target = pair.source, pair.target
    listed, of_source = np.concatenate([target.rows, rows]), np.full(len(source), -1)
    own_names = np.full(len(source), "") if source.group_names is None else source.group_names
    columns: list[NDArray[np.generic]] = [
        np.concatenate([own_names, names[listed]]),
        np.concatenate([of_source, target.file_groups[listed]]),
        np.concatenate([of_source, near]),
    ]
    if pair.source_groups is not None and pair.target_groups is not None:
        columns.append(np.concatenate([pair.source_groups, pair.target_groups, np.full(len(rows), -1)]))
    joined = join_groups(*columns)
    return None if len(np.unique(joined)) == len(joined) else joined


def _grouped(pair: DomainPair, labelled: Codes, *, is_split: bool) -> DomainPair:
    """Return the pair with the groups of its labelled images, source images first.

    Folds are drawn by them where images without a label join labelled ones; the target's own split is left as it is.
    """
    n, target, n_known = len(pair.source), pair.target, len(labelled)
    if pair.source_groups is not None and pair.target_groups is not None:
        n_known = len(np.union1d(pair.source_groups, pair.target_groups))
    if not is_split and len(np.unique(labelled)) < n_known:
        target = replace(target, groups=labelled[n:])
    return replace(pair, source_groups=labelled[:n], target_groups=labelled[n:], target=target)


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
