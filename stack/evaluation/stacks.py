"""Stacks on top of the fits on features, and what every model says of the test parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.evaluation.meta_rows import meta_rows
from stackbone.stack.fitting.fits import FitCounter, FitKey, run_fits
from stackbone.stack.learners.learner import BaseOutcome, BaseScores, Part
from stackbone.stack.learners.meta_model import MetaModel
from stackbone.stack.learners.options import MetaOptions
from stackbone.stack.learners.registry import META_LEARNERS
from stackbone.stack.metrics.model_scores import Prediction
from stackbone.stack.tasks.task import Task


@dataclass(frozen=True, eq=False)
class Fitted:
    """All that was fitted, by model and fold.

    Attributes
    ----------
    kind : Task
        What is predicted.
    outcomes : mapping
        Of every fit on features.
    members : mapping
        What the backbones say that are to give one answer.
    stacks : mapping
        What makes one answer of it; of the plain mean there is none.
    """

    kind: Task
    outcomes: Mapping[FitKey, BaseOutcome]
    members: Mapping[FitKey, list[BaseScores]]
    stacks: Mapping[FitKey, MetaModel]

    def predict(self, model: str, number: int) -> Prediction:
        """Return what a model says of a fold's test part."""
        outcome = self.outcomes.get((model, number))
        if isinstance(outcome, Prediction):
            return outcome
        if isinstance(outcome, BaseScores):
            return self.kind.predict(outcome)
        members, meta = self.members[model, number], self.stacks.get((model, number))
        return self.kind.mean(members) if meta is None else self.kind.combine(meta, [each.test for each in members])

    def chosen(self, models: Sequence[str], n_folds: int) -> dict[str, list[float]]:
        """Return the strength of regularisation that each model chose in each fold, where it chose one."""
        strengths = {key: each.chosen for key, each in self.outcomes.items() if isinstance(each, BaseScores)}
        strengths |= {key: float(each.c) for key, each in self.stacks.items() if each.c is not None}
        every = {model: [(model, number) for number in range(n_folds)] for model in models}
        return {
            model: [float(strengths[key]) for key in keys]
            for model, keys in every.items()
            if all(key in strengths for key in keys)
        }

    def shares(self, model: str, n_folds: int) -> list[NDArray[np.float64] | None]:
        """Return how much each backbone counts in a stack, in each fold."""
        keys = [(model, number) for number in range(n_folds)]
        return [self.kind.shares(self.stacks[key], self.members[key]) for key in keys]


def fit_stacks(
    kind: Task,
    outcomes: Mapping[FitKey, BaseOutcome],
    heads: Sequence[str],
    combined: Mapping[str, list[str]],
    parts: Sequence[Part],
    options: MetaOptions,
    n_jobs: int | None,
    counter: FitCounter,
) -> Fitted:
    """Fit the meta-learner on what the heads of each model say out of fold.

    Parameters
    ----------
    kind : Task
        What is predicted.
    outcomes : mapping
        Of the fits on features, by model and fold.
    heads : sequence of str
        Base learners that a stack is built of.
    combined : mapping of str to list of str
        Name of each stack, and of ``mean``, to the backbones that it combines.
    parts : sequence of Part
        The outer folds.
    options : MetaOptions
        The meta-learner.
    n_jobs, counter
        Fits at a time, and what counts them.
    """
    scores = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, BaseScores)}
    members = {
        (model, p.number): [scores[f"{head}:{name}", p.number] for name in names for head in heads]
        for model, names in combined.items()
        for p in parts
    }
    learner = META_LEARNERS[options.learner]
    fits = {
        (model, p.number): partial(learner.fit, *meta_rows(members[model, p.number], p), options)
        for model in combined
        if model != "mean"
        for p in parts
    }
    return Fitted(kind, outcomes, members, run_fits(fits, n_jobs, counter))
