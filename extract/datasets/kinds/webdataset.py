"""WebDataset: tar shards whose images have files of their own beside them, see `datasets.archives.samples`."""

from __future__ import annotations

from stackbone.extract.datasets.archives.samples import has_samples, list_samples
from stackbone.extract.datasets.kind import DatasetKind

KIND = DatasetKind(
    name="webdataset",
    what="WebDataset shards: tar archives, a folder of them, or 'shards/{000000..000999}.tar'",
    recognises=has_samples,
    read=list_samples,
    place=27,
    takes_columns=True,
    takes_levels=True,
)
