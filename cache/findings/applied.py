"""An index with what parts of runs found out since it was written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from stackbone.cache.disk.digest import DIGEST_BYTES, Digests, FileStamps
from stackbone.cache.disk.digest_sets import are_among
from stackbone.cache.findings.found import UNREAD, Finding, read_findings
from stackbone.cache.hdf5.coded_texts import code_texts
from stackbone.cache.places.place import Place
from stackbone.cache.records.indexes.index import FAILED, OK, DatasetIndex
from stackbone.cache.records.indexes.index_file import read_index


def read_whole_index(cache_root: Place, path: Place) -> DatasetIndex:
    """Return the index at `path` with the findings beside it; errors as `read_index` and `read_findings`.

    The index is read last: findings that go into it meanwhile are seen twice, and none is missed.
    """
    found = read_findings(cache_root, path.stem)
    return with_findings(read_index(path), found)


def read_listed_digests(cache_root: Place, path: Place) -> Digests:
    """Return ``(n, 32) uint8``: the digests that a dataset lists, and those that findings beside its index are about.

    So an image is among them whose file could not be read since, and of which `read_whole_index` tells no digest.
    Errors as of `read_whole_index`.
    """
    found = read_findings(cache_root, path.stem)
    return np.concatenate([read_index(path).image_sha256, _digests_of(found)])


def with_findings(index: DatasetIndex, found: Mapping[bytes, Finding]) -> DatasetIndex:
    """Return the index with what was found of images, by digest.

    An image whose file could not be read has no digest any more, so that the next run reads it again.
    """
    if not found:
        return index
    reasons, digests, stamps = list(index.reason), index.image_sha256.copy(), index.stamps.values.copy()
    status = index.status.copy()
    for row in np.flatnonzero(are_among(index.image_sha256, _digests_of(found))).tolist():
        finding = found[index.image_sha256[row].tobytes()]
        reasons[row], status[row] = finding.reason, FAILED if finding.status else OK
        if finding.status == UNREAD:
            digests[row], stamps[row, 0] = np.uint8(0), -1
    return replace(index, status=status, reason=code_texts(reasons), image_sha256=digests, stamps=FileStamps(stamps))


def _digests_of(found: Mapping[bytes, Finding]) -> Digests:
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, DIGEST_BYTES)
