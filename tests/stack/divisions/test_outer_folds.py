"""What folds leave out, or never test, is said."""

from __future__ import annotations

import numpy as np
import pytest

from stackbone.cache import DatasetIndex, FileStamps
from stackbone.stack.divisions.division import Division
from stackbone.stack.divisions.labelled_images import label_images
from stackbone.stack.divisions.outer_folds import outer_folds

KEPT = "in every training part and never scored, too few for 3 folds"


def made_index(labels: list[str], groups: list[str] | None = None) -> DatasetIndex:
    n = len(labels)
    return DatasetIndex(
        name="photos",
        root="/photos",
        path=[f"{i}.jpg" for i in range(n)],
        label=labels,
        split=[""] * n,
        group=groups or [""] * n,
        image_sha256=np.random.default_rng(n).integers(256, size=(n, 32), dtype=np.uint8),
        status=np.zeros(n, np.uint8),
        reason=[""] * n,
        stamps=FileStamps(np.full((n, 4), -1, np.int64)),
    )


@pytest.mark.parametrize(
    ("rare", "labels", "notes"),
    [
        ("drop", [*"aaaaaabbbbbbc"], ["left out, too few for 3 folds (1 image): c"]),
        ("drop", [*"aaaaaabbbbbbccd"], ["left out, too few for 3 folds (3 images): c, d"]),
        ("keep", [*"aaaaaabbbbbbc"], [f"{KEPT} (1 image): c"]),
        ("keep", [*"aaaaaabbbbbbccd"], [f"{KEPT} (3 images): c, d"]),
        ("keep", [*"aaaaaabbbbbbccc"], []),
        ("refuse", [*"aaaaaabbbbbb"], []),
    ],
)
def test_rare_classes_are_named_with_what_becomes_of_them(rare: str, labels: list[str], notes: list[str]) -> None:
    images, folds = outer_folds(label_images(made_index(labels)), Division(cv=3, rare=rare))
    assert images.notes == notes
    never_tested = labels.count("c") + labels.count("d") if rare == "keep" and notes else 0
    assert len(images.rows) == sum(len(fold.test) for fold in folds) + never_tested


def test_images_that_share_a_group_with_a_rare_class_are_counted_among_those_never_scored() -> None:
    labels, groups = [*"aaaaaabbbbbbca"], [*map(str, range(12)), "shared", "shared"]
    images, _ = outer_folds(label_images(made_index(labels, groups)), Division(cv=3, rare="keep"))
    assert images.notes == [f"{KEPT} (2 images): c"]
