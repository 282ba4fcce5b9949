"""Which features the folds of an experiment were scored on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import CacheError, FeatureSet, FeatureStore
from stackbone.stack.experiments.experiment import Experiment


@dataclass(frozen=True)
class UsedFeatures:
    """The features of one backbone.

    Attributes
    ----------
    name : str
        Of the backbone in the experiment.
    feature_sets : list of FeatureSet
        One for all folds, or, of a steered backbone, one for each.
    per_fold : bool
        Which of the two.
    """

    name: str
    feature_sets: list[FeatureSet]
    per_fold: bool

    def of_fold(self, number: int) -> FeatureSet:
        """Return what the outer fold of this number, from 0, was scored on."""
        return self.feature_sets[number] if self.per_fold else self.feature_sets[0]


def used_features(experiment: Experiment, store: FeatureStore) -> list[UsedFeatures]:
    """Return the features of each backbone, in the experiment's order.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    store : FeatureStore
        The cache it was made with.

    Raises
    ------
    CacheError
        If a feature set has left the cache since.
    """
    here = {each.id: each for each in store.feature_sets()}
    used = []
    for name, identity in experiment.backbones.items():
        ids = [identity] if isinstance(identity, str) else list(identity)
        if gone := [each for each in ids if each not in here]:
            message = (
                f"the cache {store.root} has no feature set {gone[0]} any more, which the experiment was made with. "
                "Run `stackbone extract` to make it again, or `stackbone stack` with what is there"
            )
            raise CacheError(message)
        used.append(UsedFeatures(name, [here[each] for each in ids], per_fold=not isinstance(identity, str)))
    return used


def load_block(experiment: Experiment, used: UsedFeatures, number: int) -> NDArray[np.float32]:
    """Return the ``(n_images, dim)`` features that an outer fold was scored on, from memory where they are there.

    Parameters
    ----------
    experiment : Experiment
        Evaluated.
    used : UsedFeatures
        Of one backbone.
    number : int
        Of the fold, from 0.

    Raises
    ------
    CacheError
        If they have left the cache since, or are damaged.
    """
    block = None if used.per_fold else experiment.joined.blocks.get(used.name)
    return used.of_fold(number).load(experiment.joined.digests) if block is None else block
