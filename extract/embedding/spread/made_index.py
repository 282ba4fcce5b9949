"""The index of a dataset as a run makes it: what is to be written, and what the cache knows already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, DatasetIndex, Digests, FeatureStore, StackboneError
from stackbone.cache.boxes.box_table import BoxTable
from stackbone.cache.disk.digest_sets import are_among, digest_heads
from stackbone.cache.findings.found import Finding, remove_findings
from stackbone.cache.hdf5.coded_texts import are_told
from stackbone.cache.places.place import Place
from stackbone.cache.records.indexes.index_file import index_path, read_index
from stackbone.extract.embedding.report import REMARK_MARK
from stackbone.extract.embedding.spread.findings import is_same_listing
from stackbone.extract.embedding.spread.image_part import ImagePart
from stackbone.extract.images.opening import TRUNCATED


@dataclass(frozen=True, eq=False)
class MadeIndex:
    """A dataset's index, with digests and what is known of failures.

    Attributes
    ----------
    index
        The index.
    n_hashed
        How many files were read.
    old
        The index of the run before; of no images if there was none.
    boxes, old_boxes
        Those of the dataset's objects, now and of the run before; None where there are none.
    earlier, findings
        What parts of earlier runs found out, by digest, and in which files: `old` tells it, too.
    part
        The part of the images that the run is about; None for all.
    """

    index: DatasetIndex
    n_hashed: int
    old: DatasetIndex
    boxes: BoxTable | None = None
    old_boxes: BoxTable | None = None
    earlier: Mapping[bytes, Finding] = field(default_factory=dict)
    findings: Sequence[Place] = ()
    part: ImagePart | None = None

    def write(self, store: FeatureStore, index: DatasetIndex | None = None) -> None:
        """Commit the index, or `index` in its place, and the boxes; what is in the index need lie beside it no more.

        Of a part of the images the index is committed only if it is not there: other parts run at the same time, and
        what they find lies beside it.

        Raises
        ------
        CacheError
            If the cache cannot be written.
        """
        self.write_boxes(store)  # before the index, which says of archives that their annotations were read
        if self.part is None or not self._is_there(store):
            store.write_dataset(index or self.index)
        if self.part is None:
            remove_findings(self.findings)

    def _is_there(self, store: FeatureStore) -> bool:
        with suppress(CacheError, FileNotFoundError):
            return is_same_listing(read_index(index_path(store.root, self.index.name)), self.index)
        return False

    def write_boxes(self, store: FeatureStore) -> None:
        """Commit the boxes in the place of those of the run before, if they are others; `CacheError` if that fails."""
        now, before = self.boxes, self.old_boxes
        if now is not before and (now is None or before is None or not now.equals(before)):
            store.write_boxes(self.index.name, now)

    def known_remarks(self, store: FeatureStore, found: Digests, is_cut: NDArray[np.bool_]) -> dict[bytes, list[str]]:
        """Return how images were read that are not read now, as far as the cache tells and the index does not.

        Parameters
        ----------
        found
            (n, 32) uint8: images whose features are in the cache.
        is_cut
            (n,) bool: which of them are cut short, as the shards say. Whatever else was said of an image that the
            dataset has for the first time, the indexes of other datasets say.

        Returns
        -------
        dict
            Remarks by digest.
        """
        remarks: dict[bytes, list[str]] = {}
        new = digest_heads(found[~are_among(found, self.old.image_sha256)])
        for name in store.dataset_names() if len(new) else ():
            with suppress(StackboneError):  # what is damaged or gone, `verify` tells
                remarks |= _told(store.dataset(name), new)
        known = _told(self.index, digest_heads(found[is_cut])) if is_cut.any() else {}
        for digest in map(bytes, found[is_cut]):
            said = remarks.get(digest) or known.get(digest, [])
            if TRUNCATED not in said:
                remarks[digest] = [*said, TRUNCATED]
        return remarks


def _told(index: DatasetIndex, heads: NDArray[np.uint64]) -> dict[bytes, list[str]]:
    """Return what an index tells of how images were read, by digest."""
    rows = np.flatnonzero(are_told(index.reason) & index.ok)
    rows = rows[np.isin(digest_heads(index.image_sha256[rows]), heads)]
    return {index.image_sha256[row].tobytes(): index.reason[row].split(REMARK_MARK) for row in rows}
