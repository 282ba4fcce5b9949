"""What a part of a run leaves behind for the index, without writing it: others may write it at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stackbone.cache import FAILED, DatasetIndex, Digests
from stackbone.cache.findings.found import FAILED as LASTING
from stackbone.cache.findings.found import READ, UNREAD, Finding
from stackbone.extract.embedding.embedder import Failure
from stackbone.extract.embedding.report import REMARK_MARK


def as_findings(failed: Mapping[bytes, Failure], remarks: Mapping[bytes, Sequence[str]]) -> dict[bytes, Finding]:
    """Return what a run found out about images, by digest: failures, and how others were read.

    Parameters
    ----------
    failed, remarks
        As of `embed_images`.
    """
    found = {digest: Finding(READ, REMARK_MARK.join(each)) for digest, each in remarks.items()}
    return found | {
        digest: Finding(LASTING if each.lasting else UNREAD, each.reason) for digest, each in failed.items()
    }


def with_mended(
    found: dict[bytes, Finding], images: Digests, before: DatasetIndex, earlier: Mapping[bytes, Finding]
) -> dict[bytes, Finding]:
    """Return what a part of a run found out, and that images were read now which failed before.

    Parameters
    ----------
    found
        By digest, from `as_findings`.
    images
        (n, 32) uint8 of the images that it went through.
    before
        The index before the run, with the findings of earlier ones.
    earlier
        Those findings: of a file that could not be read `before` does not tell the digest.
    """
    once = {digest for digest, each in earlier.items() if each.status != READ}
    once |= {row.tobytes() for row in before.image_sha256[before.status == FAILED]}
    mended = (once & set(map(bytes, images))) - found.keys() if once else set()
    return found | dict.fromkeys(sorted(mended), Finding(READ))


def is_same_listing(one: DatasetIndex, other: DatasetIndex) -> bool:
    """Return whether two indexes list the same files with the same bytes, labels and notes, whatever was found out."""
    texts = ("root", "path", "label", "split", "group", "label_form")
    sizes = [np.zeros((0, 2), np.int64) if each.sizes is None else each.sizes for each in (one, other)]
    return (
        all(getattr(one, name) == getattr(other, name) for name in texts)
        and dict(one.columns) == dict(other.columns)
        and np.array_equal(one.image_sha256, other.image_sha256)
        and np.array_equal(one.stamps.values, other.stamps.values)
        and np.array_equal(sizes[0], sizes[1])
        and one.listed.to_json() == other.listed.to_json()
    )
