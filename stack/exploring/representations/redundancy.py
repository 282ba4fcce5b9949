"""Which backbones add nothing to the others: those whose features a linear map of the others' predicts.

What a linear classifier sees in features that are linear in others, it sees in the others. So each backbone is
predicted from the others by ridge regression, and judged on images that neither the regression nor its penalty saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.clustering.reduced import components
from stackbone.stack.models.unlike.novelty import unit_rows

REDUNDANT = 0.95
"""Share of a backbone's variance that the others must predict: less than a twentieth of it is its own."""

LEAST_IMAGES = 50
"""Fewer tell nothing: half of them are held out."""

_COMPONENTS = 128  # of each backbone
_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the mean variance of a column of the predictors
_LEAST_FREE = 1e-9  # 1 less a leverage: what is below is rounding


@dataclass(frozen=True)
class Redundant:
    """A backbone that adds nothing to others.

    Attributes
    ----------
    name : str
        Of the backbone.
    others : tuple of str
        The backbones that it adds nothing to.
    predicted : float
        Share of its variance that they predict on images that were held out.
    """

    name: str
    others: tuple[str, ...]
    predicted: float

    @property
    def sentence(self) -> str:
        """As a reader is told."""
        named = self.others[0] if len(self.others) == 1 else f"{', '.join(self.others[:-1])} and {self.others[-1]}"
        share = int(self.predicted * 1000) / 10  # rounded down: or more
        they = "it predicts" if len(self.others) == 1 else "they predict"
        return f"{self.name} adds nothing beyond {named}: {they} {share:.1f}% of its variance on held-out images"


def predicted_shares(blocks: Mapping[str, NDArray[np.float32]], seed: int) -> tuple[dict[str, float], list[Redundant]]:
    """Return what share of each backbone's variance all others predict, and which backbones are redundant.

    Redundant ones are told one after another, the most predictable first, each without those before it: of two that
    are alike one is redundant, and the other is not.

    Parameters
    ----------
    blocks
        Backbone to its ``(n, dim)`` features, of two backbones or more and `LEAST_IMAGES` images or more.
    seed
        Of the half that is held out.
    """
    x = {name: components(unit_rows(each), _COMPONENTS, seed) for name, each in blocks.items()}
    n = len(next(iter(x.values())))
    shuffled = np.random.default_rng(seed).permutation(n)
    parts = shuffled[: n // 2], shuffled[n // 2 :]
    shares = {name: _predicted(x, name, [each for each in x if each != name], parts) for name in x}
    left = list(x)
    redundant = []
    current = dict(shares)
    while len(left) > 1:
        name = max(left, key=lambda each: current[each])
        if current[name] < REDUNDANT:
            break
        left.remove(name)
        redundant.append(Redundant(name, tuple(left), current[name]))
        if len(left) > 1:
            current = {each: _predicted(x, each, [one for one in left if one != each], parts) for each in left}
    return shares, redundant


def _predicted(
    x: Mapping[str, NDArray[np.float32]],
    name: str,
    others: Sequence[str],
    parts: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> float:
    """Return R² on the half that was held out; the mean of both ways round."""
    wanted = x[name].astype(np.float64)
    given = np.hstack([x[each] for each in others]).astype(np.float64)
    return float(np.mean([_fitted(given, wanted, train, test) for train, test in (parts, parts[::-1])]))


def _fitted(
    given: NDArray[np.float64], wanted: NDArray[np.float64], train: NDArray[np.int64], test: NDArray[np.int64]
) -> float:
    """Return R² on the test part: the share of the variance of all columns together.

    The penalty is the one with the least squared error on training images, each left out of the regression in turn:
    its residual over 1 less its leverage (Allen's PRESS; Hastie, Tibshirani & Friedman 2009, "The Elements of
    Statistical Learning", section 7.10).
    """
    mean, target = given[train].mean(axis=0), wanted[train].mean(axis=0)
    x, y = given[train] - mean, wanted[train] - target
    values, vectors = np.linalg.eigh(x.T @ x)
    projected = vectors.T @ (x.T @ y)
    turned, scale = x @ vectors, max(1e-300, float(values.mean()))
    least, best = np.inf, projected
    for penalty in _PENALTIES:
        divisors = np.maximum(values, 0) + penalty * scale
        coefficients = projected / divisors[:, None]
        leverage = (np.square(turned) / divisors).sum(axis=1) + 1 / len(train)  # the last is that of the mean
        left_out = (y - turned @ coefficients) / np.maximum(1 - leverage, _LEAST_FREE)[:, None]
        error = float(np.square(left_out).sum())
        if error < least:
            least, best = error, coefficients
    truth = wanted[test] - target
    left = truth - (given[test] - mean) @ vectors @ best
    return 1 - float(np.square(left).sum()) / max(1e-300, float(np.square(truth).sum()))
