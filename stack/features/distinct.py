"""Each image of a dataset once, however many files show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, StackError
from stackbone.cache.disk.digest_sets import first_rows
from stackbone.cache.hdf5.coded_texts import are_told
from stackbone.cache.text import counted


def distinct_rows(index: DatasetIndex) -> NDArray[np.int64]:
    """Return one row of each sound image, ascending: of several copies the first that has a label, else the first.

    Raises
    ------
    StackError
        If no image is sound.
    """
    sound = np.flatnonzero(index.ok)
    if not len(sound):
        message = (
            f"none of the {counted(len(index), 'file')} of the dataset {index.name!r} could be read. "
            "`stackbone inspect` says why: correct that, and extract them again"
        )
        raise StackError(message)
    ordered = sound[np.argsort(~are_told(index.label)[sound], kind="stable")]
    return np.sort(ordered[first_rows(index.image_sha256[ordered])])
