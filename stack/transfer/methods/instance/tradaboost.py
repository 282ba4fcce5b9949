"""TrAdaBoost: source images that the target's labels speak against count for less in each round.

In each round a classifier of all labelled images, weighted; source images that it gets wrong are weighted down, target
images that it gets wrong up, and the rounds of the second half vote (Dai et al. 2007, figure 1). What differs here:
errors are those out of fold, since a linear classifier of as many columns as images makes none on what it learnt from,
and rounds vote by their probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.learners.bases.lr import regression_path
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.estimates.validation import fit_pooled, labelled, labelled_rows, lacking
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
        known, x, start = labelled(domains), labelled_rows(domains), fit_pooled(domains)
        present, own = np.unique(known.codes, return_inverse=True)
        folds = known.folds or []
        tested = np.concatenate([fold.test for fold in folds])
        subsets = [*(fold.train for fold in folds), np.arange(len(own))]
        target = np.zeros(len(own), np.bool_)
        target[known.n_source :] = True
        down = 1 / (1 + np.sqrt(2 * np.log(max(known.n_source, 2)) / ROUNDS))
        weights, rounds = np.ones(len(own)), Rounds(len(present), present, domains.n_classes, start.strength)
        judged = np.zeros(len(own), np.bool_)
        judged[tested] = True
        if not (judged & target).any():
            return start.fitted
        for _ in range(ROUNDS):
            path = regression_path(
                x, own.astype(np.int64), len(present), subsets, weights=np.maximum(weights / weights.mean(), _LEAST)
            )
            *inner, whole = path.solve(start.strength)
            wrong = np.zeros(len(own), np.bool_)
            for fold, linear in zip(folds, inner, strict=True):
                wrong[fold.test] = linear.decide(x[fold.test]).argmax(axis=1) != own[fold.test]
            asked = judged & target
            error = float(weights[asked] @ wrong[asked] / weights[asked].sum())
            error = max(error, 1 / (2 * asked.sum() + 2))  # no error on few images does not prove that none ever comes
            if error >= 0.5 and rounds.maps:
                break
            up = min(error, 0.499) / (1 - min(error, 0.499))
            rounds.add(whole, -np.log(up))
            weights = weights * np.where(target, up ** -wrong.astype(np.float64), down ** wrong.astype(np.float64))
        return rounds.half()


class Rounds:
    """Rounds of boosting, with what each has to say.

    Parameters
    ----------
    n_present : int
        Classes with a label.
    present : NDArray[np.int64]
        ``(n_present,)`` their codes.
    n_classes : int
        All classes.
    strength : float
        C of every round.
    """

    def __init__(self, n_present: int, present: NDArray[np.int64], n_classes: int, strength: float) -> None:
        self._present, self._n_classes, self._strength = present, n_classes, strength
        self.maps: list[LinearMap] = []
        self._votes: list[float] = []

    def add(self, linear: LinearMap, vote: float) -> None:
        """Take in one round."""
        self.maps.append(linear)
        self._votes.append(vote)

    def half(self) -> Fitted:
        """Return the vote of the second half of the rounds."""
        first = len(self.maps) // 2
        votes = np.array(self._votes[first:])
        shares = votes / votes.sum()
        chosen: dict[str, float | str] = {"rounds": float(len(self.maps)), "C": self._strength}
        return Vote(self.maps[first:], shares, self._present, self._n_classes, chosen)


class Vote(Fitted):
    """The weighted mean of the probabilities of several linear classifiers.

    Parameters
    ----------
    maps : list of LinearMap
        Of the classes with a label.
    shares : NDArray[np.float64]
        ``(n_maps,)`` what each counts for, of sum 1.
    present : NDArray[np.int64]
        Codes of the classes with a label.
    n_classes : int
        All classes.
    chosen : dict of str to (float or str)
        See `Fitted`.
    """

    def __init__(
        self,
        maps: list[LinearMap],
        shares: Doubles,
        present: NDArray[np.int64],
        n_classes: int,
        chosen: dict[str, float | str],
    ) -> None:
        self._maps, self._shares, self._present, self._n_classes = maps, shares, present, n_classes
        self.chosen = chosen

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the mean."""
        found = np.zeros((len(features), self._n_classes))
        for linear, share in zip(self._maps, self._shares, strict=True):
            found[:, self._present] += share * LinearFitted(linear, {}).predict_proba(features)
        return found


METHOD = TrAdaBoost()
