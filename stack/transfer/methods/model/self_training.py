"""Self-training: the classifier's surest guesses of target images are learnt as if they were labels.

Round after round more images of every guessed class, the surest first (Zou et al. 2018). C is that of the classifier of
the true labels: guesses would choose one that makes them more sure.
"""

from __future__ import annotations

import numpy as np

from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.estimates.pseudo_labels import surest
from stackbone.stack.transfer.estimates.validation import fit_pooled, labelled, lacking, rows_of_both
from stackbone.stack.transfer.method import HIDDEN, Domains, Fitted, LinearFitted, Method

SHARES = (0.2, 0.35, 0.5)
"""Of the target images of each guessed class, round by round; from a fifth to a half, as in the paper."""


class SelfTraining(Method):
    """See the module."""

    name = "self-training"
    family = "model"
    what = "the surest guesses of target images taken for labels, class by class"
    source = "Zou et al. 2018, Unsupervised Domain Adaptation via Class-Balanced Self-Training, ECCV"
    place = 10

    def fits(self, domains: Domains) -> str | None:
        """Return why not: there must be something to guess."""
        return lacking(domains, hidden=True)

    def fit(self, domains: Domains) -> Fitted:
        """Guess and learn, round by round."""
        start = fit_pooled(domains)
        hidden, codes = np.flatnonzero(domains.target_labels == HIDDEN), labelled(domains).codes
        fitted, taken = start.fitted, 0
        for share in SHARES:
            rows, guesses = surest(fitted.predict_proba(domains.target[hidden]), share)
            fitted = fit_classifier(
                rows_of_both(domains, np.concatenate([domains.seen, hidden[rows]])),
                np.concatenate([codes, guesses]),
                domains.n_classes,
                seed=domains.seed,
                c=start.strength,
            )
            taken = len(rows)
        return LinearFitted(fitted.linear_map, {"guessed": float(taken), **start.fitted.chosen})


METHOD = SelfTraining()
