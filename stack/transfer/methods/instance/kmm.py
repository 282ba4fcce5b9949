"""Kernel mean matching: source images weighted so that their mean in a kernel space is the target's.

Minimised is ``½ βᵀ K β - κᵀ β`` with the kernel K of the source's images and ``κ_i = n_s/n_t Σ_j k(x_i, t_j)``, for
weights from 0 to a bound whose sum is n_s, give or take ``n_s - √n_s`` (Huang et al. 2006). Of many images the source
is divided at random into parts that are each matched to the same images of the target: each is a sample of the source.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.estimates.density import effective_number
from stackbone.stack.transfer.estimates.kernels import (
    WIDTH_IMAGES,
    common,
    common_rows,
    draw_rows,
    gaussian,
    median_gamma,
)
from stackbone.stack.transfer.estimates.validation import (
    fit_validated,
    labelled_rows,
    lacking,
    searched_rows,
    validate,
)
from stackbone.stack.transfer.method import Domains, Fitted, LinearFitted, Method

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

BOUND = 10.0
"""Largest weight, 1 being the mean: the paper's 1000 would let one image stand for all."""

MOST_IMAGES = 2000
"""Of the source in one part, and of the target."""

_LEAST = 1e-4  # weight of an image that is to count for nothing: a classifier takes none of 0
_STEPS = 500
_CLOSE = 1e-6  # share of the weights' length by which a step may move them at the end


class KernelMeanMatching(Method):
    """See the module."""

    name = "kmm"
    family = "instance"
    what = "source images weighted so that their kernel mean is the target's"
    source = "Huang et al. 2006, Correcting Sample Selection Bias by Unlabeled Data, NeurIPS 19"
    place = 10

    def fits(self, domains: Domains) -> str | None:
        """Return why not."""
        return lacking(domains, images=2)

    def fit(self, domains: Domains) -> Fitted:
        """Learn from weighted images."""
        weights = np.maximum(kmm_weights(domains), _LEAST)
        counts = np.concatenate([weights / weights.mean(), np.ones(len(domains.seen))])
        strength = validate(searched_rows(domains), domains, weights=counts)
        fitted = fit_validated(labelled_rows(domains), domains, weights=counts, strength=strength).fitted
        chosen: dict[str, float | str] = {"effective images": round(effective_number(weights), 1), **fitted.chosen}
        return LinearFitted(fitted.linear_map, chosen)


def kmm_weights(domains: Domains) -> Doubles:
    """Return ``(n_source,)`` weights from 0 to `BOUND`."""
    return domains.once_of_images("kernel means matched", lambda: _match(domains))


def _match(domains: Domains) -> Doubles:
    n, target = len(domains.source), domains.target
    shown = common(target[draw_rows(len(target), MOST_IMAGES, domains.seed)], domains)
    gamma = median_gamma(*common_rows(domains, WIDTH_IMAGES), domains.seed)
    order = np.random.default_rng(domains.seed).permutation(n)
    weights = np.empty(n)
    for rows in np.array_split(order, -(-n // MOST_IMAGES)):
        own = common(domains.source[rows], domains)
        similarity = gaussian(own, shown, gamma).mean(axis=1, dtype=np.float64) * len(own)
        weights[rows] = match_means(gaussian(own, own, gamma), similarity, BOUND)
    return weights


def match_means(kernel: Floats, similarity: Doubles, bound: float) -> Doubles:
    """Minimise ``½ βᵀ K β - κᵀ β`` for ``0 <= β <= bound`` and ``|Σ β - n| <= n - √n``, as in the paper.

    An accelerated projected gradient (Beck & Teboulle 2009, SIAM J. Imaging Sciences 2(1), 183-202).

    Parameters
    ----------
    kernel : NDArray[np.float32]
        ``(n, n)`` K.
    similarity : NDArray[np.float64]
        ``(n,)`` κ.
    bound : float
        Largest weight, at least 1.
    """
    n = len(kernel)
    slack = n - np.sqrt(n)
    steepest = float(kernel.sum(axis=1).max())  # no eigenvalue is larger
    weights, ahead, pace = np.ones(n), np.ones(n), 1.0
    for _ in range(_STEPS):
        slope = (kernel @ ahead.astype(np.float32)).astype(np.float64) - similarity
        moved = _project(ahead - slope / steepest, bound, n - slack, n + slack)
        change = moved - weights
        if (ahead - moved) @ change > 0:  # momentum leads uphill: start again (O'Donoghue & Candès 2015)
            pace = 1.0
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = moved + (pace - 1) / faster * change
        weights, pace = moved, faster
        if np.linalg.norm(change) <= _CLOSE * np.linalg.norm(weights):
            break
    return weights


def _project(x: Doubles, bound: float, least: float, most: float) -> Doubles:
    """Return the nearest weights from 0 to the bound whose sum is from `least` to `most`."""
    clipped = np.clip(x, 0, bound)
    total = float(clipped.sum())
    if least <= total <= most:
        return clipped
    wanted = least if total < least else most
    low, high = float(x.min()) - bound, float(x.max())  # shifts that give all, and nothing
    for _ in range(60):
        shift = (low + high) / 2
        low, high = (shift, high) if np.clip(x - shift, 0, bound).sum() > wanted else (low, shift)
    return np.clip(x - (low + high) / 2, 0, bound)


METHOD = KernelMeanMatching()
