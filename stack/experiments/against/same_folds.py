"""Whether two results are of the same folds of the same images, and by how much one is better on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackbone.stack.divisions.division import DEALT, GIVEN, ORDERED, UNNAMED
from stackbone.stack.experiments.against.earlier import Earlier
from stackbone.stack.experiments.against.image_answers import ImagesTested
from stackbone.stack.metrics.compare import Difference, paired_difference
from stackbone.stack.metrics.metrics import METRICS

FOLDS: dict[str, tuple[str, Any]] = {
    "cv": ("--cv", None),
    "repeats": ("--repeats", 1),
    "split": ("--split", None),
    "seed": ("--seed", 0),
    "group_by": ("--group-by", "auto"),
    "near_duplicates": ("--near-duplicates", None),
    "rare": ("--rare", "refuse"),
    "dealing": ("--dealing", UNNAMED),
    "plan": ("", DEALT),
    "column": ("", None),
}
"""What says which images are tested when: its option, and what a result that does not name it had."""

_SAME_FOLDS = 0.8  # of the images that both tested, at least, in the same fold
_SAME_DATASET = 0.5  # of the images of the larger one, at least, in both


@dataclass(frozen=True, eq=False)
class SharedImages:
    """Images that two results tested, an earlier one and one of now.

    Attributes
    ----------
    rows : list of (int, int)
        Row of each image before, and now.
    same : list of (int, int)
        Those in the same fold.
    n_new, n_gone, n_moved, n_relabelled : int
        Images that are tested now only; that were before only; whose paths differ; whose labels differ.
    """

    rows: list[tuple[int, int]]
    same: list[tuple[int, int]]
    n_new: int
    n_gone: int
    n_moved: int
    n_relabelled: int

    @property
    def n_other_fold(self) -> int:
        """Images that are in another fold."""
        return len(self.rows) - len(self.same)

    @property
    def is_same(self) -> bool:
        """Whether both are of the same images with the same labels, each in the same fold."""
        return not (self.n_new or self.n_gone or self.n_relabelled or self.n_other_fold)

    @property
    def is_one_dataset(self) -> bool:
        """Whether both share enough images to be of one dataset."""
        return len(self.rows) >= _SAME_DATASET * (len(self.rows) + max(self.n_new, self.n_gone))

    @property
    def keeps_folds(self) -> bool:
        """Whether enough of the shared images are in the same fold for answers to be compared on these."""
        return len(self.same) >= _SAME_FOLDS * len(self.rows)


def share_images(before: ImagesTested, now: ImagesTested) -> SharedImages:
    """Return which images two results share, known by their bytes."""
    place = {image: row for row, image in enumerate(before.images)}
    rows = [(place[image], row) for row, image in enumerate(now.images) if image in place]
    return SharedImages(
        rows=rows,
        same=[(old, new) for old, new in rows if before.folds[old] == now.folds[new]],
        n_new=len(now) - len(rows),
        n_gone=len(before) - len(rows),
        n_moved=sum(before.paths[old] != now.paths[new] for old, new in rows),
        n_relabelled=sum(before.labels[old] != now.labels[new] for old, new in rows),
    )


def differing_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the names in `FOLDS` whose values two results differ in."""
    return [name for name, (_, default) in FOLDS.items() if before.get(name, default) != now.get(name, default)]


def fold_sizes(result: Earlier) -> tuple[int, int] | None:
    """Return the mean number of training and of test images, as `mean_sizes` of its folds; None if it does not tell.

    Where folds follow a time and have groups, images that a training part leaves out for these are counted to it.
    """
    n, plan = int(result.content["n_images"]), result.content.get("plan", DEALT)
    n_folds = len(next(iter(result.scores.values()))) / int(result.content.get("repeats", 1))
    if result.images is not None:
        tested = np.unique(result.images.folds, return_counts=True)[1]
        if len(tested) != n_folds:
            return None
        # Folds are trained on all that they do not test; those in the order of time on what was before.
        held_out = tested[::-1].cumsum() if plan == ORDERED else tested
        n_train, n_test = round(np.mean(n - held_out)), round(np.mean(tested))
    elif plan in (GIVEN, ORDERED) or result.content.get("rare") == "keep":  # some images may never be tested
        return None
    else:
        n_train, n_test = round(n - n / n_folds), round(n / n_folds)
    return (n_train, n_test) if n_train > 0 and n_test > 0 else None


def fold_gain(
    metric: str,
    now: Sequence[float],
    before: Sequence[float],
    sizes: tuple[int, int],
    *,
    tested: Sequence[int] | None = None,
) -> Difference:
    """Return by how much scores of folds are better than earlier ones.

    Parameters
    ----------
    metric : str
        Of the scores; where less is better, the gain is what they became less by.
    now, before : sequence of float
        ``(n_folds,)`` scores on the same folds, two or more.
    sizes : tuple of (int, int)
        Mean number of training and of test images.
    tested : sequence of int, optional
        ``(n_folds,)`` test images of each: see `stack.metrics.compare.paired_difference`.

    Raises
    ------
    StackError
        If there are not two folds at least, the same number of both, or a size is 0.
    """
    a, b = ([METRICS[metric].merit(each) for each in folds] for folds in (now, before))
    return paired_difference(a, b, *sizes, tested=tested)
