"""Chance of labels of which an image can have several: one half of the area under the curve of each by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from stackbone.cache.errors import StackError
from stackbone.cache.text import counted
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.chance.luck import ADVICE, DEVIATIONS, count_independent, tested_rows, too_few
from stackbone.stack.metrics.model_scores import Prediction

_CHANCE = 0.5
_SHOWN = 5

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class _Ranked:
    """How well a model ranks the images by one label.

    Attributes
    ----------
    model, label
        Which.
    area
        Under the ROC curve, over all folds, 0 to 1.
    limit
        The most that luck explains.
    """

    model: str
    label: str
    area: float
    limit: float

    @property
    def share(self) -> float:
        """How much of the way from chance to the limit it goes; above 1 it is no luck."""
        return (self.area - _CHANCE) / (self.limit - _CHANCE)


def check_ranked_at_chance(
    predictions: Mapping[str, Sequence[Prediction]],
    presence: NDArray[np.int8],
    names: NDArray[np.str_],
    folds: Sequence[Fold],
    groups: NDArray[np.int64] | None = None,
) -> str:
    """Require that no model ranks images by shuffled labels better than chance, label by label.

    In a test part with P images that have a label and N that have not, the number of pairs that are ranked rightly has
    mean P N / 2 and variance P N (P + N + 1) / 12 where scores say nothing (Mann & Whitney 1947, Annals of Mathematical
    Statistics 18(1), section 4); folds are added up. A model may lie above one half by as many standard deviations as
    let each of several labels raise a false alarm no more often than one; of groups that swapped labels as a whole,
    deviations are those of so many images as `count_independent` says.

    Parameters
    ----------
    predictions : mapping of str to sequence of Prediction
        Of each model, one per fold: scores of each label, the higher the likelier.
    presence : NDArray[np.int8]
        ``(n_images, n_labels)`` the shuffled labels: 1 where an image has one, else 0.
    names : NDArray[np.str_]
        ``(n_labels,)``.
    folds : sequence of Fold
        Of these predictions.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` groups that swapped labels as a whole.

    Returns
    -------
    str
        What was found, in one sentence or two.

    Raises
    ------
    StackError
        If a model ranks a label above that, or luck explains every ranking.
    """
    tested = tested_rows(folds)
    independent, n_groups = count_independent(tested, groups)
    pairs, variance = _pairs(presence, folds)
    deviations = float(norm.isf(norm.sf(DEVIATIONS) / len(names)))
    limits = np.full(len(names), np.inf)
    luck = deviations * np.sqrt(variance * len(tested) / independent)
    np.divide(luck, pairs, out=limits, where=pairs > 0)
    limits += _CHANCE
    telling = np.flatnonzero(limits < 1)
    if not len(telling):
        raise StackError(too_few(len(tested), n_groups, independent, _CHANCE))
    found = [
        _Ranked(model, str(names[label]), float(areas[label]), float(limits[label]))
        for model, each in predictions.items()
        for areas in [_right(presence, each, folds) / np.maximum(pairs, 1)]
        for label in telling
    ]
    above = sorted((each for each in found if each.share > 1), key=lambda each: -each.share)
    if above:
        raise StackError(_failure(above))
    best = max(found, key=lambda each: each.share)
    few = len(names) - len(telling)
    rest = f" {counted(few, 'label')} in too few images could not be checked." if few else ""
    return (
        f"self-check passed: with shuffled labels, {counted(len(predictions), 'model')} of "
        f"{counted(len(telling), 'label')} rank no label better than luck does; {best.model} comes nearest, with an "
        f"area under the ROC curve of {best.area:.3f} for {best.label!r}, "
        f"where chance is {_CHANCE:.3f} and up to {best.limit:.3f} is luck.{rest}"
    )


def _failure(above: Sequence[_Ranked]) -> str:
    scored = ", ".join(
        f"{each.model} ranks {each.label!r} with an area under the ROC curve of {each.area:.3f} (up to "
        f"{each.limit:.3f} is luck)"
        for each in above[:_SHOWN]
    )
    more = f" and {len(above) - _SHOWN:,} more" if len(above) > _SHOWN else ""
    return f"self-check failed: with shuffled labels {scored}{more}, where chance is {_CHANCE:.3f}. {ADVICE}"


def _pairs(presence: NDArray[np.int8], folds: Sequence[Fold]) -> tuple[Doubles, Doubles]:
    """Return the ``(n_labels,)`` numbers of pairs in all test parts, and the variance of those ranked rightly."""
    n_pairs, variance = np.zeros(presence.shape[1]), np.zeros(presence.shape[1])
    for fold in folds:
        n_with = presence[fold.test].sum(axis=0, dtype=np.float64)
        own = n_with * (len(fold.test) - n_with)
        n_pairs += own
        variance += own * (len(fold.test) + 1) / 12
    return n_pairs, variance


def _right(presence: NDArray[np.int8], predictions: Sequence[Prediction], folds: Sequence[Fold]) -> Doubles:
    """Return the ``(n_labels,)`` numbers of pairs that are ranked rightly in all test parts; a tie counts half."""
    total = np.zeros(presence.shape[1])
    for prediction, fold in zip(predictions, folds, strict=True):
        has = presence[fold.test]
        n_with = has.sum(axis=0, dtype=np.float64)
        total += (rankdata(prediction.scores, axis=0) * has).sum(axis=0) - n_with * (n_with + 1) / 2
    return total
