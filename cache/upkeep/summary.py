"""What a cache holds, in numbers and words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stackbone.cache.disk.digest import Digests
from stackbone.cache.disk.digest_sets import are_among, distinct
from stackbone.cache.errors import CacheError
from stackbone.cache.feature_set import FeatureSet
from stackbone.cache.findings.applied import read_whole_index
from stackbone.cache.places.place import is_there
from stackbone.cache.records.feature_name import POOLED, PYRAMID
from stackbone.cache.records.given import is_given
from stackbone.cache.records.indexes.index import DatasetIndex
from stackbone.cache.records.indexes.index_file import index_path
from stackbone.cache.records.provenance import Provenance, merge_provenance
from stackbone.cache.records.seen import FILE, SeenRecord
from stackbone.cache.records.shard import read_summary
from stackbone.cache.records.shards.content import ShardHeader
from stackbone.cache.records.spec import FeatureSpec
from stackbone.cache.store import FeatureStore
from stackbone.cache.text import counted
from stackbone.cache.upkeep.dataset_summary import DatasetSummary, summarise_dataset

_PARTS_SHOWN = 6


def _framing(spec: FeatureSpec) -> str:
    whole = spec.crop_mode == "letterbox"
    return "letterbox of the whole image" if whole else f"{spec.crop_mode} crop {spec.crop_fraction:g}"


@dataclass(frozen=True)
class FeatureSetSummary:
    """A feature set in numbers.

    Attributes
    ----------
    header
        Of its first shard: spec, dimension.
    provenance
        Of all its shards.
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
    provenance: Provenance
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
            "output": self.header.spec.output,
            "parts": [list(part) for part in self.header.form.parts],
            "row_shape": list(self.header.form.row_shape),
            "map_shapes": [list(each) for each in self.header.form.map_shapes],
            "n_shards": self.n_shards,
            "n_bytes": self.n_bytes,
            "spec": asdict(self.header.spec),
            "provenance": dict(self.provenance),
            "missing": self.missing,
            "seen": self.seen.to_dict() if self.seen else None,
        }

    def _output_lines(self) -> list[str]:
        """Return which output it is, if it is not the usual one, and its parts."""
        form, output = self.header.form, self.header.spec.output
        if output == POOLED:
            return []
        if form.row_shape:
            return [
                f"  output {output}: {' x '.join(map(str, form.row_shape))}, {self.header.row_bytes:,} bytes an image"
            ]
        if form.map_shapes:
            named = zip(form.parts, form.map_shapes, strict=True)
            shapes = ", ".join(f"{part.name} {' x '.join(map(str, shape))}" for part, shape in named)
            return [f"  output {output}: {shapes}, {self.header.row_bytes:,} bytes an image"]
        shown = [f"{part.name} ({part.n_columns:,})" for part in form.parts]
        more = [f"and {len(shown) - _PARTS_SHOWN:,} more"] if len(shown) > _PARTS_SHOWN else []
        return [f"  output {output}" + (f": {', '.join([*shown[:_PARTS_SHOWN], *more])}" if shown else "")]

    def lines(self) -> list[str]:
        """Return lines for people, with spec and provenance in words."""
        spec, h = self.header.spec, self.header
        doubles = f" (and {counted(self.n_doubles, 'double')}: run `compact`)" if self.n_doubles else ""
        size = " x ".join(map(str, spec.input_size))
        made = [
            f"  made by {spec.architecture}, weights {spec.weights[:19]}, {spec.precision}, view {spec.view}",
            f"  from {size} pixels ({spec.interpolation}, {_framing(spec)}), pooling {spec.pooling}",
        ]
        if is_given(spec):
            made = [f"  given with add_features, not made from images, {spec.precision}"]
        lines = [
            self.feature_set.id,
            f"  {counted(self.n_rows, 'image')} x {h.dim:,} {h.dtype}{doubles}",
            f"  in {counted(self.n_shards, 'shard')}, {self.n_bytes / 1e6:,.1f} MB",
            *made,
            *self._output_lines(),
            "  with " + ", ".join(f"{name} {words}" for name, words in self.provenance.in_words().items()),
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
    indexes: list[DatasetIndex] = []
    for name in store.dataset_names():
        with suppress(FileNotFoundError):  # forgotten meanwhile
            indexes.append(store.corrected(read_whole_index(store.root, index_path(store.root, name))))
    wanted = {index.name: distinct(index.image_sha256[index.ok]) for index in indexes}
    found = [each for each in (_summarise_feature_set(each, wanted) for each in store.feature_sets()) if each]
    datasets = [summarise_dataset(each, inputs_of(each.name, found), store.boxes(each.name)) for each in indexes]
    return Summary(str(store.root), found, datasets)


def inputs_of(dataset: str, feature_sets: Sequence[FeatureSetSummary]) -> dict[str, tuple[int, int]]:
    """Return the (width, height) that networks take, by the backbone's name, of feature sets that cover a dataset."""
    covering = [each for each in feature_sets if each.missing[dataset] == 0]
    return {
        f"{name.backbone}@{PYRAMID}" if name.output == PYRAMID else name.backbone: each.header.spec.input_size[::-1]
        for name, each in ((each.feature_set.name, each) for each in covering)
    }


def _summarise_feature_set(feature_set: FeatureSet, wanted: dict[str, Digests]) -> FeatureSetSummary | None:
    """Return a feature set in numbers; None for one that has no shard, or whose shards went meanwhile."""
    parts = [found for _, found in feature_set.read_each(read_summary)]
    if not parts:
        return None
    headers, digests, sizes = zip(*parts, strict=True)
    rows = np.concatenate(digests)
    held = distinct(rows)
    try:
        seen = feature_set.seen() if is_there(feature_set.folder / FILE) else None
    except CacheError:
        if feature_set.shards():
            raise
        return None  # forgotten meanwhile, the record with it
    return FeatureSetSummary(
        feature_set=feature_set,
        header=headers[0],
        provenance=merge_provenance([each.provenance for each in headers]),
        n_rows=len(held),
        n_doubles=len(rows) - len(held),
        n_shards=len(parts),
        n_bytes=sum(sizes),
        missing={name: int((~are_among(images, held)).sum()) for name, images in wanted.items()},
        seen=seen,
    )
