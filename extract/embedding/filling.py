"""A feature set being filled: which images it lacks, the room that they take, its rows that are not on disk yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, FeatureSet, FeatureSpec
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.places.place import Place, bytes_free
from stackbone.cache.records.feature_name import LARGE, POOLED
from stackbone.cache.records.provenance import named_cut
from stackbone.cache.text import counted
from stackbone.extract.backbones.backbone import LETTERBOX, Backbone
from stackbone.extract.backbones.outputs import OutputForm

_MOST_NAMED = 3
COMMIT_BYTES = 4 << 20  # of features at most in a shard; every copy made of them on their way to disk is as large
COMMIT_BYTES_OF_MAPS = 32 << 20  # of those, whose rows are large: else there would be a file for every few images


@dataclass
class Filling:
    """Keeps rows of one feature set, and commits them.

    Attributes
    ----------
    spec, feature_set
        What is filled.
    lacking
        (n,) bool: which of the n images that the pipeline goes through it lacks.
    cut
        (n,) bool: which of the others are of files that are cut short.
    n_embedded, n_uncommitted
        Rows committed, and computed since.
    """

    spec: FeatureSpec
    feature_set: FeatureSet
    lacking: NDArray[np.bool_]
    cut: NDArray[np.bool_]
    n_embedded: int = 0
    n_uncommitted: int = 0
    # The same place serves every commit: rows kept batch by batch would be joined by another copy of them all.
    _digests: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, DIGEST_BYTES), np.uint8))
    _features: NDArray[np.floating] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    _sizes: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def has_room(self, n_rows: int) -> bool:
        """Return whether there is a place for so many more rows before a commit."""
        return not self.n_uncommitted or self.n_uncommitted + n_rows <= len(self._features)

    @property
    def has_sizes(self) -> bool:
        """Whether its shards tell how large the images are: of maps, whose cells lie somewhere in an image."""
        return self.spec.crop_mode == LETTERBOX

    def keep(
        self, digests: Sequence[bytes], features: NDArray[np.floating], sizes: Sequence[tuple[int, int]] = ()
    ) -> None:
        """Keep the rows (n, n_columns) of some images; there must be room for them, or nothing uncommitted.

        Parameters
        ----------
        sizes
            (width, height) of the upright images; needed where `has_sizes`.
        """
        if len(features) > len(self._features):
            most = COMMIT_BYTES_OF_MAPS if self.has_sizes else COMMIT_BYTES
            n_rows = max(len(features), most // features[0].nbytes)
            self._digests = np.empty((n_rows, DIGEST_BYTES), np.uint8)
            self._features = np.empty((n_rows, features.shape[1]), features.dtype)
            self._sizes = np.empty((n_rows if self.has_sizes else 0, 2), np.int64)
        rows = slice(self.n_uncommitted, self.n_uncommitted + len(features))
        self._digests[rows] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
        self._features[rows] = features
        if self.has_sizes:
            self._sizes[rows] = sizes
        self.n_uncommitted = rows.stop  # last, so that an interrupt finds as many digests as features

    def commit(self, form: OutputForm, provenance: Mapping[str, str], cut: set[bytes]) -> None:
        """Write the rows kept since the last commit as one shard; errors as `FeatureSet.append`.

        Parameters
        ----------
        form
            What they consist of.
        cut
            Digests of images whose files are cut short, for the shard to say so.
        """
        n = self.n_uncommitted
        if not n:
            return
        told = dict(provenance)
        if cut:
            told |= named_cut(row.tobytes().hex() for row in self._digests[:n] if row.tobytes() in cut)
        sizes = self._sizes[:n] if self.has_sizes else None
        self.feature_set.append(self.spec, self._digests[:n], self._features[:n], told, form.row, sizes=sizes)
        self.n_uncommitted = 0
        self.n_embedded += n


def check_outputs(root: Place, wanted: Sequence[tuple[Backbone, Sequence[Filling]]]) -> str:
    """Refuse, before an image is decoded, outputs that a network lacks, and rows that would not fit on the disk.

    Pooled features alone are let through unasked: every backbone has them, and they are small.

    Parameters
    ----------
    root
        The cache.
    wanted
        Backbones, and what is to be filled of each.

    Returns
    -------
    str
        How much room the rows take, in words, where there are maps among them; else "".

    Raises
    ------
    UsageError
        If a network lacks an output; the message names those it has.
    CacheError
        If the disk has not as many bytes free as the rows take.
    """
    asked = [
        (backbone, fillings) for backbone, fillings in wanted if any(each.spec.output != POOLED for each in fillings)
    ]
    sizes = [(each, size) for backbone, fillings in asked for each, size in _row_bytes(backbone, fillings)]
    needed = sum(size * int(each.lacking.sum()) for each, size in sizes)
    free = bytes_free(root)
    if free is None or needed <= free:
        return _room_of_maps(sizes, needed, free)
    largest = sorted(sizes, key=lambda pair: -pair[1] * int(pair[0].lacking.sum()))[:_MOST_NAMED]
    named = "; ".join(
        f"{each.feature_set.backbone}: {size:,} bytes an image x {counted(int(each.lacking.sum()), 'image')}"
        for each, size in largest
    )
    message = (
        f"these features take {needed / 1e9:,.2f} GB ({named}), and the disk of the cache {root} has "
        f"{free / 1e9:,.2f} GB free. Leave {largest[0][0].feature_set.backbone} out, free space, or name a cache on "
        "another disk with --cache. Nothing was embedded"
    )
    raise CacheError(message)


def _room_of_maps(sizes: Sequence[tuple[Filling, int]], needed: int, free: int | None) -> str:
    """Return what maps take, each output once, since its views are as large."""
    of_maps = {each.feature_set.backbone.partition("~")[0]: size for each, size in sizes if each.spec.output in LARGE}
    if not of_maps:
        return ""
    named = "; ".join(f"{name}: {size:,} bytes an image" for name, size in of_maps.items())
    rows = counted(sum(int(each.lacking.sum()) for each, _ in sizes), "row")
    of_free = "" if free is None else f" of {free / 1e9:,.2f} GB free"
    return f"{named}; {rows} of all outputs and views take {needed / 1e9:,.2f} GB{of_free}"


def _row_bytes(backbone: Backbone, fillings: Sequence[Filling]) -> list[tuple[Filling, int]]:
    """Return the bytes of a row of each feature set: as its shards have it, else as the network's shapes tell."""
    known = {each.spec.output: each.feature_set.header().row_bytes for each in fillings if each.feature_set.shards()}
    unknown = [each.spec.output for each in fillings if each.spec.output not in known]
    if unknown:
        from stackbone.extract.networks.forms import forms_of

        known |= {form.output: form.row_bytes for form in forms_of(backbone, unknown)}
    return [(each, known[each.spec.output]) for each in fillings]
