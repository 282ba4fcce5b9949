"""Two domains read from a cache: of two datasets or more, or of one whose table has a column of domains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, Digests, FeatureStore, StackError, UsageError, as_keys
from stackbone.cache.text import counted, typed
from stackbone.stack.divisions.further_columns import find_column
from stackbone.stack.divisions.labelled_images import named_groups
from stackbone.stack.features.join import Joined, join_features
from stackbone.stack.tasks.registry import get_task
from stackbone.stack.transfer.domains.naming import check_datasets, meant
from stackbone.stack.transfer.domains.shared_features import shared_feature_sets
from stackbone.stack.transfer.method import Codes, Matrix

TASK = "classification"

_SHOWN = 20


@dataclass(frozen=True)
class Asked:
    """Which domains are meant.

    Attributes
    ----------
    source : tuple of str
        Datasets, or values of the column; with a column, none stands for all but the target.
    target : str
        One more.
    dataset, column : str, optional
        Of domains in one dataset: its name, by default the last one extracted, and the column that tells them apart.
    backbones : str or sequence of str, optional
        By default every feature set that covers both domains.
    split : str, optional
        Of the target, to be tested.
    group_by : str
        As of `stack.divisions.labelled_images.label_images`.
    """

    source: tuple[str, ...]
    target: str
    dataset: str | None = None
    column: str | None = None
    backbones: str | Sequence[str] | None = None
    split: str | None = None
    group_by: str = "auto"


@dataclass(frozen=True, eq=False)
class Source:
    """The labelled images of the source domains, row by row.

    Attributes
    ----------
    names : list of str
        The domains.
    domain : NDArray[np.int64]
        ``(n,)`` which of them each image is of; of several that hold it, the first.
    held_by : NDArray[np.bool_]
        ``(n, n_domains)`` which of them hold it.
    labels : NDArray[np.str_]
        ``(n,)`` labels.
    digests : Digests
        ``(n, 32)`` SHA-256 of each image.
    paths : list of str
        As their datasets list them.
    blocks : dict of str to NDArray[np.float32]
        ``(n, dim)`` features by backbone, the names and the order those of the target.
    groups : NDArray[np.int64], optional
        ``(n,)`` group of each image; None where nothing groups them.
    left_out : dict of str to int
        Images that take no part, by why, as of `stack.divisions.labelled_images.LabelledImages`; of domains in one
        dataset the target counts them for both.
    group_names : NDArray[np.str_], optional
        ``(n,)`` the same by name, empty for none, where they have names that the target's can be compared with.
    is_same_dataset : bool
        Whether the target is of the same dataset, so that its groups are of the same numbering.
    """

    names: list[str]
    domain: Codes
    held_by: NDArray[np.bool_]
    labels: NDArray[np.str_]
    digests: Digests
    paths: list[str]
    blocks: dict[str, Matrix]
    groups: Codes | None
    group_names: NDArray[np.str_] | None
    left_out: dict[str, int]
    is_same_dataset: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Codes) -> Source:
        """Return some of the images, by position; all of them as they are, without a copy."""
        if len(rows) == len(self):
            return self
        return replace(
            self,
            domain=self.domain[rows],
            held_by=self.held_by[rows],
            labels=self.labels[rows],
            digests=self.digests[rows],
            paths=[self.paths[row] for row in rows],
            blocks={name: block[rows] for name, block in self.blocks.items()},
            groups=None if self.groups is None else self.groups[rows],
            group_names=None if self.group_names is None else self.group_names[rows],
        )


def read_domains(store: FeatureStore, asked: Asked) -> tuple[Source, Joined, list[str]]:
    """Read both domains.

    Returns
    -------
    source : Source
        The source's labelled images.
    target : Joined
        The target's; its groups, where it shares a dataset with the source, are numbered alike.
    notes : list of str
        What a reader of the scores should know, in sentences.

    Raises
    ------
    UsageError
        If names are unknown or contradict each other, or an image can have several labels.
    StackError
        If a domain has no labelled image, or both domains have no feature set in common.
    CacheError
        If the cache lacks a dataset or is damaged.
    """
    return _of_datasets(store, asked) if asked.column is None else _of_column(store, asked, asked.column)


def _of_datasets(store: FeatureStore, asked: Asked) -> tuple[Source, Joined, list[str]]:
    if asked.dataset is not None:
        message = (
            f"{typed('--dataset', asked.dataset)} is for domains within one dataset: add --domain-column COLUMN, or "
            "name datasets by --source and --target alone"
        )
        raise UsageError(message)
    if not asked.source:
        has = ", ".join(store.dataset_names()[:_SHOWN])
        message = (
            f"--target {typed(asked.target)} has no source to learn from: add --source NAME (the cache has {has}), or "
            "--domain-column COLUMN where one dataset holds both domains"
        )
        raise UsageError(message)
    if asked.target in asked.source:
        message = (
            f"{asked.target!r} is both source and target: every tested image would be learnt from, under its label. "
            "Name another --source, or --domain-column COLUMN where the dataset holds both domains"
        )
        raise UsageError(message)
    check_datasets(asked.source, asked.target, store.dataset_names())
    indexes = [store.dataset(name) for name in (*asked.source, asked.target)]
    if not any(indexes[-1].label):
        answer = typed("stackbone", "stack", "--dataset", asked.source[0], "--save", "model.stackbone")
        message = (
            f"the target {asked.target!r} has no labelled image ({len(indexes[-1]):,} listed), and methods are judged "
            "by images whose labels are known: label some of each class with `stackbone extract DATA --labels "
            f"FILE.csv`, or let a model of the source answer: `{answer}`, then `stackbone predict DATA --model "
            "model.stackbone`"
        )
        raise StackError(message)
    for index in indexes:
        get_task(TASK).check_index(index)
    ids, notes = shared_feature_sets(store, indexes, asked.backbones)
    target = join_features(store, dataset=asked.target, backbones=ids, split=asked.split, group_by=asked.group_by)
    # Which of its images belong together matters of the source too, but it need not say so by a column.
    group_by = "auto" if asked.group_by == "group" else asked.group_by
    parts = [join_features(store, dataset=name, backbones=ids, group_by=group_by) for name in asked.source]
    notes += [f"{name}: {note}" for name, part in zip(asked.source, parts, strict=True) for note in part.notes]
    return _joined_source(list(asked.source), parts, group_by), target, notes


def _joined_source(names: list[str], parts: Sequence[Joined], group_by: str) -> Source:
    groups = None
    if any(part.groups is not None for part in parts):
        numbers, first = [], 0
        for part in parts:
            own = np.arange(len(part.rows)) if part.groups is None else part.groups
            numbers.append(own + first)
            first += int(own.max(initial=-1)) + 1
        groups = np.concatenate(numbers)
    named = [group_names(part, group_by) for part in parts]
    has_names = any(each is not None for each in named)
    filled = [np.full(len(part.rows), "") if own is None else own for own, part in zip(named, parts, strict=True)]
    blocks = {
        name: parts[0].blocks[name] if len(parts) == 1 else np.concatenate([part.blocks[name] for part in parts])
        for name in parts[0].names
    }
    domain = np.repeat(np.arange(len(parts)), [len(part.rows) for part in parts])
    digests: Digests = np.concatenate([part.digests for part in parts])
    return Source(
        names=names,
        domain=domain,
        held_by=_held_by(domain, digests, len(parts)),
        labels=np.concatenate([part.labels for part in parts]),
        digests=digests,
        paths=[path for part in parts for path in part.paths],
        blocks=blocks,
        groups=groups,
        group_names=np.concatenate(filled) if has_names else None,
        left_out={why: sum(part.left_out[why] for part in parts) for why in parts[0].left_out},
    )


def _held_by(domain: Codes, digests: Digests, n_domains: int) -> NDArray[np.bool_]:
    """Return ``(n, n_domains)`` which domains have an image of the same bytes."""
    _, image = np.unique(as_keys(digests), return_inverse=True)
    held = np.zeros((len(domain), n_domains), np.bool_)
    held[image, domain] = True
    return held[image]


def group_names(joined: Joined, group_by: str) -> NDArray[np.str_] | None:
    """Return the ``(n_images,)`` names of groups that the dataset's column gives; None where groups are not of it."""
    if joined.groups is None or group_by not in ("auto", "group") or not any(joined.index.group):
        return None
    return np.array(joined.index.group, dtype=np.str_)[joined.rows]


def _of_column(store: FeatureStore, asked: Asked, column: str) -> tuple[Source, Joined, list[str]]:
    index = store.dataset(asked.dataset)
    get_task(TASK).check_index(index)
    cells = np.array(list(find_column(index, "--domain-column", column)), dtype=np.str_)
    source = _check_values(index, column, cells, asked)
    ids, notes = shared_feature_sets(store, [index], asked.backbones)
    joined = join_features(store, dataset=index.name, backbones=ids, split=asked.split, group_by=asked.group_by)
    own = cells[joined.rows]
    is_target, is_source = own == asked.target, np.isin(own, source)
    for name, there in ((asked.target, is_target), (" or ".join(source), is_source)):
        if not there.any():
            message = (
                f"no labelled image of {index.name!r} has {name!r} in the column {column!r}, so there is nothing to "
                "learn from or to test. Name another domain, or label its images"
            )
            raise StackError(message)
    without = int((own == "").sum())
    if without:
        notes.append(f"left out: {counted(without, 'image')} without a domain in the column {column!r}")
    rows = np.flatnonzero(is_source)
    part = joined.take(rows)
    domain = np.array([source.index(name) for name in own[rows]], np.int64)
    taken = Source(
        names=source,
        domain=domain,
        held_by=_held_by(domain, part.digests, len(source)),
        labels=part.labels,
        digests=part.digests,
        paths=part.paths,
        blocks={name: part.blocks[name] for name in joined.names},
        groups=None if joined.groups is None else joined.groups[rows],
        group_names=named_groups(index, asked.group_by)[part.rows],
        left_out={},
        is_same_dataset=True,
    )
    tested = np.flatnonzero(is_target)
    target = joined.take(tested)
    return taken, replace(target, groups=None if joined.groups is None else joined.groups[tested]), notes


def _check_values(index: DatasetIndex, column: str, cells: NDArray[np.str_], asked: Asked) -> list[str]:
    """Return the values that are the source, all but the target where none was named."""
    values = [str(value) for value in np.unique(cells) if value]
    for option, name in (("--target", asked.target), *(("--source", each) for each in asked.source)):
        if name not in values:
            has = ", ".join(map(repr, values[:_SHOWN])) + (", ..." if len(values) > _SHOWN else "")
            message = (
                f"{typed(option, name)}: the column {column!r} of the dataset {index.name!r} has no {name!r}; it has "
                f"{has or 'nothing'}.{meant(option, name, values)}"
            )
            raise UsageError(message)
    if asked.target in asked.source:
        message = (
            f"{asked.target!r} is both source and target: every tested image would be learnt from, under its label. "
            "Name another --source, or leave it out to learn from all other domains"
        )
        raise UsageError(message)
    source = list(asked.source) or [value for value in values if value != asked.target]
    if not source:
        message = (
            f"the column {column!r} of the dataset {index.name!r} has {asked.target!r} alone, so there is no source "
            "to learn from. Name another --domain-column"
        )
        raise UsageError(message)
    return source
