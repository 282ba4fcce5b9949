"""The label side of a dataset: which images take part, under which label, and what must stay together.

Folds are made of this alone, with no features, so that who trains on labels before any features exist (see
`stack.divisions.training_parts`) divides the images exactly as the experiment will.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, Digests, StackError, UsageError, as_keys
from stackbone.cache.hdf5.coded_texts import are_told
from stackbone.cache.text import typed
from stackbone.stack.folds.dealing import Units
from stackbone.stack.folds.groups import join_groups
from stackbone.stack.tasks.task import Task
from stackbone.stack.tasks.truth import Truth

GROUP_BY = ("auto", "group", "folder", "none")

LEFT_OUT = {
    "unlabelled": "without a label",
    "failed": "could not be read",
    "doubles": "byte-identical to one that takes part",
    "conflicting": "byte-identical to one with another label",
    "near_copies": "near copies of images that are tested",
    "training_copies": "near copies of images that the model was fitted on",
    "other_splits": "of other splits",
    "trained_on": "that the model was fitted on",
    "steered_on": "whose labels a steering of the model saw",
    "same_group": "in a group with one that the model was fitted on",
    "unknown": "of classes that the model does not know",
}
"""What images are that `LabelledImages.left_out` counts, to be read after their number."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelledImages:
    """Labels of the images that take part, row by row.

    Attributes
    ----------
    index : DatasetIndex
        The whole dataset.
    rows : NDArray[np.int64]
        ``(n_images,)`` rows of the index that take part: labelled, sound, each image once.
    labels : NDArray[np.str_]
        ``(n_images,)`` labels.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` group of each image; None where nothing groups them.
    file_groups : NDArray[np.int64]
        ``(n_listed,)`` group of every listed file, whether or not it takes part, by numbers of its own; -1 for one
        that belongs to no image or group that takes part.
    left_out : dict of str to int
        Files that take no part: without label, failed, byte-identical to one that does, byte-identical to one of
        another label, or near copies of images of the split to test on.
    notes : list of str
        What a reader of the scores should know, in sentences.
    near : NDArray[np.int64], optional
        ``(n_listed,)`` which near copies every listed file belongs to, -1 for none; None where none were looked for.
    times : NDArray[np.float64], optional
        ``(n_images,)`` when each image was made, where the division asks for it.
    read : dict
        What tasks have read of labels, by the task's name: see `truth`.
    """

    index: DatasetIndex
    rows: NDArray[np.int64]
    labels: NDArray[np.str_]
    groups: NDArray[np.int64] | None
    file_groups: NDArray[np.int64]
    left_out: dict[str, int]
    notes: list[str]
    near: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None
    read: dict[str, tuple[NDArray[np.str_], Truth]] = field(default_factory=dict)

    @property
    def n_groups(self) -> int | None:
        """How many groups there are, an image without one counted as its own; None where nothing groups them."""
        return None if self.groups is None else len(np.unique(self.groups))

    @property
    def digests(self) -> Digests:
        """``(n_images, 32)`` SHA-256 of each image."""
        digests: Digests = self.index.image_sha256[self.rows]
        return digests

    @property
    def paths(self) -> list[str]:
        """Path of each image, relative to the dataset's root."""
        return [self.index.path[row] for row in self.rows]

    def truth(self, task: Task) -> Truth:
        """Return what the labels say to a task, read once for all copies that have the same labels.

        Raises `StackError` if the task cannot read them.
        """
        labels, known = self.read.get(task.name, (None, None))
        if known is None or labels is not self.labels:
            known = task.read(self.labels)
            self.read[task.name] = self.labels, known
        return known

    @property
    def splits(self) -> NDArray[np.str_]:
        """``(n_images,)`` name of each image's split, empty where there is none."""
        return np.array(self.index.split, dtype=np.str_)[self.rows]

    def units(self, dealing: str) -> Units:
        """Return what folds are made of, dealt in one of `stack.folds.dealing.DEALINGS`."""
        return Units(self.groups, self.digests if dealing == "digests" else None, self.times)

    def take(self, positions: NDArray[np.int64], note: str | None = None) -> Self:
        """Return some of the images, by position, with a note that says why the others are left out."""
        return replace(
            self,
            rows=self.rows[positions],
            labels=self.labels[positions],
            groups=None if self.groups is None else join_groups(self.groups[positions]),
            times=None if self.times is None else self.times[positions],
            notes=[*self.notes, *([note] if note else [])],
        )

    def join(self, near: NDArray[np.int64]) -> Self:
        """Return the same images with groups joined by which of them are near copies.

        Parameters
        ----------
        near : NDArray[np.int64]
            ``(n_images,)`` group ids, negative for none; see `stack.folds.groups.near_duplicates`.
        """
        known = self.file_groups[self.rows]
        groups = join_groups(known, near)
        joined = np.full(self.file_groups.max(initial=-1) + 1, -1)
        joined[known] = groups
        _, image = np.unique(as_keys(self.index.image_sha256), return_inverse=True)
        of_image = np.full(image.max(initial=-1) + 1, -1)
        of_image[image[self.rows]] = near
        return replace(
            self,
            groups=groups,
            file_groups=np.where(self.file_groups >= 0, joined[self.file_groups], -1),
            near=of_image[image],
        )

    def leave_out_copies(self, test: str) -> Self:
        """Return the images without the near copies of those of the split `test` that lie in its other splits.

        They would be recognised, not classified. What belongs together with them stays known to `file_groups`.
        """
        if self.near is None:
            return self
        near, tested = self.near[self.rows], self.splits == test
        copies = ~tested & (near >= 0) & np.isin(near, near[tested])
        if not copies.any():
            return self
        kept = self.take(np.flatnonzero(~copies))
        return replace(kept, left_out={**self.left_out, "near_copies": int(copies.sum())})


def label_images(index: DatasetIndex, *, split: str | None = None, group_by: str = "auto") -> LabelledImages:
    """Choose the images of a dataset that take part, and group them.

    Parameters
    ----------
    index : DatasetIndex
        The dataset.
    split : str, optional
        The split to test on: of byte-identical images the one in this split is kept.
    group_by : str
        ``group``: the dataset's group column; ``folder``: the folder an image lies in; ``none``; ``auto``: the
        group column where the dataset has one.

    Raises
    ------
    StackError
        If no image has a label, every one has several, or the group column is empty.
    UsageError
        If `group_by` is none of these.
    """
    check_group_by(group_by)
    labels = np.array(index.label, dtype=np.str_)
    labelled = np.flatnonzero(index.ok & (labels != ""))
    if not len(labelled) and (labels != "").any():
        row = int(np.flatnonzero(labels != "")[0])
        message = (
            f"none of the {int((labels != '').sum()):,} labelled images of the dataset {index.name!r} could be read; "
            f"the first is {index.path[row]!r}: {index.reason[row]}. Correct that, and extract them again"
        )
        raise StackError(message)
    if not len(labelled):
        message = (
            f"the dataset {index.name!r} has no labelled image ({len(index):,} listed). Stacking learns from labels: "
            "extract a folder of class folders or a table with labels"
        )
        raise StackError(message)
    rows, conflicting = _distinct_rows(index, labelled, split)
    if not len(rows):
        message = (
            f"every labelled image of the dataset {index.name!r} is byte-identical to one of another label, so none "
            "can be learnt from or tested. Correct the labels; of a dataset in a cache `stackbone inspect` shows them"
        )
        raise StackError(message)
    names = _group_names(index, labelled, group_by)
    file_groups = _file_groups(index, labelled, names)
    return LabelledImages(
        index=index,
        rows=rows,
        labels=labels[rows],
        groups=None if names is None else join_groups(file_groups[rows]),
        file_groups=file_groups,
        left_out={
            "unlabelled": int((index.ok & (labels == "")).sum()),
            "failed": int((~index.ok).sum()),
            "doubles": len(labelled) - len(rows) - conflicting,
            "conflicting": conflicting,
        },
        notes=[] if index.corrected is None else index.corrected.notes(),
    )


def check_group_by(group_by: str) -> None:
    """Raise `UsageError` unless it is one of `GROUP_BY`."""
    if group_by not in GROUP_BY:
        message = (
            f"--group-by takes {', '.join(GROUP_BY)}, not {group_by!r}. To group by a column of a table, name it "
            f"when the table is read: `stackbone extract TABLE --group-column {typed(group_by)}` (`stackbone evaluate` "
            "takes it too); it costs no embedding"
        )
        raise UsageError(message)


def _distinct_rows(index: DatasetIndex, rows: NDArray[np.int64], split: str | None) -> tuple[NDArray[np.int64], int]:
    """Return one row of each image, and how many rows were dropped because their image has several labels.

    An image in the training part and again in the test part would be recognised, not classified. Of several
    copies the one in the test split is kept, else the first.
    """
    in_test = np.zeros(len(rows), np.bool_) if split is None else (np.array(index.split, np.str_) == split)[rows]
    ordered = np.concatenate([rows[in_test], rows[~in_test]])
    _, first, image = np.unique(as_keys(index.image_sha256[ordered]), return_index=True, return_inverse=True)
    labels = np.array(index.label, dtype=np.str_)[ordered]
    disagrees = np.zeros(len(first), np.bool_)
    disagrees[image[labels != labels[first][image]]] = True
    return np.sort(ordered[first[~disagrees]]), int(disagrees[image].sum())


def _group_names(index: DatasetIndex, labelled: NDArray[np.int64], group_by: str) -> NDArray[np.str_] | None:
    """Return the ``(n_listed,)`` group of every file, empty for none; None where nothing groups them."""
    if group_by == "none" or (group_by == "auto" and not are_told(index.group)[labelled].any()):
        return None
    names = named_groups(index, group_by)
    if not np.any(names[labelled] != ""):
        message = (
            f"the dataset {index.name!r} names no groups. Name the column of a table that holds them, "
            "`stackbone extract TABLE --group-column COLUMN` (`stackbone evaluate` takes it too), or use "
            "--group-by folder"
        )
        raise StackError(message)
    return names


def named_groups(index: DatasetIndex, group_by: str) -> NDArray[np.str_]:
    """Return the ``(n_listed,)`` name of every file's group, labelled or not; empty for none."""
    if group_by == "folder":
        return np.array([str(PurePosixPath(path).parent) for path in index.path], np.str_)
    return np.array([""] * len(index) if group_by == "none" else index.group, np.str_)


def _file_groups(index: DatasetIndex, labelled: NDArray[np.int64], names: NDArray[np.str_] | None) -> NDArray[np.int64]:
    """Return the ``(n_listed,)`` groups of `LabelledImages.file_groups`.

    Labelled copies of one image may lie in two groups: these are joined. An unlabelled file joins nothing, lest it
    change the folds; it belongs to its image, or else to its group.
    """
    _, image = np.unique(as_keys(index.image_sha256), return_inverse=True)
    columns = [image, *([] if names is None else [np.unique(names, return_inverse=True)[1]])]
    file_groups = np.full(len(index), -1)
    if names is None:
        file_groups[labelled] = image[labelled]
    else:
        file_groups[labelled] = join_groups(image[labelled], names[labelled])
        columns[1] = np.where(names == "", -1, columns[1])
    for column in columns:
        of_value = np.full(column.max() + 2, -1)  # the last is that of no group, -1
        of_value[column[labelled]] = file_groups[labelled]
        of_value[-1] = -1
        file_groups = np.where(file_groups >= 0, file_groups, of_value[column])
    return file_groups
