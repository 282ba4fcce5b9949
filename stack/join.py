"""A dataset's labels joined by digest to the features of its backbones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from cache import DatasetIndex, FeatureSet, FeatureStore, StackError, UsageError, as_keys
from stack.fits import Progress
from stack.groups import check_threshold, join_groups, near_duplicates

GROUP_BY = ("auto", "group", "folder", "none")


@dataclass(frozen=True, eq=False)
class Joined:
    """Labels and features of the images that take part, row by row.

    Attributes
    ----------
    index : DatasetIndex
        The whole dataset.
    rows : NDArray[np.int64]
        ``(n_images,)`` rows of the index that take part: labelled, sound, each image once.
    labels : NDArray[np.str_]
        ``(n_images,)`` labels.
    feature_sets : dict of str to FeatureSet
        By backbone, or by id where two share a backbone.
    blocks : dict of str to NDArray[np.float32]
        By the same names, ``(n_images, dim)`` features.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group of each image; None where nothing groups them.
    left_out : dict of str to int
        Files that take no part: without label, failed, byte-identical to one that does, or byte-identical to one of
        another label.
    notes : list of str
        What a reader of the scores should know, in sentences.
    """

    index: DatasetIndex
    rows: NDArray[np.int64]
    labels: NDArray[np.str_]
    feature_sets: dict[str, FeatureSet]
    blocks: dict[str, NDArray[np.float32]]
    groups: NDArray[np.int64] | None
    left_out: dict[str, int]
    notes: list[str]

    @property
    def n_groups(self) -> int | None:
        """How many groups there are, an image without one counted as its own; None where nothing groups them."""
        return None if self.groups is None else len(np.unique(self.groups))

    @property
    def digests(self) -> NDArray[np.uint8]:
        """``(n_images, 32)`` SHA-256 of each image."""
        digests: NDArray[np.uint8] = self.index.image_sha256[self.rows]
        return digests

    @property
    def paths(self) -> list[str]:
        """Path of each image, relative to the dataset's root."""
        return [self.index.path[row] for row in self.rows]

    def take(self, positions: NDArray[np.int64], note: str) -> Joined:
        """Return some of the images, by position, with a note that says why the others are left out."""
        groups = None if self.groups is None else join_groups(self.groups[positions])
        return replace(
            self,
            rows=self.rows[positions],
            labels=self.labels[positions],
            blocks={name: x[positions] for name, x in self.blocks.items()},
            groups=groups,
            notes=[*self.notes, note],
        )

    @property
    def splits(self) -> NDArray[np.str_]:
        """``(n_images,)`` name of each image's split, empty where there is none."""
        return np.array(self.index.split, dtype=np.str_)[self.rows]


def join_features(
    store: FeatureStore,
    *,
    dataset: str | None = None,
    backbones: Sequence[str] | None = None,
    split: str | None = None,
    group_by: str = "auto",
    near: float | None = None,
    progress: Progress | None = None,
) -> Joined:
    """Read a dataset's labels and features.

    Parameters
    ----------
    store : FeatureStore
        The cache.
    dataset : str, optional
        Its name; by default the most lately extracted one.
    backbones : sequence of str, optional
        Names of backbones or feature sets; by default every feature set that covers the dataset.
    split : str, optional
        The split to test on: of byte-identical images the one in this split is kept.
    group_by : str
        ``group``: the dataset's group column; ``folder``: the folder an image lies in; ``none``; ``auto``: the
        group column where the dataset has one.
    near : float, optional
        Images whose features have at least this cosine in every backbone are one group too.
    progress : callable, optional
        See `stack.fits.Progress`; for that comparison.

    Raises
    ------
    StackError
        If no image has a label, nothing covers the dataset, a backbone is steered, or the group column is empty.
    CacheError
        If the cache lacks the dataset or is damaged.
    UsageError
        If a name is unknown.
    """
    if group_by not in GROUP_BY:
        message = (
            f"--group-by takes {', '.join(GROUP_BY)}, and not {group_by!r}. To group by a column of a table, name it "
            f"when the table is read: `stackbone extract TABLE --group-column {group_by}`; it costs no embedding"
        )
        raise UsageError(message)
    if near is not None:
        check_threshold(near)
    index = store.dataset(dataset)
    labels = np.array(index.label, dtype=np.str_)
    labelled = np.flatnonzero(index.ok & (labels != ""))
    if not len(labelled):
        message = (
            f"the dataset {index.name!r} has no labelled image ({len(index):,} listed). Stacking learns from labels: "
            "extract a folder of class folders or a table with labels"
        )
        raise StackError(message)
    rows, conflicting = _distinct_rows(index, labelled, split)
    chosen = _choose(store, index, backbones)
    digests = index.image_sha256[rows]
    blocks = {name: feature_set.load(digests) for name, feature_set in chosen.items()}
    if not len(rows):
        message = (
            f"every labelled image of the dataset {index.name!r} is byte-identical to one of another label, so none "
            "can be learnt from. Run `stackbone inspect` to see them, and correct the labels"
        )
        raise StackError(message)
    columns = _group_columns(index, labelled, rows, group_by)
    if near is not None:
        columns.append(near_duplicates(blocks, near, progress=progress))
    groups = join_groups(*columns) if columns else None
    return Joined(
        index=index,
        rows=rows,
        labels=labels[rows],
        feature_sets=chosen,
        blocks=blocks,
        groups=groups,
        left_out={
            "unlabelled": int((index.ok & (labels == "")).sum()),
            "failed": int((~index.ok).sum()),
            "doubles": len(labelled) - len(rows) - conflicting,
            "conflicting": conflicting,
        },
        notes=_incomplete(store, index, chosen) if backbones is None else [],
    )


def _distinct_rows(index: DatasetIndex, rows: NDArray[np.int64], split: str | None) -> tuple[NDArray[np.int64], int]:
    """Return one row of each image, and how many rows were dropped because their image has several labels.

    An image in the training part and again in the test part would be recognised, not classified. Of several
    copies the one in the test split is kept, else the first.
    """
    in_test = np.array([split is not None and index.split[row] == split for row in rows], np.bool_)
    ordered = np.concatenate([rows[in_test], rows[~in_test]])
    _, first, image = np.unique(as_keys(index.image_sha256[ordered]), return_index=True, return_inverse=True)
    labels = np.array(index.label, dtype=np.str_)[ordered]
    disagrees = np.zeros(len(first), np.bool_)
    disagrees[image[labels != labels[first][image]]] = True
    return np.sort(ordered[first[~disagrees]]), int(disagrees[image].sum())


def _group_columns(
    index: DatasetIndex, labelled: NDArray[np.int64], rows: NDArray[np.int64], group_by: str
) -> list[NDArray[np.int64]]:
    """Return the groups of the rows that take part, as one column or none.

    Copies of one image may lie in two groups: these are joined, though one copy alone takes part.
    """
    if group_by == "none" or (group_by == "auto" and not any(index.group[row] for row in labelled)):
        return []
    if group_by == "folder":
        names = np.array([str(PurePosixPath(index.path[row]).parent) for row in labelled])
    else:
        names = np.array([index.group[row] for row in labelled], dtype=np.str_)
    if not np.any(names != ""):
        message = (
            f"the dataset {index.name!r} names no groups. Extract it again with --group-column COLUMN, "
            "or use --group-by folder"
        )
        raise StackError(message)
    _, image = np.unique(as_keys(index.image_sha256[labelled]), return_inverse=True)
    joined = join_groups(names, image.astype(np.int64))
    return [joined[np.searchsorted(labelled, rows)]]


def _incomplete(store: FeatureStore, index: DatasetIndex, chosen: dict[str, FeatureSet]) -> list[str]:
    notes = []
    ids = {each.id for each in chosen.values()}
    for each in store.feature_sets():
        n = _n_missing(index, each) if each.id not in ids else 0
        if 0 < n < int(index.ok.sum()):
            notes.append(
                f"{each.id} is left out: it lacks {n:,} images of the dataset. "
                f"Run `stackbone extract {index.root} --backbones {each.backbone}` to complete it"
            )
    return notes


def _choose(store: FeatureStore, index: DatasetIndex, asked: Sequence[str] | None) -> dict[str, FeatureSet]:
    """Return the feature sets to stack, named by backbone, or by id where two share a backbone."""
    present = [each for each in store.feature_sets() if each.shards()]
    chosen: list[FeatureSet] = []
    if asked is None:
        chosen = store.covering(index)
        if not chosen:
            raise StackError(_uncovered_message(index, present))
    for name in asked or ():
        matches = [each for each in present if name in (each.backbone, each.id)]
        if not matches:
            known = ", ".join(dict.fromkeys(each.backbone for each in present)) or "none"
            message = (
                f"the cache {store.root} has no features of {name!r}; it has {known}. "
                f"Run `stackbone extract` with --backbones {name} to add them"
            )
            raise UsageError(message)
        whole = [each for each in matches if not _n_missing(index, each)]
        if not whole:
            raise StackError(_uncovered_message(index, matches))
        chosen.extend(each for each in whole if each not in chosen)
    for each in chosen:
        if each.header().spec.steering is not None:
            message = (
                f"{each.id} is steered: its features have seen labels, and which images it saw is not known here, "
                "so a score on them would not be honest. Name other backbones with --backbones"
            )
            raise StackError(message)
    names = [each.backbone for each in chosen]
    return {each.backbone if names.count(each.backbone) == 1 else each.id: each for each in chosen}


def _n_missing(index: DatasetIndex, feature_set: FeatureSet) -> int:
    return int(feature_set.missing(index.image_sha256[index.ok]).sum())


def _uncovered_message(index: DatasetIndex, feature_sets: Sequence[FeatureSet]) -> str:
    n = int(index.ok.sum())
    lacks = "; ".join(f"{each.id} lacks {_n_missing(index, each):,}" for each in feature_sets)
    return (
        f"no features of every image of the dataset {index.name!r} ({n:,} images): {lacks or 'the cache has none'}. "
        f"Features of other datasets do not serve. Run `stackbone extract {index.root}` with the backbones you want"
    )
