"""Near copies of a model's training images among those that it is tested on, as far as a cache has their features.

A model's file names the images that it was fitted on by the beginnings of their digests, and holds none of their
features. The cache that it was made with has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import Digests, FeatureSet, FeatureStore, StackboneError, as_keys
from stackbone.cache.disk.digest import DIGEST_BYTES
from stackbone.cache.progress import Progress
from stackbone.cache.text import counted
from stackbone.stack.evaluation.near_copies import MOST_COMPARED
from stackbone.stack.folds.groups import SAME_PICTURE, near_known
from stackbone.stack.models.model import StackModel

MOST_PAIRS = MOST_COMPARED**2 // 2
"""Pairs compared without being asked for: as many as an experiment compares at most."""


@dataclass(frozen=True, eq=False)
class TrainingCopies:
    """What was found.

    Attributes
    ----------
    copies : NDArray[np.bool_], optional
        ``(n_images,)`` whether each tested image is a near copy of a training image; None where this could not be
        looked for.
    example : tuple of (int, bytes), optional
        Position of the first that is, and the digest of a training image that looks like it.
    doubt : str
        What could not be looked for, in a sentence; empty where all was.
    """

    copies: NDArray[np.bool_] | None
    example: tuple[int, bytes] | None = None
    doubt: str = ""


def comparable_training(
    model: StackModel, sets: Mapping[str, FeatureSet], n: int, *, most: int | None = MOST_PAIRS
) -> tuple[Digests, str]:
    """Return the training images of a model that n tested ones can be compared with.

    Parameters
    ----------
    model : StackModel
        The model.
    sets : mapping of str to FeatureSet
        By backbone of the model, the features of it.
    n : int
        Tested images.
    most : int, optional
        Pairs of a tested and a training image that are compared, at most; None for any number.

    Returns
    -------
    known : Digests
        ``(n_known, 32)`` SHA-256 of those whose features the cache has in every plain backbone; empty where nothing is
        to be compared.
    why : str
        Why nothing is, in a sentence; else empty.
    """
    plain = plain_sets(model, sets)
    nothing: Digests = np.zeros((0, DIGEST_BYTES), np.uint8)
    if not plain:
        return nothing, _not_looked("steered backbones cannot tell them")
    known = _training_digests(model, list(plain.values()))
    if not len(known):
        no_names = "its file does not name the images it was fitted on"
        return nothing, _not_looked(no_names if model.seen is None else "the cache has no features of them")
    if most is not None and n * len(known) > most:
        why = _not_looked(f"comparing {n:,} images with {len(known):,} takes long")
        return nothing, f"{why}. Ask for it with --near-duplicates {SAME_PICTURE:g}"
    return known, ""


def plain_sets(model: StackModel, sets: Mapping[str, FeatureSet]) -> dict[str, FeatureSet]:
    """Return the features that tell near copies, by backbone: steering may move what looks alike apart."""
    return {each.name: sets[each.name] for each in model.backbones if each.spec.steering is None}


def near_training(
    model: StackModel,
    features: Mapping[str, NDArray[np.float32]],
    plain: Mapping[str, FeatureSet],
    known: Digests,
    threshold: float,
    *,
    progress: Progress | None = None,
) -> TrainingCopies:
    """Look for near copies of a model's training images.

    Parameters
    ----------
    model : StackModel
        The model.
    features : mapping of str to NDArray[np.float32]
        ``(n_images, dim)`` features of the tested images, none of which is a training image, in each of `plain`.
    plain : mapping of str to FeatureSet
        What `plain_sets` returns.
    known : Digests
        ``(n_known, 32)`` SHA-256 of the training images, one at least: see `comparable_training`.
    threshold : float
        Least cosine, in every plain backbone.
    progress : callable, optional
        See `cache.progress.Progress`.

    Raises
    ------
    CacheError
        If features are damaged.
    """
    n = len(next(iter(features.values())))
    blocks = {name: np.concatenate([features[name], each.load(known)]) for name, each in plain.items()}
    found = near_known(blocks, n, threshold, progress=progress)
    copies = found >= 0
    first = int(copies.argmax())
    example = (first, known[found[first] - n].tobytes()) if copies.any() else None
    lacking = model.n_images - len(known)
    doubt = (
        f"near copies of {counted(lacking, 'training image')} of {model.n_images:,} were not looked for: the cache has "
        "no features of them"
        if lacking > 0
        else ""
    )
    return TrainingCopies(copies, example, doubt)


def path_of(digest: bytes, store: FeatureStore) -> str:
    """Return what a dataset of a cache calls an image, or the beginning of its digest."""
    for name in store.dataset_names():
        try:
            index = store.dataset(name)
        except StackboneError:  # what is damaged or gone, `verify` tells
            continue
        rows = np.flatnonzero((index.image_sha256 == np.frombuffer(digest, np.uint8)).all(axis=1))
        if len(rows):
            return index.path[int(rows[0])]
    return f"the image of SHA-256 {digest.hex()[:16]}..."


def _training_digests(model: StackModel, sets: Sequence[FeatureSet]) -> Digests:
    """Return the ``(n, 32)`` digests of the training images that all feature sets have."""
    if model.seen is None:
        return np.zeros((0, DIGEST_BYTES), np.uint8)
    shared = reduce(np.intersect1d, [np.unique(as_keys(each.digests())) for each in sets])
    digests: Digests = np.frombuffer(shared.tobytes(), np.uint8).reshape(-1, DIGEST_BYTES)
    known = model.knows(digests)
    found: Digests = digests[np.zeros(len(digests), np.bool_) if known is None else known]
    return found


def _not_looked(why: str) -> str:
    return f"near copies of the model's training images were not looked for: {why}"
