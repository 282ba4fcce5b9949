"""How answers for the target's test parts are scored, and compared in pairs on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from stackbone.cache import StackError
from stackbone.stack.metrics.checks import check_log_probabilities, check_scores
from stackbone.stack.metrics.compare import Difference, bootstrap_difference, mean_sizes, paired_difference
from stackbone.stack.metrics.metrics import class_metrics
from stackbone.stack.metrics.model_scores import ModelScore
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.domains.parts import FoldPart
from stackbone.stack.transfer.results.scores import Logs

PRIMARY = "accuracy"


@dataclass(frozen=True, eq=False)
class Scored:
    """What one way to learn says of every test part, and how good it is.

    Attributes
    ----------
    score : ModelScore
        Of the mean of its probabilities over backbones, one number a fold.
    backbones : dict of str to ModelScore
        Of each backbone alone.
    logs : list of NDArray[np.float64]
        ``(n_test, n_classes)`` natural-log probabilities of each test part, over all backbones.
    """

    score: ModelScore
    backbones: dict[str, ModelScore]
    logs: list[Logs]


@dataclass(frozen=True, eq=False)
class Scoring:
    """The test parts of the target, by which all are scored.

    Attributes
    ----------
    pair : DomainPair
        Both domains.
    parts : sequence of FoldPart
        Folds of the target.
    seed : int
        Of the bootstrap.
    is_split : bool
        Whether the one fold is the target's own split.
    """

    pair: DomainPair
    parts: Sequence[FoldPart]
    seed: int
    is_split: bool

    def score(self, name: str, logs: Mapping[str, Sequence[Logs]]) -> Scored:
        """Score what is said of every test part.

        Parameters
        ----------
        name : str
            Of the method.
        logs : mapping of str to sequence of NDArray[np.float64]
            By backbone, ``(n_test, n_classes)`` natural-log probabilities of each test part.

        Raises
        ------
        StackError
            If they are no probabilities.
        """
        truth = [self.pair.target_codes[part.fold.test] for part in self.parts]
        try:
            for own in logs.values():
                for codes, each in zip(truth, own, strict=True):
                    check_scores(codes, each)
                    check_log_probabilities(each)
        except StackError as exc:
            message = f"the method {name!r} gives no probabilities: {exc}"
            raise StackError(message) from exc
        stacked: list[Logs] = [logsumexp(each, axis=0) - np.log(len(each)) for each in zip(*logs.values(), strict=True)]
        alone = {backbone: _model_score(f"{name}:{backbone}", truth, own) for backbone, own in logs.items()}
        return Scored(_model_score(name, truth, stacked), alone, stacked)

    def difference(self, a: Scored, b: Scored) -> Difference:
        """Return by how much the first is better.

        The corrected resampled t-test counts the target's images alone: folds share the source's too, which makes the
        correction an approximation here.
        """
        if not self.is_split:
            folds = [part.fold for part in self.parts]
            tested = [len(fold.test) for fold in folds]
            return paired_difference(a.score.folds, b.score.folds, *mean_sizes(folds), tested=tested)
        rows, groups = self.parts[0].fold.test, self.pair.target_groups
        truth = self.pair.target_codes[rows]
        right = (each.logs[0].argmax(axis=1) == truth for each in (a, b))
        return bootstrap_difference(*right, seed=self.seed, groups=None if groups is None else groups[rows])


def _model_score(model: str, truth: Sequence[NDArray[np.int64]], logs: Sequence[Logs]) -> ModelScore:
    numbers = [class_metrics(codes, each, probability=True) for codes, each in zip(truth, logs, strict=True)]
    return ModelScore.of_folds(model, numbers, PRIMARY)
