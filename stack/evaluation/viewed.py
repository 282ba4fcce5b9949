"""Fits on several views of each image: every view is a row to learn from, and the mean of some of them is tested.

The rows of one image are the rows of one place, so whatever the folds keep apart stays apart: an image that is tested
has no view in the training part, outer or inner. Each image counts as much as without views: a row of V views weighs
1 / V, which for the objectives here is the same as C / V on repeated rows, and V equal views give what one gives.

What is averaged at test time are the features. For learners that are linear in them, which are all that a model's file
can hold, this is the mean of the views' decision values (the geometric mean of their probabilities, but for a
constant), out of fold and in a saved model alike; `bench/views.py` compares it with the mean of probabilities. Of
neighbours and prototypes, which go by directions, it is the answer to the mean of the features, and no mean of answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Block, Viewed
from stackbone.stack.learners.learner import BaseLearner, BaseOutcome, BaseScores, Part
from stackbone.stack.learners.options import StackOptions


def run_fit(
    learner: BaseLearner, features: Sequence[Block], part: Part, options: StackOptions, seed: int
) -> BaseOutcome:
    """Return what `BaseLearner.fit` does, one row an image, whether or not the features are of several views."""
    rows, own = spread(features, part)
    outcome = learner.fit(rows, own, options, seed)
    if own is part or not isinstance(outcome, BaseScores):
        return outcome
    return replace(outcome, out_of_fold=outcome.out_of_fold[-len(part.y_train) :].copy())


def view_settings(features: Sequence[Block]) -> dict[str, object]:
    """Return what several views add to a key of the score cache, beside the features themselves."""
    viewed = [each for each in features if isinstance(each, Viewed)]
    return {"views": viewed[0].n_views} if viewed else {}


def size_settings(
    learner: BaseLearner, features: Sequence[Block], part: Part, options: StackOptions
) -> dict[str, object]:
    """Return what the size of a fit adds to a key of the score cache: nothing but where it is fitted another way."""
    rows, own = spread(features, part)
    return learner.size_settings(len(own.y_train), sum(each.shape[1] for each in rows), options)


def view_sets(features: Sequence[Block]) -> list[str]:
    """Return the ids of the feature sets of all views."""
    return [identity for each in features if isinstance(each, Viewed) for identity in each.feature_sets]


def spread(features: Sequence[Block], part: Part) -> tuple[list[NDArray[np.float32]], Part]:
    """Return features with a row for each view, and the part that learns from these and tests the mean.

    Parameters
    ----------
    features : sequence of Block
        Of each backbone, all of the same views or none of any.
    part : Part
        Of the images.

    Returns
    -------
    rows : list of NDArray[np.float32]
        ``((n_views + 1) * n_images, dim)`` of each backbone, view after view; no copy is made.
    spread : Part
        Its training part has those of the views first, then the means, which the inner folds test.
    """
    viewed = [each for each in features if isinstance(each, Viewed)]
    plain = [each for each in features if not isinstance(each, Viewed)]
    if not viewed:
        return plain, part
    if plain or len({each.values.shape[:2] for each in viewed}) > 1:
        message = "all backbones of a fit have features of the same views"
        raise ValueError(message)
    n_views, n_images = viewed[0].n_views, len(viewed[0].tested)
    n_train = len(part.y_train)
    inner = [Fold(_repeat(fold.train, n_views, n_train), n_views * n_train + fold.test) for fold in part.inner]
    own = Part(
        number=part.number,
        fold=Fold(_repeat(part.fold.train, n_views + 1, n_images), n_views * n_images + part.fold.test),
        y_train=np.concatenate([part.y_train] * (n_views + 1)),
        n_classes=part.n_classes,
        inner=inner,
        fitted=np.arange(n_views * n_train),
        weight=1 / n_views,
        row_weights=None if part.row_weights is None else np.tile(part.row_weights, n_views + 1),
        sample_weights=None if part.sample_weights is None else np.tile(part.sample_weights, n_views + 1),
        metric=part.metric,
    )
    return [each.values.reshape(-1, each.values.shape[2]) for each in viewed], own


def _repeat(rows: NDArray[np.int64], times: int, distance: int) -> NDArray[np.int64]:
    """Return rows so many times, each time so much further on."""
    return (np.arange(times)[:, None] * distance + rows).reshape(-1)
