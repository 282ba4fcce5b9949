"""The page of a transfer, collected."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from stackbone.cache import CacheError, FeatureStore, StackError, UsageError
from stackbone.stack.fitting.fit_warnings import in_words
from stackbone.stack.report.head import Facts, Head
from stackbone.stack.report.images import ReportImage
from stackbone.stack.report.projection import choose_projection
from stackbone.stack.report.report import FilledSection, Report
from stackbone.stack.report.transfer.gap import Gap, collect_gap
from stackbone.stack.report.transfer.least_images import least_images
from stackbone.stack.report.transfer.maps import Maps, collect_maps
from stackbone.stack.report.transfer.methods import Methods, collect_methods
from stackbone.stack.tables.verdict import Verdict
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.reread import reread_images
from stackbone.stack.transfer.results import table
from stackbone.stack.transfer.results.scores import POOLED, SOURCE_ONLY
from stackbone.stack.transfer.results.told import Told, TransferResult
from stackbone.stack.transfer.results.verdict import verdict

_ABOUT = {POOLED: "fitted on source and target images together", SOURCE_ONLY: "fitted on source images alone"}


def collect_transfer_report(
    experiment: TransferExperiment, projection: str = "auto", store: FeatureStore | None = None
) -> Report:
    """Collect what the page of a transfer shows.

    Its head is about the setting of the most target labels: the verdict there, and the score that it speaks of.

    Parameters
    ----------
    experiment : TransferExperiment
        Evaluated.
    projection : str
        As of `stack.report.projection.choose_projection`.
    store : FeatureStore, optional
        The cache that it was made with, by which the images that help least can be pictured.

    Raises
    ------
    UsageError
        If the projection is unknown or not installed.
    """
    images, _ = ({}, None) if store is None else least_images(experiment, store)
    return _report(experiment, experiment.pair, projection, images, [])


def collect_result_report(
    result: TransferResult, store: FeatureStore, projection: str = "auto"
) -> tuple[Report, list[str]]:
    """Collect the same page of what a result file says; what needs images is read again from the cache.

    Parameters
    ----------
    result : TransferResult
        As of `stack.transfer.results.reading.read_transfer`.
    store : FeatureStore
        The cache that it was made with.
    projection : str
        As of `stack.report.projection.choose_projection`.

    Returns
    -------
    report : Report
        The page; it says itself what it does not show.
    lacking : list of str
        What it does not show and why not, in sentences.

    Raises
    ------
    UsageError
        If the projection is unknown or not installed.
    """
    choose_projection(projection)
    lacking: list[str] = []
    pair = None
    try:
        pair = reread_images(result, store)
    except (CacheError, StackError, UsageError) as exc:
        lacking.append(f"the maps of both domains are left out: {exc}")
    images, why_none = least_images(result, store)
    if why_none is not None:
        lacking.append(f"pictures of the images that help least are left out: {why_none}")
    return _report(result, pair, projection, images, lacking), lacking


def _report(
    told: Told, pair: DomainPair | None, projection: str, images: Mapping[int, ReportImage], lacking: list[str]
) -> Report:
    parts: list[FilledSection[Any]] = [
        FilledSection(Methods(), collect_methods(told)),
        FilledSection(Gap(), collect_gap(told)),
    ]
    if pair is not None:
        parts.append(FilledSection(Maps(), collect_maps(told, pair, projection)))
    return Report(_head(told, lacking), parts, images)


def _head(told: Told, lacking: list[str]) -> Head:
    scores = told.scores[-1]
    # The verdict speaks of these, named before any score is known; the best baseline is chosen by its score.
    about = SOURCE_ONLY if scores.source_effect is None else POOLED
    shown, said = scores.result(about).score, verdict(told, scores)
    return Head(
        dataset=f"{told.source} to {told.target}",
        created=datetime.now(UTC),
        model=shown.model,
        metric=shown.primary_metric,
        mean=shown.mean,
        std=shown.std if told.n_folds > 1 else None,
        verdict=Verdict(said.effect, said.beside),
        facts=Facts(
            n_images=told.n_source + told.n_target,
            n_classes=len(told.class_names),
            n_groups=None,
            how=f"{table.how(told)}; {scores.setting.in_words}",
            left_out=told.left_out,
            notes=[*told.notes, *in_words(told.warnings), *lacking],
        ),
        about=_ABOUT[about],
    )
