"""TrAdaBoost: source images that the target's labels speak against count for less in each round.

In each round a classifier of all labelled images, weighted; source images that it gets wrong are weighted down, target
images that it gets wrong up, and the rounds of the second half vote (Dai et al. 2007, figure 1). What differs here:
errors are those out of fold, since a linear classifier of as many columns as images makes none on what it learnt from,
and rounds vote by their probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.estimates.search import folds_path
from stackbone.stack.transfer.estimates.validation import fit_pooled, labelled, labelled_rows, lacking, searched_rows
from stackbone.stack.transfer.method import Domains, Fitted, LinearFitted, Matrix, Method, Probabilities

Doubles = NDArray[np.float64]

ROUNDS = 10
"""The paper lets it go on for longer; most of the weights have settled by then."""

_LEAST = 1e-6  # weight of an image that is to count for nothing


class TrAdaBoost(Method):
    """See the module."""

    name = "tradaboost"
    family = "instance"
    what = "boosting that trusts source images less where they contradict the target's labels"
    source = "Dai, Yang, Xue & Yu 2007, Boosting for Transfer Learning, ICML"
    place = 20
    is_linear = False

    def fits(self, domains: Domains) -> str | None:
        """Return why not: target labels are what it learns from, and folds are how it errs."""
        missing = lacking(domains, target_labels=True)
        if missing is None and labelled(domains).folds is None:
            return "needs two labelled images of at least two classes"
        return missing

    def fit(self, domains: Domains) -> Fitted:
        """Boost."""
        known, rows, start = labelled(domains), searched_rows(domains), fit_pooled(domains)
        own = np.unique(known.codes, return_inverse=True)[1].astype(np.int64)
        folds = known.folds or []
        target, judged = np.zeros((2, len(own)), np.bool_)
        target[known.n_source :] = True
        judged[np.concatenate([fold.test for fold in folds])] = True
        asked = judged & target
        if not asked.any():
            return start.fitted
        down = 1 / (1 + np.sqrt(2 * np.log(max(known.n_source, 2)) / ROUNDS))
        weights, rounds = np.ones(len(own)), list[tuple[Doubles, float]]()
        for _ in range(ROUNDS):
            counts = np.maximum(weights / weights.mean(), _LEAST)
            inner = folds_path(rows, own, folds, counts, standardise=False).solve(start.strength)
            wrong = np.zeros(len(own), np.bool_)
            for fold, linear in zip(folds, inner, strict=True):
                wrong[fold.test] = linear.decide(rows[fold.test]).argmax(axis=1) != own[fold.test]
            error = float(weights[asked] @ wrong[asked] / weights[asked].sum())
            error = max(error, 1 / (2 * asked.sum() + 2))  # no error on few images does not prove that none ever comes
            if error >= 0.5 and rounds:
                break
            up = min(error, 0.499) / (1 - min(error, 0.499))
            rounds.append((counts, -np.log(up)))
            weights = weights * np.where(target, up ** -wrong.astype(np.float64), down ** wrong.astype(np.float64))
        return _vote(domains, rounds, start.strength)


def _vote(domains: Domains, rounds: list[tuple[Doubles, float]], c: float) -> Vote:
    """Return the vote of the second half of the rounds, each by its weights of images and what it has to say."""
    x, codes, half = labelled_rows(domains), labelled(domains).codes, rounds[len(rounds) // 2 :]
    fitted = [fit_classifier(x, codes, domains.n_classes, seed=domains.seed, weights=counts, c=c) for counts, _ in half]
    votes = np.array([vote for _, vote in half])
    return Vote(fitted, votes / votes.sum(), {"rounds": float(len(rounds)), "C": c})


class Vote(Fitted):
    """The weighted mean of the probabilities of several classifiers.

    Parameters
    ----------
    fitted : list of LinearFitted
        The classifiers.
    shares : NDArray[np.float64]
        ``(n_fitted,)`` what each counts for, of sum 1.
    chosen : dict of str to (float or str)
        See `Fitted`.
    """

    def __init__(self, fitted: list[LinearFitted], shares: Doubles, chosen: dict[str, float | str]) -> None:
        self._fitted, self._shares, self.chosen = fitted, shares, chosen

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the mean."""
        said = [share * each.predict_proba(features) for each, share in zip(self._fitted, self._shares, strict=True)]
        mean: Probabilities = np.sum(said, axis=0)
        return mean


METHOD = TrAdaBoost()
