"""Target images of classes that the source lacks: whether they are refused, as unlike all that was learnt from.

An image is refused if it is further away from the images that were learnt from under a label than 99% of these are from
each other, as `predict` marks images that are unlike a saved model's: see `stack.models.unlike`. Labels that a setting
hides take no part, so that what is refused is told without them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.features.join import Joined
from stackbone.stack.models.unlike.find_novelty import FEWEST_CALIBRATED, measure_novelty
from stackbone.stack.models.unlike.novelty import UNLIKE, Novelty
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.parts import FoldPart, labels_shown
from stackbone.stack.transfer.domains.settings import Setting
from stackbone.stack.transfer.method import HIDDEN
from stackbone.stack.transfer.results.scores import Refusals


def count_refusals(
    pair: DomainPair, parts: Sequence[FoldPart], setting: Setting, seed: int, split: str | None = None
) -> Refusals | None:
    """Count how many images of unknown classes are refused, and how many of known ones in error.

    Parameters
    ----------
    pair, parts
        The domains, and the folds of the target.
    setting
        Which labels are shown.
    seed
        Of what is drawn.
    split
        The target's split that is tested; images of unknown classes count where they are in it.

    Returns
    -------
    Refusals or None
        None if the target has no such image, or too little was learnt from to tell.
    """
    unknown = pair.unknown
    if unknown is not None and split is not None:
        unknown = unknown.take(np.flatnonzero(unknown.splits == split))
    if unknown is None or not len(unknown.rows):
        return None
    known, others = [], []
    for part in parts:
        novelty = known_images(pair, part, setting, seed)
        if novelty is None:
            return None
        known.append(_is_refused(novelty, pair.target, part.fold.test))
        others.append(_is_refused(novelty, unknown, np.arange(len(unknown.rows))))
    refused = np.mean(others, axis=0)
    return Refusals(
        n_unknown=len(refused),
        unknown=float(refused.mean()),
        n_known=len(np.unique(np.concatenate([part.fold.test for part in parts]))),
        known=float(np.concatenate(known).mean()),
        classes={str(name): float(refused[unknown.labels == name].mean()) for name in np.unique(unknown.labels)},
    )


def known_images(
    pair: DomainPair,
    part: FoldPart,
    setting: Setting,
    seed: int,
    *,
    from_source: bool = True,
    from_target: bool = True,
) -> Novelty | None:
    """Return what it takes to say how far an image is from those that were learnt from under a label.

    Where the target shows enough labels, its images are measured, since those that are to be told are of the target
    too: they lie as far from the source as the domains are apart.

    Parameters
    ----------
    pair, part, setting, seed
        As of `stack.transfer.domains.parts.domains_of`.
    from_source, from_target
        Whether the images of the domain were learnt from.
    """
    shown = labels_shown(part, pair.target_codes, setting) != HIDDEN
    ours = part.source if from_source else part.source[:0]
    theirs = part.fold.train[shown] if from_target else part.fold.train[:0]
    n = len(ours) + len(theirs)
    measured = np.arange(len(ours), n) if len(theirs) >= FEWEST_CALIBRATED else np.arange(n)
    groups = None
    if pair.source_groups is not None and pair.target_groups is not None:
        groups = np.concatenate([pair.source_groups[ours], pair.target_groups[theirs]])
    blocks = {
        name: np.concatenate([pair.source.blocks[name][ours], pair.target.blocks[name][theirs]])
        for name in pair.target.names
    }
    labels = np.concatenate([pair.source.labels[ours], pair.target.labels[theirs]])
    return measure_novelty(blocks, labels, groups, measured, seed)


def _is_refused(novelty: Novelty, images: Joined, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    distances = [novelty.distances(name, images.blocks[name][rows]) for name in novelty.features]
    refused: NDArray[np.bool_] = novelty.further_than(distances) >= UNLIKE
    return refused
