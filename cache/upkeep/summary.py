"""What a cache holds, in numbers and words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stackbone.cache.disk.digest import Digests
from stackbone.cache.errors import CacheError
from stackbone.cache.feature_set import FeatureSet, as_keys
from stackbone.cache.records.index import DatasetIndex, index_path, read_index
from stackbone.cache.records.seen import FILE, SeenRecord
from stackbone.cache.records.shard import ShardHeader, read_summary
from stackbone.cache.store import FeatureStore
from stackbone.cache.text import counted

_SHOWN = 20  # classes or conflicts that people are shown


@dataclass(frozen=True)
class FeatureSetSummary:
    """A feature set in numbers.

    Attributes
    ----------
    header
        Of its first shard: spec, provenance, dimension.
    n_rows
        Distinct images.
    n_doubles
        Rows beyond the first of an image; `compact` drops them.
    n_shards, n_bytes
        Files, and their size on disk.
    missing
        Dataset name to its number of distinct sound images that are not here.
    seen
        Which images the backbone's steering saw; None for a plain one, or where the record is not there.
    """

    feature_set: FeatureSet
    header: ShardHeader
    n_rows: int
    n_doubles: int
    n_shards: int
    n_bytes: int
    missing: dict[str, int]
    seen: SeenRecord | None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "id": self.feature_set.id,
            "backbone": self.feature_set.backbone,
            "n_rows": self.n_rows,
            "n_doubles": self.n_doubles,
            "dim": self.header.dim,
            "dtype": self.header.dtype,
            "n_shards": self.n_shards,
            "n_bytes": self.n_bytes,
            "spec": asdict(self.header.spec),
            "provenance": self.header.provenance,
            "missing": self.missing,
            "seen": self.seen.to_dict() if self.seen else None,
        }

    def lines(self) -> list[str]:
        """Return lines for people, with spec and provenance in words."""
        spec, h = self.header.spec, self.header
        doubles = f" (and {counted(self.n_doubles, 'double')}: run `compact`)" if self.n_doubles else ""
        size = " x ".join(map(str, spec.input_size))
        lines = [
            self.feature_set.id,
            f"  {counted(self.n_rows, 'image')} x {h.dim:,} {h.dtype}{doubles}",
            f"  in {counted(self.n_shards, 'shard')}, {self.n_bytes / 1e6:,.1f} MB",
            f"  made by {spec.architecture}, weights {spec.weights[:19]}, {spec.precision}, view {spec.view}",
            f"  from {size} pixels ({spec.interpolation}, {spec.crop_mode} crop {spec.crop_fraction:g})"
            f", pooling {spec.pooling}",
            "  with " + ", ".join(f"{key} {value}" for key, value in sorted(h.provenance.items())),
        ]
        if self.seen:
            lines.append(f"  {self.seen.line()}, file {self.seen.steering[:12]}")
        elif spec.steering:
            lines.append(
                f"  steered by {spec.steering[:12]}, whose record {FILE} is not here: scores on it are refused. "
                "Run `extract` with that file as --steering"
            )
        for name, n in self.missing.items():
            lines.append(f"  lacks {counted(n, 'image')} of {name}" if n else f"  covers {name}")
        return lines


@dataclass(frozen=True)
class Conflict:
    """Files with the same bytes and different labels: a defect of the dataset."""

    paths: list[str]
    labels: list[str]


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset in numbers.

    Attributes
    ----------
    n_listed, n_images, n_failed
        Files listed, distinct sound images, files that failed.
    n_labelled
        Sound files with a label.
    classes
        Label to its number of sound files.
    splits
        Split name to its number of sound files, ``""`` where there is none.
    n_doubles
        Sound files byte-identical to an earlier one.
    conflicts
        Those among them whose labels disagree.
    """

    index: DatasetIndex
    n_listed: int
    n_images: int
    n_failed: int
    n_labelled: int
    classes: dict[str, int]
    splits: dict[str, int]
    n_doubles: int
    conflicts: list[Conflict]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "name": self.index.name,
            "root": self.index.root,
            "n_listed": self.n_listed,
            "n_images": self.n_images,
            "n_failed": self.n_failed,
            "n_labelled": self.n_labelled,
            "classes": self.classes,
            "splits": self.splits,
            "n_doubles": self.n_doubles,
            "conflicts": [asdict(each) for each in self.conflicts],
        }

    def lines(self) -> list[str]:
        """Return lines for people."""
        lines = [
            f"dataset {self.index.name}, of {self.index.root or 'arrays in memory'}",
            f"  {self.n_listed:,} listed, {counted(self.n_images, 'distinct image')}, {self.n_failed:,} failed, "
            f"{self.n_labelled:,} labelled",
        ]
        for noun, plural, counts in (("class", "classes", self.classes), ("split", "splits", self.splits)):
            named = sorted(((n, name) for name, n in counts.items() if name), reverse=True)
            if named:
                shown = ", ".join(f"{name} {n:,}" for n, name in named[:_SHOWN])
                more = f", and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
                lines.append(f"  {counted(len(named), noun, plural)}: {shown}{more}")
        if self.n_doubles:
            lines.append(f"  {counted(self.n_doubles, 'file is', 'files are')} byte-identical to another")
        for conflict in self.conflicts[:_SHOWN]:
            pairs = ", ".join(
                f"{path!r} ({label!r})" for path, label in zip(conflict.paths, conflict.labels, strict=True)
            )
            lines.append(f"  same image, different labels: {pairs}")
        if len(self.conflicts) > _SHOWN:
            lines.append(f"  and {len(self.conflicts) - _SHOWN:,} more such conflicts; --json lists all")
        return lines


@dataclass(frozen=True)
class Summary:
    """A cache in numbers: its feature sets by name, its datasets, the most lately written first."""

    root: str
    feature_sets: list[FeatureSetSummary]
    datasets: list[DatasetSummary]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able object."""
        return {
            "cache": self.root,
            "feature_sets": [each.to_dict() for each in self.feature_sets],
            "datasets": [each.to_dict() for each in self.datasets],
        }

    def lines(self) -> list[str]:
        """Return lines for people."""
        if not self.feature_sets and not self.datasets:
            return [f"the cache in {self.root} is empty. Run `stackbone extract FOLDER` to fill it"]
        size = sum(each.n_bytes for each in self.feature_sets)
        lines = [f"{self.root}: {counted(len(self.feature_sets), 'feature set')}, {size / 1e6:,.1f} MB"]
        for group in (self.feature_sets, self.datasets):
            for each in group:
                lines += ["", *each.lines()]
        return lines


def summarise(store: FeatureStore) -> Summary:
    """Return a summary of a cache.

    Raises
    ------
    CacheError
        If there is none, or a file is damaged; `verify` tells which ones.
    """
    store.check_there()
    datasets = []
    for name in store.dataset_names():
        with suppress(FileNotFoundError):  # forgotten meanwhile
            datasets.append(summarise_dataset(read_index(index_path(store.root, name))))
    wanted = {each.index.name: np.unique(as_keys(each.index.image_sha256[each.index.ok])) for each in datasets}
    found = [_summarise_feature_set(each, wanted) for each in store.feature_sets()]
    return Summary(str(store.root), [each for each in found if each], datasets)


def _summarise_feature_set(feature_set: FeatureSet, wanted: dict[str, np.ndarray]) -> FeatureSetSummary | None:
    """Return a feature set in numbers; None for one that has no shard, or whose shards went meanwhile."""
    parts = [found for _, found in feature_set.read_each(read_summary)]
    if not parts:
        return None
    headers, digests, sizes = zip(*parts, strict=True)
    keys = as_keys(np.concatenate(digests))
    distinct = np.unique(keys)
    try:
        seen = feature_set.seen() if os.path.lexists(feature_set.folder / FILE) else None
    except CacheError:
        if feature_set.shards():
            raise
        return None  # forgotten meanwhile, the record with it
    return FeatureSetSummary(
        feature_set=feature_set,
        header=headers[0],
        n_rows=len(distinct),
        n_doubles=len(keys) - len(distinct),
        n_shards=len(parts),
        n_bytes=sum(sizes),
        missing={name: int((~np.isin(images, distinct)).sum()) for name, images in wanted.items()},
        seen=seen,
    )


def summarise_dataset(index: DatasetIndex) -> DatasetSummary:
    """Return a dataset in numbers."""
    rows = np.flatnonzero(index.ok)
    labels = [index.label[row] for row in rows]
    n_images, conflicts = _find_doubles(index, index.image_sha256[rows], rows)
    return DatasetSummary(
        index=index,
        n_listed=len(index),
        n_images=n_images,
        n_failed=len(index) - len(rows),
        n_labelled=sum(map(bool, labels)),
        classes=_count(filter(None, labels)),
        splits=_count(index.split[row] for row in rows),
        n_doubles=len(rows) - n_images,
        conflicts=conflicts,
    )


def _count(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _find_doubles(index: DatasetIndex, digests: Digests, rows: np.ndarray) -> tuple[int, list[Conflict]]:
    _, inverse, counts = np.unique(as_keys(digests), return_inverse=True, return_counts=True)
    groups: dict[int, list[int]] = {}
    for i in np.flatnonzero(counts[inverse] > 1).tolist():
        groups.setdefault(int(inverse[i]), []).append(int(rows[i]))
    conflicts = [
        Conflict([index.path[row] for row in members], [index.label[row] for row in members])
        for members in groups.values()
        if len({index.label[row] for row in members} - {""}) > 1
    ]
    return len(counts), conflicts
