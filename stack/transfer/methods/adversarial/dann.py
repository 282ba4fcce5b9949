"""A domain-adversarial head on cached features: see `stack.transfer.adversarial.training`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from stackbone.stack.transfer.estimates.moments import moments, standardise
from stackbone.stack.transfer.estimates.validation import labelled, lacking
from stackbone.stack.transfer.method import Codes, Domains, Fitted, Matrix, Method, Probabilities

if TYPE_CHECKING:
    from stackbone.stack.transfer.adversarial.training import Head

Doubles = NDArray[np.float64]


class DomainAdversarial(Method):
    """See the module."""

    name = "dann"
    family = "adversarial"
    what = "a small network whose features tell the classes and hide the domains"
    source = "Ganin et al. 2016, Domain-Adversarial Training of Neural Networks, JMLR 17"
    statistics = "the target's mean and both domains' scale"
    place = 0
    is_linear = False
    by_default = False

    def fits(self, domains: Domains) -> str | None:
        """Return why not."""
        return lacking(domains, images=2)

    def fit(self, domains: Domains) -> Fitted:
        """Train, for a fixed number of epochs: nothing is chosen."""
        from stackbone.stack.transfer.adversarial.training import EPOCHS, train

        both = moments(domains)
        # Each about its own mean: a shift of all images, which is all that a hundred steps would unlearn, is gone.
        source = standardise(domains.source, both.source_mean, both.scale)
        target = standardise(domains.target, both.target_mean, both.scale)
        present, codes = np.unique(labelled(domains).codes, return_inverse=True)
        head = train(
            np.concatenate([source, target[domains.seen]]),
            codes.astype(np.int64),
            np.concatenate([source, target]),
            np.repeat([0, 1], [len(source), len(target)]),
            len(present),
            domains.seed,
        )
        chosen: dict[str, float | str] = {"epochs": float(EPOCHS)}
        return Adversarial(both.target_mean, both.scale, head, present, domains.n_classes, chosen)


class Adversarial(Fitted):
    """A trained head.

    Parameters
    ----------
    mean, scale : NDArray[np.float64]
        ``(dim,)`` by which features of the target are standardised.
    head : Head
        Of the classes with a label.
    present : NDArray[np.int64]
        Their codes.
    n_classes : int
        All classes.
    chosen : dict of str to (float or str)
        See `Fitted`.
    """

    def __init__(
        self,
        mean: Doubles,
        scale: Doubles,
        head: Head,
        present: Codes,
        n_classes: int,
        chosen: dict[str, float | str],
    ) -> None:
        self._mean, self._scale, self._head = mean, scale, head
        self._present, self._n_classes, self.chosen = present, n_classes, chosen

    def predict_proba(self, features: Matrix) -> Probabilities:
        """Return the softmax of the head's decision values."""
        rows = standardise(features, self._mean, self._scale)
        found = np.zeros((len(features), self._n_classes))
        found[:, self._present] = softmax(self._head.decide(rows).astype(np.float64), axis=1)
        return found


METHOD = DomainAdversarial()
