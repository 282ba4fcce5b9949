"""A transfer method fitted on all images of both domains, as a model that `predict` uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np

from stackbone.cache import Digests, UsageError
from stackbone.cache.choices import unknown_choice
from stackbone.cache.progress import Progress
from stackbone.cache.text import typed
from stackbone.stack.fitting.fit_warnings import recorded
from stackbone.stack.fitting.fits import FitCounter, run_fits
from stackbone.stack.models.backbone import ModelBackbone
from stackbone.stack.models.model import StackModel, hash_digests, shorten_digests
from stackbone.stack.models.refit import LIBRARIES, shown_score
from stackbone.stack.solvers.linear import LinearMap
from stackbone.stack.transfer.domains.parts import domains_of, everything, labels_shown
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.method import HIDDEN, Method
from stackbone.stack.transfer.open_set import known_images
from stackbone.stack.transfer.registry import METHODS
from stackbone.stack.transfer.results.scores import POOLED, SOURCE_ONLY, TARGET_ONLY, SettingScores


def check_saved(methods: Sequence[Method], save_method: str | None) -> None:
    """Refuse, before the work, a method that cannot be saved.

    Parameters
    ----------
    methods : sequence of Method
        That are to be run.
    save_method : str, optional
        The one to be saved; by default the one that is named beside the baselines.

    Raises
    ------
    UsageError
        If it is not among them, or no linear map.
    """
    names = [each.name for each in methods]
    if save_method is not None and save_method not in names:
        raise UsageError(unknown_choice("--save-method", save_method, names))
    asked = save_method or _single(names)
    if asked is not None and not METHODS[asked].is_linear:
        raise UsageError(_no_map(asked))


def with_model(
    experiment: TransferExperiment,
    save_method: str | None = None,
    *,
    keep_features: bool = True,
    n_jobs: int | None = None,
    progress: Progress | None = None,
) -> TransferExperiment:
    """Return the experiment with a method fitted on everything, and with what its solvers warned of.

    Parameters
    ----------
    experiment : TransferExperiment
        Of one setting.
    save_method : str, optional
        Which method; by default the one that was named beside the baselines, else the best baseline, or the best
        method that beats it beyond chance.
    keep_features : bool
        Let the model keep features of its labelled images, by which it knows images unlike all of them.
    n_jobs : int, optional
        Fits at a time; all cores by default.
    progress : callable, optional
        See `cache.progress.Progress`.

    Raises
    ------
    UsageError
        If the method did not run, or is no linear map.
    StackError
        If all images do not allow it.
    """
    name = _choose(experiment.scores[0], save_method)
    setting, seed = experiment.scores[0].setting, experiment.division.seed
    part = everything(experiment.pair, seed)
    names = experiment.pair.target.names

    def fit(backbone: str) -> LinearMap | None:
        return METHODS[name].fit(domains_of(experiment.pair, part, setting, backbone, seed)).linear_map

    fits = {(f"model {backbone}", 0): partial(fit, backbone) for backbone in names}
    with recorded() as warned:
        found = run_fits(fits, n_jobs, FitCounter(progress, len(fits)))
    bases = [base for backbone in names if (base := found[f"model {backbone}", 0]) is not None]
    if len(bases) < len(names):
        raise UsageError(_no_map(name))
    warnings = {**experiment.warnings, **warned.by_model()}
    model = _as_model(experiment, name, bases, keep_features=keep_features)
    return replace(experiment, model=model, warnings=warnings)


def _choose(scores: SettingScores, asked: str | None) -> str:
    """Return the method to be saved."""
    ran = [each.method for each in scores.results]
    asked = asked or _single([*ran, *scores.unfit])
    if asked is not None:
        if asked in scores.unfit:
            message = (
                f"{asked} cannot be saved, since it was not run: {scores.unfit[asked]}. Name another --save-method: "
                f"{', '.join(name for name in ran if METHODS[name].is_linear)}"
            )
            raise UsageError(message)
        return asked
    sure = [
        each
        for each in scores.results
        if METHODS[each.method].is_linear
        and each.family != "baseline"
        and each.difference is not None
        and each.difference.mean > 0
        and scores.is_sure(each)
    ]
    best = max(sure, key=lambda each: each.score.mean, default=None)
    return scores.best_baseline if best is None else best.method


def _single(names: Sequence[str]) -> str | None:
    """Return the one method that is no baseline, if there is one."""
    others = [name for name in names if METHODS[name].family != "baseline"]
    return others[0] if len(others) == 1 else None


def _no_map(name: str) -> str:
    return (
        f"{name} is no linear map of features, and a model holds nothing else. Add "
        f"{typed('--save-method', POOLED)}, or leave --save out"
    )


def _as_model(experiment: TransferExperiment, name: str, bases: list[LinearMap], *, keep_features: bool) -> StackModel:
    pair, scores = experiment.pair, experiment.scores[0]
    score = scores.result(name).score
    digests = np.unique(_seen(experiment, name), axis=0)
    seed = experiment.division.seed
    ways = {"from_source": name != TARGET_ONLY, "from_target": name != SOURCE_ONLY}
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
        novelty=known_images(pair, everything(pair, seed), scores.setting, seed, **ways) if keep_features else None,
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
    labelled: Digests = pair.target.digests[labels_shown(part, pair.target_codes, setting) != HIDDEN]
    if name == TARGET_ONLY:
        return labelled
    if name == POOLED:
        taught: Digests = np.concatenate([pair.source.digests, labelled])
        return taught
    without = [] if pair.unlabelled is None else [pair.unlabelled.digests]
    both: Digests = np.concatenate([pair.source.digests, pair.target.digests, *without])
    return both
