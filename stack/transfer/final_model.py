"""A transfer method fitted on all images of both domains, as a model that `predict` uses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from stackbone.cache import Digests, StackError, UsageError
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel, hash_digests, shorten_digests
from stackbone.stack.models.refit import LIBRARIES, shown_score
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.domains.parts import domains_of, everything, labels_shown
from stackbone.stack.transfer.evaluate import SOURCE_ONLY, TARGET_ONLY, SettingScores
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.method import HIDDEN
from stackbone.stack.transfer.registry import METHODS


def choose_saved(scores: SettingScores, asked: str | None) -> list[str]:
    """Return the method that is to be saved, or all that ran, the best first, where none was named.

    Raises
    ------
    UsageError
        If the one that was named cannot serve.
    """
    if asked is None:
        ranked = sorted(scores.results, key=lambda each: -each.score.mean)  # of equals the first of the table
        return [each.method for each in ranked]
    if asked in scores.unfit:
        can = ", ".join(each.method for each in scores.results)
        message = f"{asked} cannot be saved: it {scores.unfit[asked]}. Name another --save-method: {can}"
        raise UsageError(message)
    return [asked]


def fit_final(experiment: TransferExperiment, methods: Sequence[str]) -> StackModel:
    """Fit the first method whose classifier is linear, which a model can hold, on everything.

    Parameters
    ----------
    experiment : TransferExperiment
        Of one setting.
    methods : sequence of str
        As of `choose_saved`.

    Raises
    ------
    StackError
        If none of them is linear.
    """
    for name in methods:
        bases = _fit(experiment, name)
        if bases is not None:
            return _as_model(experiment, name, bases)
    message = (
        f"{methods[0]} is no linear map of features, and a model holds nothing else. Name another --save-method, such "
        f"as {experiment.scores[0].best_baseline}"
    )
    raise StackError(message)


def _fit(experiment: TransferExperiment, name: str) -> list[LinearMap] | None:
    setting, seed = experiment.scores[0].setting, experiment.division.seed
    part = everything(experiment.pair, seed)
    bases = []
    for backbone in experiment.pair.target.names:
        found = METHODS[name].fit(domains_of(experiment.pair, part, setting, backbone, seed)).linear_map
        if found is None:
            return None
        bases.append(found)
    return bases


def _as_model(experiment: TransferExperiment, name: str, bases: list[LinearMap]) -> StackModel:
    pair, scores = experiment.pair, experiment.scores[0]
    score = scores.result(name).score
    digests = np.unique(_seen(experiment, name), axis=0)
    sets = pair.target.feature_sets
    return StackModel(
        task=experiment.division.task,
        classes=[str(each) for each in pair.classes],
        backbones=[ModelBackbone(each, sets[each].id, sets[each].header().spec) for each in pair.target.names],
        bases=bases,
        learner="mean",
        scores="probability",
        combine="concat",
        meta_linear=None,
        scale=1.0,
        n_images=len(digests),
        digests_sha256=hash_digests(digests),
        score={score.primary_metric: shown_score(score)},
        versions={each: version(each) for each in LIBRARIES},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seen=shorten_digests(digests),
        transfer={
            "method": name,
            "source": experiment.source,
            "target": experiment.target,
            "target_labels": scores.setting.name,
            "statistics": METHODS[name].statistics,
        },
    )


def _seen(experiment: TransferExperiment, name: str) -> Digests:
    """Return the ``(n, 32)`` digests of the images that a method has seen, with their labels or without."""
    pair, setting = experiment.pair, experiment.scores[0].setting
    part = everything(pair, experiment.division.seed)
    if name == SOURCE_ONLY:
        return pair.source.digests
    if name == TARGET_ONLY:
        return pair.target.digests[labels_shown(part, pair.target_codes, setting) != HIDDEN]
    both: Digests = np.concatenate([pair.source.digests, pair.target.digests])
    return both
