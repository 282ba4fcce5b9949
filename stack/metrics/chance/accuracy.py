"""Chance of accuracy: the share of the largest class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stackbone.cache.errors import StackError
from stackbone.stack.folds.fold import Fold
from stackbone.stack.metrics.chance.luck import ADVICE, DEVIATIONS, count_independent, tested_rows, too_few
from stackbone.stack.metrics.model_scores import ModelScore


def check_at_chance(
    results: Sequence[ModelScore],
    y: NDArray[np.str_],
    folds: Sequence[Fold],
    groups: NDArray[np.int64] | None = None,
) -> str:
    """Require that every model scores shuffled labels no better than chance.

    The best that chance allows is the share of the largest class in the test part. A model may lie above it by
    four standard deviations of a share of so many images; of groups, of so many as `count_independent` says.

    Parameters
    ----------
    results : sequence of ModelScore
        Accuracies on shuffled labels.
    y : NDArray[np.str_]
        ``(n_images,)`` the shuffled labels.
    folds : sequence of Fold
        Of that evaluation.
    groups : NDArray[np.int64], optional
        ``(n_images,)`` groups that swapped labels as a whole.

    Returns
    -------
    str
        What was found, in one sentence.

    Raises
    ------
    StackError
        If a model scores above that.
    """
    tested = tested_rows(folds)
    chance = float(np.unique(y[tested], return_counts=True)[1].max() / len(tested))
    independent, n_groups = count_independent(tested, groups)
    limit = chance + DEVIATIONS * float(np.sqrt(chance * (1 - chance) / independent))
    if limit >= 1:
        raise StackError(too_few(len(tested), n_groups, independent, chance))
    # Folds may be of any size, and chance is that of an image: so is the mean.
    n_tested = [len(fold.test) for fold in folds]
    shares = {each.model: float(np.average(each.folds, weights=n_tested)) for each in results}
    above = {model: share for model, share in shares.items() if share > limit}
    if above:
        scored = ", ".join(f"{model} scores {share:.3f}" for model, share in above.items())
        message = (
            f"self-check failed: with shuffled labels {scored}, "
            f"where chance is {chance:.3f} and {limit:.3f} the most that luck explains. {ADVICE}"
        )
        raise StackError(message)
    best = max(shares, key=shares.__getitem__)
    return (
        f"self-check passed: with shuffled labels the best of {len(results)} models, {best}, scores "
        f"{shares[best]:.3f}; chance is {chance:.3f}, and up to {limit:.3f} is luck."
    )
