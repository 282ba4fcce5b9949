"""What a meta-learner sees of a training part whose inner folds follow the order of time.

The rows before the first inner test part have no out-of-fold scores, and an inner training part has fewer of them than
its base learners had rows. So the meta-learner sees the rows that have scores, and chooses its own strength on them by
leaving out one inner test part at a time: its few numbers are chosen inside the training part, and not in time. Images
of one group may lie in two of these parts, since groups are kept apart between an inner training and test part alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stackbone.stack.folds.fold import Fold
from stackbone.stack.learners.learner import BaseScores, Part


def meta_rows(scores: Sequence[BaseScores], part: Part) -> tuple[list[BaseScores], Part]:
    """Return the scores of the rows that have some, and the part as a meta-learner is to see it.

    Parameters
    ----------
    scores : sequence of BaseScores
        One per backbone.
    part : Part
        Their part. Where every inner fold trains on all rows that it does not test, it is returned as it is.
    """
    n = len(part.y_train)
    if all(len(fold.train) + len(fold.test) == n for fold in part.inner):
        return list(scores), part
    scored = np.sort(np.concatenate([fold.test for fold in part.inner]))
    inner = [Fold.testing(np.searchsorted(scored, fold.test), len(scored)) for fold in part.inner]
    seen = replace(
        part,
        fold=Fold(part.fold.train[scored], part.fold.test),
        y_train=part.y_train[scored],
        inner=inner,
        row_weights=None if part.row_weights is None else part.row_weights[scored],
        sample_weights=None if part.sample_weights is None else part.sample_weights[scored],
    )
    return [replace(each, out_of_fold=each.out_of_fold[scored]) for each in scores], seen
