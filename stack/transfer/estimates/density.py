"""How much more likely an image is in the target than in the source, told by a classifier of domains.

A logistic regression that tells the domains apart estimates the ratio of their densities (Bickel, Brückner & Scheffer
2009, JMLR 10, 2137-2155). What it says of an image comes from folds that did not hold it: with more columns than images
a classifier tells every image apart that it was fitted on, whatever the domains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.solvers.rows import RowsOfTwo
from stackbone.stack.transfer.classifier import inner_folds
from stackbone.stack.transfer.estimates.search import search_strength
from stackbone.stack.transfer.method import Codes, Domains, Matrix

Doubles = NDArray[np.float64]

_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)  # C tried: to tell two domains apart takes little
_SHARE = 0.1  # of the target in what the source is compared with
_ROUNDS = 100  # twice what odds of a spread of 5 take to settle


@dataclass(frozen=True, eq=False)
class DomainOdds:
    """What a classifier of domains says of images that it did not learn from.

    Attributes
    ----------
    source, target : NDArray[np.float64]
        ``(n_source,)`` and ``(n_target,)`` natural-log odds of being of the target, where both domains are as likely.
    """

    source: Doubles
    target: Doubles


def domain_odds(domains: Domains) -> DomainOdds:
    """Return what a classifier of the two domains says of each image out of fold; 0 where too few allow no fold."""
    return domains.once_of_images(
        "domain odds",
        lambda: _tell_apart(domains.source, domains.target, domains.seed, joined_groups(domains)),
    )


def _tell_apart(source: Matrix, target: Matrix, seed: int, groups: Codes | None) -> DomainOdds:
    side = np.repeat([0, 1], [len(source), len(target)])
    folds = inner_folds(side, seed, groups)
    if folds is None:
        return DomainOdds(np.zeros(len(source)), np.zeros(len(target)))

    def log_loss(decisions: NDArray[np.float32], rows: Codes) -> float:
        margin = (decisions[:, 1] - decisions[:, 0]).astype(np.float64)
        return float(np.logaddexp(0, np.where(side[rows] == 1, -margin, margin)).mean())

    _, said = search_strength(RowsOfTwo(source, target), side, folds, _STRENGTHS, log_loss)
    odds = np.nan_to_num((said[:, 1] - said[:, 0]).astype(np.float64) - np.log(len(target) / len(source)), nan=0.0)
    return DomainOdds(odds[: len(source)], odds[len(source) :])


def importance(domains: Domains) -> Doubles:
    """Return what each source image counts for to stand for the target, 1 in the mean.

    It is the ratio of the target's density to a mixture of 10% target and 90% source (relative importance, Yamada et
    al. 2013, Neural Computation 25(5), 1324-1370, equation 6), which is 10 at most: the plain ratio has no bound, and
    one image would stand for all. Where domains are easily told apart all ratios are near 0; brought to a mean of 1
    they are capped at 10 again.

    Returns
    -------
    NDArray[np.float64]
        ``(n_source,)`` above 0, at most about 10.
    """
    return domains.once_of_images("importance", lambda: _relative(domain_odds(domains).source))


def _relative(odds: Doubles) -> Doubles:
    counts: Doubles = 1 / (_SHARE + (1 - _SHARE) * np.exp(-np.clip(odds, -30, 30)))
    for _ in range(_ROUNDS):  # what is capped lowers the mean, and a lower mean lifts others to the cap
        counts = np.minimum(counts / counts.mean(), 1 / _SHARE)
    settled: Doubles = counts / counts.mean()
    return settled


def effective_number(weights: Doubles) -> float:
    """Return how many images of equal weight tell as much (Kish 1965, Survey Sampling): ``(Σ w)² / Σ w²``."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def joined_groups(domains: Domains, rows: Codes | slice = slice(None)) -> Codes | None:
    """Return the groups of all source images, then of these target images; None where there are none."""
    if domains.source_groups is None or domains.target_groups is None:
        return None
    return np.concatenate([domains.source_groups, domains.target_groups[rows]])
