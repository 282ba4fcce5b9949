"""A feature set being filled: which images it lacks, and its rows that are not on disk yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSet, FeatureSpec
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.records.provenance import named_cut
from stackbone.extract.backbones.backbone import LETTERBOX
from stackbone.extract.backbones.outputs import OutputForm

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
