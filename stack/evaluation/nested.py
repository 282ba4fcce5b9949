"""A base learner on a steered backbone that has steerings of the inner folds too.

The plain way, the learner's out-of-fold scores come from features whose steering saw the very labels that the scores
are compared with, and the meta-learner leans on this backbone too much. Here each inner fold has features of its own,
whose steering saw neither its test part nor the outer fold's, and the learner is fitted on them as it will be on the
outer fold's: in all it does, C included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.evaluation.viewed import run_fit, size_settings
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Block, Nested
from stackbone.stack.learners.learner import BaseLearner, BaseOutcome, BaseScores, Part
from stackbone.stack.learners.options import StackOptions


@dataclass(frozen=True, eq=False)
class NestedFit:
    """One base learner on one outer fold of such a backbone.

    Attributes
    ----------
    learner : BaseLearner
        It sees one backbone, and gives `BaseScores`.
    features : Block
        ``(n_images, dim)`` that the outer fold may use.
    nested : Nested
        The features of each inner fold.
    part : Part
        The outer fold.
    deeper : list of list of Fold
        For each inner fold, folds of its own training part.
    options, seed
        As of `BaseLearner.fit`.
    """

    learner: BaseLearner
    features: Block
    nested: Nested
    part: Part
    deeper: Sequence[Sequence[Fold]]
    options: StackOptions
    seed: int

    def settings(self) -> dict[str, object]:
        """Return what decides its outcome beside the outer fold's features: its part of a key of the score cache."""
        sha = hashlib.sha256()
        for block, deeper in zip(self.nested.blocks, self.deeper, strict=True):
            arrays: list[NDArray[Any]] = [
                block[self.part.fold.train],
                *(rows for fold in deeper for rows in (fold.train, fold.test)),
            ]
            for array in arrays:
                sha.update(len(array).to_bytes(8, "little"))
                sha.update(np.ascontiguousarray(array).tobytes())
        sized = size_settings(self.learner, [self.features], self.part, self.options)
        return {**self.learner.settings(self.options, self.seed), **sized, "nested": sha.hexdigest()}

    def run(self) -> BaseOutcome:
        """Fit on the outer fold, and on each inner fold for the scores of its test part."""
        part, fit = self.part, partial(run_fit, self.learner)
        outcome = fit([self.features], part, self.options, self.seed)
        if not isinstance(outcome, BaseScores):
            return outcome
        out_of_fold = np.full_like(outcome.out_of_fold, np.nan)
        for fold, block, deeper in zip(part.inner, self.nested.blocks, self.deeper, strict=True):
            own = Fold(part.fold.train[fold.train], part.fold.train[fold.test])
            inner = replace(
                part,
                fold=own,
                y_train=part.y_train[fold.train],
                inner=list(deeper),
                row_weights=None if part.row_weights is None else part.row_weights[fold.train],
                sample_weights=None if part.sample_weights is None else part.sample_weights[fold.train],
            )
            scores = fit([block], inner, self.options, self.seed)
            out_of_fold[fold.test] = scores.test if isinstance(scores, BaseScores) else scores.scores
        return replace(outcome, out_of_fold=out_of_fold)
