"""A feature set being filled: which images it lacks, and its rows that are not on disk yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import FeatureSet, FeatureSpec
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.records.provenance import named_cut
from stackbone.extract.backbones.outputs import OutputForm

COMMIT_BYTES = 4 << 20  # of features at most in a shard; every copy made of them on their way to disk is as large


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

    def has_room(self, n_rows: int) -> bool:
        """Return whether there is a place for so many more rows before a commit."""
        return not self.n_uncommitted or self.n_uncommitted + n_rows <= len(self._features)

    def keep(self, digests: Sequence[bytes], features: NDArray[np.floating]) -> None:
        """Keep the rows (n, n_columns) of some images; there must be room for them, or nothing uncommitted."""
        if len(features) > len(self._features):
            n_rows = max(len(features), COMMIT_BYTES // features[0].nbytes)
            self._digests = np.empty((n_rows, DIGEST_BYTES), np.uint8)
            self._features = np.empty((n_rows, features.shape[1]), features.dtype)
        rows = slice(self.n_uncommitted, self.n_uncommitted + len(features))
        self._digests[rows] = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST_BYTES)
        self._features[rows] = features
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
        self.feature_set.append(self.spec, self._digests[:n], self._features[:n], told, form.row)
        self.n_uncommitted = 0
        self.n_embedded += n
