"""What is kept of the features of new images: a model's decisions, and how far the images are from those it knows.

Both are made while features are read, some images at a time: features of a million images are gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.folds.per_fold import mean_of_views
from stackbone.stack.models.model import StackModel

Matrix = NDArray[np.float32]


def readers(model: StackModel) -> dict[str, Callable[[Matrix], Matrix]]:
    """Return what to keep of ``(n, dim)`` features of each of a model's feature sets, by id, for `read_out`."""
    return {identity: partial(_read, model, each.name) for each in model.backbones for identity in each.specs}


def read_out(model: StackModel, kept: Mapping[str, Matrix]) -> tuple[list[Matrix], NDArray[np.float64] | None]:
    """Return what a model says of images, of what was kept of their features.

    Parameters
    ----------
    model
        Of any task.
    kept
        What `readers` make of the features of each feature set; the same images in each.

    Returns
    -------
    decisions : list of NDArray[np.float32]
        What `StackModel.decide` returns for each backbone, in order.
    further_than : NDArray[np.float64] or None
        ``(n,)`` shares of the training images, 0 to 1, that the images are further away than; of several views the
        mean of their distances counts. None where the model cannot tell.
    """
    n_columns = model.n_outputs * model.n_heads
    decisions = model.decisions({identity: each[:, :n_columns] for identity, each in kept.items()})
    if model.novelty is None:
        return decisions, None
    apart = [
        mean_of_views([kept[identity][:, -1] for identity in each.specs])
        for each in model.backbones
        if each.name in model.novelty.features
    ]
    return decisions, model.novelty.further_than(apart)


def further_than(model: StackModel, blocks: Mapping[str, Matrix]) -> NDArray[np.float64] | None:
    """Return the same shares of ``(n, dim)`` features by backbone, which must be the model's: see `StackModel.decide`.

    None where the model cannot tell, and where it takes several views, whose distances are measured one by one.
    """
    novelty = model.novelty
    if novelty is None or any(each.others for each in model.backbones):
        return None
    return novelty.further_than([novelty.distances(name, blocks[name]) for name in novelty.features])


def _read(model: StackModel, name: str, features: Matrix) -> Matrix:
    """Return decisions and, in one column more, distances where the backbone has any."""
    decisions: Sequence[Matrix] = [model.decide(name, features)]
    if model.novelty is not None and name in model.novelty.features:
        decisions = [*decisions, model.novelty.distances(name, features)[:, None]]
    return np.hstack(decisions)
