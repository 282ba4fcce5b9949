"""How far two domains are apart: by a classifier of domains, and by the means in a kernel space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.estimates.density import domain_odds
from stackbone.stack.transfer.estimates.kernels import common_rows, gaussian, median_gamma
from stackbone.stack.transfer.method import Domains

Doubles = NDArray[np.float64]

_SAMPLE = 1000  # images of each domain that the discrepancy is taken of
_SHUFFLES = 200


def proxy_a_distance(domains: Domains) -> float:
    """Return how well a linear classifier tells the domains apart: 0 for not at all, 2 for without an error.

    The proxy A-distance (Ben-David et al. 2007, NeurIPS 19, section 4), ``2 (1 - 2 e)`` with the error e of the
    classifier on images that it did not learn from, each domain counting for half; 0 where it is worse than chance.
    """
    odds = domain_odds(domains)
    error = (_share_wrong(odds.source > 0, odds.source) + _share_wrong(odds.target < 0, odds.target)) / 2
    return max(0.0, 2 * (1 - 2 * error))


def _share_wrong(wrong: NDArray[np.bool_], odds: Doubles) -> float:
    return float(np.where(odds == 0, 0.5, wrong).mean())  # of an image that nothing is said of, a guess


@dataclass(frozen=True)
class Discrepancy:
    """The maximum mean discrepancy of two domains.

    Attributes
    ----------
    squared : float
        Unbiased estimate of the squared distance of their means in the kernel space; about 0, also a little below,
        where they are alike, and 2 at most.
    p_value : float
        Share of random divisions of all images into two such domains that are as far apart, at least 1/201.
    """

    squared: float
    p_value: float


def discrepancy(domains: Domains) -> Discrepancy:
    """Return the maximum mean discrepancy, of a thousand images of each domain at most.

    Gretton et al. 2012, JMLR 13, 723-773, lemma 6, with a Gaussian kernel of the median distance; the permutation test
    is that of their section 5.

    Raises
    ------
    ValueError
        If a domain has a single image.
    """
    source, target = common_rows(domains, _SAMPLE)
    n, m = len(source), len(target)
    if min(n, m) < 2:
        message = f"found {n} images of the source and {m} of the target; a discrepancy needs 2 of each"
        raise ValueError(message)
    rows = np.concatenate([source, target])
    kernel = gaussian(rows, rows, median_gamma(source, target, domains.seed)).astype(np.float64)
    np.fill_diagonal(kernel, 0)
    rng = np.random.default_rng(domains.seed)
    of_source = np.zeros((n + m, _SHUFFLES + 1))
    of_source[:n, 0] = 1
    for column in range(1, _SHUFFLES + 1):
        of_source[rng.permutation(n + m)[:n], column] = 1
    found = squared_discrepancies(kernel, of_source)
    as_far = int((found[1:] >= found[0] - 1e-12).sum())
    return Discrepancy(float(found[0]), (as_far + 1) / (_SHUFFLES + 1))


def squared_discrepancies(kernel: Doubles, of_source: Doubles) -> Doubles:
    """Return the unbiased squared discrepancy of several divisions of the same images.

    Parameters
    ----------
    kernel : NDArray[np.float64]
        ``(n, n)``, its diagonal 0.
    of_source : NDArray[np.float64]
        ``(n, n_divisions)``: 1 where an image is of the source, else 0; as many of the source in each.
    """
    n = of_source[:, 0].sum()
    m = len(kernel) - n
    spoken = kernel @ of_source
    within = (of_source * spoken).sum(axis=0)
    across = spoken.sum(axis=0) - within
    among_target = kernel.sum() - within - 2 * across
    found: Doubles = within / (n * (n - 1)) + among_target / (m * (m - 1)) - 2 * across / (n * m)
    return found
