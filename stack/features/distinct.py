"""Each image of a dataset once, however many files show it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import DatasetIndex, StackError, as_keys
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
    ordered = sound[np.argsort([index.label[row] == "" for row in sound], kind="stable")]
    _, first = np.unique(as_keys(index.image_sha256[ordered]), return_index=True)
    return np.sort(ordered[first])
