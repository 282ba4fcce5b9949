"""The fits on features: which there are, whether an earlier run made them, and how they run side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackbone.stack.evaluation.kept_outcome import FitKey as OutcomeKey
from stackbone.stack.evaluation.nested import NestedFit
from stackbone.stack.evaluation.score_cache import ScoreCache
from stackbone.stack.evaluation.viewed import run_fit, size_settings, view_sets, view_settings
from stackbone.stack.fitting.fits import FitCounter, FitKey, KeptFit, run_alone, run_fits
from stackbone.stack.folds.fold import Fold
from stackbone.stack.folds.per_fold import Features, check_nested, nested_of, of_fold
from stackbone.stack.learners.learner import BaseLearner, BaseOutcome, Part
from stackbone.stack.learners.member import Member
from stackbone.stack.learners.options import StackOptions
from stackbone.stack.tasks.task import Task

_LARGE = 2**27  # bytes of features


@dataclass(frozen=True, eq=False)
class BaseFit:
    """A fit on features, and what decides its outcome beside the images and labels of its fold.

    Attributes
    ----------
    settings : dict of str to object
        Learner and settings, JSON-able.
    names : list of str
        The backbones that it sees.
    uses_inner_folds : bool
        Whether the inner folds decide its outcome.
    run : callable
        Fits, without looking for kept scores.
    inner_sets : sequence of str
        Ids of feature sets of inner folds that it sees too.
    """

    settings: dict[str, object]
    names: list[str]
    uses_inner_folds: bool
    run: Callable[[], BaseOutcome]
    inner_sets: Sequence[str] = ()

    def find_or_run(self, cache: ScoreCache, values: NDArray[Any], part: Part, found: list[str]) -> BaseOutcome:
        """Return what the cache has kept of this fit, or run it; parameters as of `ScoreCache`."""
        return cache.find_or_run(self._key(cache, values, part), self.run, found)

    def kept(self, cache: ScoreCache, values: NDArray[Any], part: Part, found: list[str]) -> KeptFit[BaseOutcome]:
        """Return this fit with the place where its outcome is kept; parameters as of `ScoreCache`."""
        return cache.kept(self._key(cache, values, part), self.run, found)

    def _key(self, cache: ScoreCache, values: NDArray[Any], part: Part) -> OutcomeKey:
        inner = part.inner if self.uses_inner_folds else []
        settings = {**self.settings, **_choices(part, has_choice=self.uses_inner_folds)}
        key = cache.key(settings, self.names, values, part.fold, inner, number=part.number)
        return replace(key, feature_sets=(*key.feature_sets, *self.inner_sets))


def _choices(part: Part, *, has_choice: bool) -> dict[str, object]:
    """Return what weights and a metric add to a key of the score cache: nothing where there are none."""
    found: dict[str, object] = {}
    if part.metric is not None and has_choice:
        found["metric"] = part.metric.name
    for name, weights in (("row_weights", part.row_weights), ("sample_weights", part.sample_weights)):
        # The weights of images alone are looked at where a metric chooses.
        if weights is not None and (name == "row_weights" or "metric" in found):
            found[name] = hashlib.sha256(np.ascontiguousarray(weights).tobytes()).hexdigest()
    return found


def base_fits(
    kind: Task,
    blocks: Mapping[str, Features],
    members: Sequence[Member],
    parts: list[Part],
    options: StackOptions,
    seed: int,
    inner_folds: Callable[[NDArray[np.int64]], list[Fold]],
) -> dict[FitKey, BaseFit]:
    """List all that can be fitted on features; the longest first, so that no core ends with a long one alone."""
    everything = list(blocks)
    learners = {each.name: each for each in kind.learners}
    fitted: list[tuple[str, list[str], BaseLearner]] = []
    if len(members) > 1 or len(members[0].widths) > 1:  # it knows no parts, as the saved model of this recipe
        fitted.append(("concat", everything, learners[kind.base]))
    fitted += [(f"stack:{each.name}", everything, each) for each in learners.values() if each.sees_all]
    fitted += [
        (f"{each.name}:{member.name}", list(member.blocks), each.of_parts(member.widths))
        for each in learners.values()
        if not each.sees_all
        for member in members
    ]
    found = {
        (model, p.number): BaseFit(
            {
                **learner.settings(options, seed),
                **view_settings(seen),
                **size_settings(learner, seen, p, options),
            },
            names,
            learner.uses_inner_folds,
            partial(run_fit, learner, seen, p, options, seed),
            view_sets(seen),
        )
        for model, names, learner in fitted
        for p in parts
        for seen in [[of_fold(blocks[name], p.number) for name in names]]
    }
    for p in parts:  # the meta-learner sees what these base learners say of each backbone, and no others
        for member in members:
            name, features = member.blocks[0], blocks[member.blocks[0]]
            nested = nested_of(features, p.number)
            if nested:  # of a steered backbone, whose outputs are a member each
                check_nested(name, nested, len(p.inner))
                deeper = [inner_folds(p.fold.train[each.train]) for each in p.inner]
                for head in kind.stacked(options):
                    base = head.of_parts(member.widths)
                    fit = NestedFit(base, of_fold(features, p.number), nested, p, deeper, options, seed)
                    found[f"{base.name}:{name}", p.number] = BaseFit(
                        fit.settings(), [name], base.uses_inner_folds, fit.run, nested.feature_sets
                    )
    return found


def run_base(
    kind: Task,
    runs: Mapping[FitKey, Callable[[], BaseOutcome]],
    n_bytes: int,
    n_jobs: int | None,
    counter: FitCounter,
) -> dict[FitKey, BaseOutcome]:
    """Run the fits side by side; of large features, those that see every backbone one at a time.

    Each of these holds a copy of its training rows, and its products are large enough for BLAS to use every core.
    """
    learners = {each.name: each for each in kind.learners}
    seeing_all = {f"stack:{each.name}" for each in learners.values() if each.sees_all}
    seeing_all |= {"concat"} if learners[kind.base].copies_rows else set()
    of_all = [key for key in runs if key[0] in seeing_all] if n_bytes > _LARGE else []
    alone = run_alone({key: runs[key] for key in of_all}, n_jobs, counter)
    return alone | run_fits({key: run for key, run in runs.items() if key not in alone}, n_jobs, counter)
