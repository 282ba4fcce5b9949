"""PACE: covariances aligned, target images labelled by the surest guesses, several frozen backbones put together.

Of the paper come its three stages: CORAL on fixed features of each backbone, pseudo-labels, and the mean over an
ensemble of backbones, which is what a stack over backbones does with what this gives for each. What differs: rows are
not brought to length 1, so that the map stays linear; guesses are made once, of the surest half of every guessed class,
where the paper makes them 30 times by a threshold that falls from .9 to .7, and leaves out source images of which it is
unsure; the classifier, its C and the ridge of CORAL are those of all methods here, chosen as everywhere.
"""

from __future__ import annotations

import numpy as np

from stackbone.stack.transfer.classifier import fit_classifier
from stackbone.stack.transfer.estimates.pseudo_labels import surest
from stackbone.stack.transfer.estimates.validation import labelled, lacking
from stackbone.stack.transfer.method import HIDDEN, Domains, Fitted, LinearFitted, Method
from stackbone.stack.transfer.methods.feature.coral import METHOD as CORAL
from stackbone.stack.transfer.methods.feature.coral import correlate

SHARE = 0.5
"""Of the target images of each guessed class."""


class Pace(Method):
    """See the module."""

    name = "pace"
    family = "model"
    what = "aligned covariances, then the surest guesses taken for labels"
    source = "Liao, Tsiligkaridis & Kulis 2022, Pick up the PACE, arXiv 2205.13508"
    statistics = "the target's mean and both domains' scale"
    place = 20

    def fits(self, domains: Domains) -> str | None:
        """Return why not: there must be spread to align, and something to guess."""
        return lacking(domains, hidden=True, images=2)

    def fit(self, domains: Domains) -> Fitted:
        """Align, guess, learn."""
        start, aligned = CORAL.fit(domains), correlate(domains)
        hidden = np.flatnonzero(domains.target_labels == HIDDEN)
        rows, guesses = surest(start.predict_proba(domains.target[hidden]), SHARE)
        fitted = fit_classifier(
            aligned.rows(domains, np.concatenate([domains.seen, hidden[rows]])),
            np.concatenate([labelled(domains).codes, guesses]),
            domains.n_classes,
            seed=domains.seed,
            c=float(start.chosen["C"]),
        )
        linear = aligned.target.compose(fitted.linear_map)
        return LinearFitted(linear, {"guessed": float(len(rows)), **start.chosen})


METHOD = Pace()
