"""Features that differ from fold to fold, or from view to view, beside those that do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.disk.scratch import empty_array
from stackbone.cache.errors import StackError


@dataclass(frozen=True, eq=False)
class Nested:
    """Features for the inner folds of one outer fold, each by a steering that saw no label of the fold's test part.

    Attributes
    ----------
    blocks : list of NDArray[np.float32]
        One per inner fold, ``(n_images, dim)``.
    feature_sets : list of str
        Ids of the feature sets that they are of.
    """

    blocks: list[NDArray[np.float32]]
    feature_sets: list[str]


@dataclass(frozen=True, eq=False)
class PerFold:
    """Features of a backbone that is another one in each outer fold: steered by labels, never by the test part's.

    Attributes
    ----------
    blocks : list of NDArray[np.float32]
        One per outer fold, ``(n_images, dim)``; folds that share features share the array.
    nested : list of Nested, optional
        One per outer fold; None where no steering is of an inner fold.
    """

    blocks: list[NDArray[np.float32]]
    nested: list[Nested] | None = None


@dataclass(frozen=True, eq=False)
class Viewed:
    """Features of a backbone of several views of each image.

    Attributes
    ----------
    values : NDArray[np.float32]
        ``(n_views + 1, n_images, dim)``: those of the views that are trained on, and last what is tested, which is the
        mean over the views that are.
    feature_sets : tuple of str
        Ids of all feature sets that they are of.
    """

    values: NDArray[np.float32]
    feature_sets: tuple[str, ...]

    @property
    def n_views(self) -> int:
        """Views of each image that are trained on."""
        return len(self.values) - 1

    @property
    def tested(self) -> NDArray[np.float32]:
        """``(n_images, dim)`` what is tested."""
        tested: NDArray[np.float32] = self.values[-1]
        return tested

    def take(self, positions: NDArray[np.int64]) -> Viewed:
        """Return the features of some of the images."""
        values = empty_array((len(self.values), len(positions), self.values.shape[2]))
        for place, view in enumerate(self.values):
            values[place] = view[positions]
        return Viewed(values, self.feature_sets)


def mean_of_views(views: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the ``(n_images, dim)`` mean of the features of several views: what is tested, in folds and by a model."""
    total = views[0].copy()
    for each in views[1:]:
        total += each
    total /= np.float32(len(views))
    return total


Block = NDArray[np.float32] | Viewed
"""What a fold sees of a backbone: ``(n_images, dim)`` features, or those of several views."""
Features = Block | PerFold
"""One backbone's features: the same in every outer fold, or its own in each."""


def of_fold(features: Features, number: int) -> Block:
    """Return the features that an outer fold, counted from 0, may use."""
    return features.blocks[number] if isinstance(features, PerFold) else features


def n_columns(blocks: Mapping[str, Features]) -> int:
    """Return how many columns all backbones have together."""
    first = (of_fold(each, 0) for each in blocks.values())
    return sum((each.tested if isinstance(each, Viewed) else each).shape[1] for each in first)


def nested_of(features: Features, number: int) -> Nested | None:
    """Return the features for the inner folds of an outer fold, counted from 0, if there are any."""
    return features.nested[number] if isinstance(features, PerFold) and features.nested else None


def distinct_blocks(blocks: Mapping[str, Features]) -> list[tuple[str, NDArray[np.float32]]]:
    """Return every array once, with the name of its backbone."""
    found: list[tuple[str, NDArray[np.float32]]] = []
    for name, features in blocks.items():
        arrays: list[NDArray[np.float32]]
        if isinstance(features, PerFold):
            arrays = [*features.blocks, *(array for nested in features.nested or [] for array in nested.blocks)]
        else:
            arrays = [*features.values] if isinstance(features, Viewed) else [features]
        found += [(name, array) for array in {id(array): array for array in arrays}.values()]
    return found


def check_per_fold(blocks: Mapping[str, Features], n_folds: int) -> None:
    """Require features of every fold.

    Raises
    ------
    StackError
        If those that differ from fold to fold are of more or fewer folds.
    """
    for name, features in blocks.items():
        if isinstance(features, PerFold) and len(features.blocks) != n_folds:
            message = (
                f"features of {name!r} are of {len(features.blocks)} folds, and there are {n_folds}: "
                "choose them for these very folds"
            )
            raise StackError(message)


def check_nested(name: str, nested: Nested, n_inner: int) -> None:
    """Require features of every inner fold.

    Raises
    ------
    StackError
        If there are those of more or fewer inner folds.
    """
    if len(nested.blocks) != n_inner:
        message = (
            f"features of {name!r} are of {len(nested.blocks)} inner folds, and there are {n_inner}: "
            "choose them for these very folds"
        )
        raise StackError(message)
