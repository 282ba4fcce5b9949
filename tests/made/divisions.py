"""A made dataset of two classes, and its outer folds by any plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stackbone.cache import DatasetIndex, FileStamps
from stackbone.stack.divisions.division import Division, choose_plan
from stackbone.stack.divisions.labelled_images import LabelledImages, label_images
from stackbone.stack.divisions.outer_folds import outer_folds
from stackbone.stack.folds.fold import Fold

N = 24
LABELS = ["cat", "dog"] * 12
FOLDS = [str(i // 8 + 1) for i in range(N)]


def made(labels: Sequence[str] = LABELS, **columns: Any) -> DatasetIndex:  # noqa: ANN401 - columns of several types
    n = len(labels)
    index = DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"in/{i}.jpg" for i in range(n)],
        label=list(labels),
        split=[""] * n,
        group=[""] * n,
        image_sha256=np.random.default_rng(0).integers(256, size=(n, 32), dtype=np.uint8),
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )
    return replace(index, **columns)


def divide(index: DatasetIndex, **asked: Any) -> tuple[LabelledImages, list[Fold]]:  # noqa: ANN401 - as above
    own = {name: asked.pop(name, None) for name in ("cv", "split", "folds", "time_column")}
    division = Division(**choose_plan(**own), inner_splits=2, **asked)
    return outer_folds(label_images(index, group_by=division.group_by), division)


def rows_tested(folds: Sequence[Fold]) -> list[list[int]]:
    return [fold.test.tolist() for fold in folds]
