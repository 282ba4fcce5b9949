"""What a model keeps of its training images to know unlike ones, measured on these images themselves.

A training image is compared with the others as a new image will be: with those alone that are no near copies of it and
not of its group, since a new image has neither among them. Of a steered backbone only images whose labels its steering
did not see are measured: the others lie closer together than new ones do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache import as_keys
from stackbone.stack.features.join import Joined
from stackbone.stack.folds.groups import ROUNDING, SAME_PICTURE
from stackbone.stack.models.unlike.novelty import Novelty, joined, kth_distances, unit_rows

NEIGHBOUR = 5
"""Which neighbour counts: `bench/unlike.py` compares others."""
MOST_KEPT = 2_000
"""Training images whose features a model keeps: 2 bytes for each number."""
MOST_CALIBRATED = 5_000
"""Training images that are measured."""
FEWEST_CALIBRATED = 20
"""With fewer, being further than all of them happens to more than one in twenty images that are like them."""

_TILE_ROWS = 512  # images compared with all that are kept at a time: 4 MiB of cosines for each view


def find_novelty(images: Joined, seed: int, *, k: int = NEIGHBOUR) -> Novelty | None:
    """Return what it takes to say how far an image is from those that a model is fitted on.

    Parameters
    ----------
    images : Joined
        What the model is fitted on, one feature set of each backbone.
    seed : int
        Of the draw where there are more than `MOST_KEPT` images: as many of each label as can be.
    k : int
        Which neighbour counts.

    Returns
    -------
    Novelty or None
        None if fewer than `FEWEST_CALIBRATED` images have `k` others to be compared with, or were unseen by steerings
        that all backbones have.

    Raises
    ------
    CacheError
        If the record of what a steering saw, or features of a view, are not there or damaged.
    """
    names, measured = _measurable(images)
    return measure_novelty(
        {name: images.blocks[name] for name in names},
        images.labels,
        images.groups,
        measured,
        seed,
        k=k,
        steered=[name for name in names if images.feature_sets[name].header().spec.steering],
        views=lambda name, rows: _views(images, name, rows),
    )


def measure_novelty(
    blocks: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.str_],
    groups: NDArray[np.int64] | None,
    measured: NDArray[np.int64],
    seed: int,
    *,
    k: int = NEIGHBOUR,
    steered: Sequence[str] = (),
    views: Callable[[str, NDArray[np.int64]], list[NDArray[np.float32]]] | None = None,
) -> Novelty | None:
    """Return the same of features at hand.

    Parameters
    ----------
    blocks : mapping of str to NDArray[np.float32]
        ``(n_images, dim)`` features by backbone.
    labels : NDArray[np.str_]
        ``(n_images,)`` labels, of each of which as many images are kept as can be.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` what belongs together; None where every image stands alone.
    measured : NDArray[np.int64]
        Rows of the images that are measured, to know how far images are that are like these.
    seed : int
        Of what is drawn.
    k : int
        Which neighbour counts.
    steered : sequence of str
        Backbones that cannot tell near copies.
    views : callable, optional
        Returns the features of some rows, of one backbone, in each view that is tested.
    """
    rng = np.random.default_rng(seed)
    kept = _draw(labels, rng)
    if len(measured) > MOST_CALIBRATED:
        measured = np.sort(rng.choice(measured, MOST_CALIBRATED, replace=False))
    if not blocks or len(kept) < k or len(measured) < FEWEST_CALIBRATED:
        return None
    names = list(blocks)
    features = {name: unit_rows(x[kept]).astype(np.float16) for name, x in blocks.items()}
    seen = {name: [] if views is None else views(name, measured) for name in names}
    own = np.arange(len(labels)) if groups is None else groups
    plain = [name for name in names if name not in steered]
    distances = _distances(blocks, features, own, kept, measured, k, plain, seen)
    distances = distances[:, np.isfinite(distances).all(axis=0)]
    scales = dict(zip(names, np.median(distances, axis=1).tolist(), strict=True)) if distances.size else {}
    used = [name for name, scale in scales.items() if scale > 0]
    if not used or distances.shape[1] < FEWEST_CALIBRATED:
        return None
    far = joined([own / np.float32(scales[name]) for name, own in zip(names, distances, strict=True) if name in used])
    return Novelty({name: features[name] for name in used}, {name: scales[name] for name in used}, k, np.sort(far))


def _measurable(images: Joined) -> tuple[list[str], NDArray[np.int64]]:
    """Return the backbones that can tell, and the ``(n,)`` images that can be measured.

    Where the steerings saw nearly all images, plain backbones tell alone.
    """
    sets = images.feature_sets
    steered = [name for name, each in sets.items() if each.header().spec.steering]
    seen = np.zeros(len(images.rows), np.bool_)
    for name in steered:
        record = sets[name].seen()
        seen |= record is not None and np.isin(as_keys(images.digests), as_keys(record.digests))
    if images.groups is not None:
        seen = np.isin(images.groups, images.groups[seen])
    unseen = np.flatnonzero(~seen)
    if len(unseen) >= FEWEST_CALIBRATED:
        return list(sets), unseen
    return [name for name in sets if name not in steered], np.arange(len(seen))


def _draw(labels: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return ascending rows to keep: one of each label, then a second one, and so on, until there are enough."""
    order = rng.permutation(len(labels))
    _, code = np.unique(labels[order], return_inverse=True)
    by_label = np.argsort(code, kind="stable")
    turn = np.empty(len(code), np.int64)
    turn[by_label] = np.arange(len(code)) - np.searchsorted(code[by_label], code[by_label])
    return np.sort(order[np.argsort(turn, kind="stable")[:MOST_KEPT]])


def _distances(
    blocks: Mapping[str, NDArray[np.float32]],
    features: Mapping[str, NDArray[np.float16]],
    groups: NDArray[np.int64],
    kept: NDArray[np.int64],
    measured: NDArray[np.int64],
    k: int,
    plain: list[str],
    views: Mapping[str, list[NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Return ``(n_backbones, n_measured)`` distances to the k-th nearest; infinite for images with fewer others.

    Of several views that are tested it is the mean of their distances.
    """
    others = {name: unit_rows(each.astype(np.float32)).T for name, each in features.items()}
    if not _copies_are_rare(blocks, {name: others[name] for name in plain}, groups, kept, measured, k):
        plain = []
    found = np.empty((len(features), len(measured)), np.float32)
    for start in range(0, len(measured), _TILE_ROWS):
        tile = slice(start, start + _TILE_ROWS)
        rows = measured[tile]
        cosines = {name: unit_rows(blocks[name][rows]) @ others[name] for name in features}
        apart = groups[rows][:, None] != groups[kept]
        if plain:
            apart &= ~np.logical_and.reduce([cosines[name] >= SAME_PICTURE - ROUNDING for name in plain])
        for place, name in enumerate(features):
            seen = [unit_rows(view[tile]) @ others[name] for view in views[name]] or [cosines[name]]
            own = [kth_distances(np.where(apart, each, np.float32(-np.inf)), k) for each in seen]
            found[place, tile] = joined(own)
    return found


def _copies_are_rare(
    blocks: Mapping[str, NDArray[np.float32]],
    others: dict[str, NDArray[np.float32]],
    groups: NDArray[np.int64],
    kept: NDArray[np.int64],
    measured: NDArray[np.int64],
    k: int,
) -> bool:
    """Return whether images so close that they pass for copies are the exception.

    Where most images have `k` of them, that close is how such images lie, and new ones will have such neighbours too.
    """
    if not others:
        return True
    rows = measured[:: -(-len(measured) // _TILE_ROWS)]
    alike = groups[rows][:, None] != groups[kept]
    for name, each in others.items():
        alike &= unit_rows(blocks[name][rows]) @ each >= SAME_PICTURE - ROUNDING
    return bool((alike.sum(axis=1) >= k).mean() <= 0.5)


def _views(images: Joined, name: str, measured: NDArray[np.int64]) -> list[NDArray[np.float32]]:
    """Return the features of some images in each view that is tested; none of a backbone that has one alone."""
    sets = images.view_sets.get(name)
    tested = images.views.test if sets else ()
    return [] if sets is None else [sets[view].load(images.digests[measured]) for view in tested]
