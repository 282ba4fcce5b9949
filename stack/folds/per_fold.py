"""Features that differ from fold to fold, beside those that do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


Features = NDArray[np.float32] | PerFold
"""One backbone's ``(n_images, dim)`` features: the same in every outer fold, or its own in each."""


def of_fold(features: Features, number: int) -> NDArray[np.float32]:
    """Return the ``(n_images, dim)`` features that an outer fold, counted from 0, may use."""
    return features.blocks[number] if isinstance(features, PerFold) else features


def nested_of(features: Features, number: int) -> Nested | None:
    """Return the features for the inner folds of an outer fold, counted from 0, if there are any."""
    return features.nested[number] if isinstance(features, PerFold) and features.nested else None


def distinct_blocks(blocks: Mapping[str, Features]) -> list[tuple[str, NDArray[np.float32]]]:
    """Return every array once, with the name of its backbone."""
    found: list[tuple[str, NDArray[np.float32]]] = []
    for name, features in blocks.items():
        arrays: list[NDArray[np.float32]] = [features] if not isinstance(features, PerFold) else [*features.blocks]
        if isinstance(features, PerFold):
            arrays += [array for nested in features.nested or [] for array in nested.blocks]
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
