"""The page of a transfer, collected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stackbone.stack.fitting.fit_warnings import in_words
from stackbone.stack.report.head import Facts, Head
from stackbone.stack.report.report import FilledSection, Report
from stackbone.stack.report.transfer.gap import Gap, collect_gap
from stackbone.stack.report.transfer.maps import Maps, collect_maps
from stackbone.stack.report.transfer.methods import Methods, collect_methods
from stackbone.stack.tables.verdict import Verdict
from stackbone.stack.transfer.experiment import TransferExperiment
from stackbone.stack.transfer.results import table
from stackbone.stack.transfer.results.verdict import verdict


def collect_transfer_report(experiment: TransferExperiment, projection: str = "auto") -> Report:
    """Collect what the page of a transfer shows.

    Its head is about the setting of the most target labels: the best baseline there, and the verdict.

    Parameters
    ----------
    experiment : TransferExperiment
        Evaluated.
    projection : str
        As of `stack.report.projection.choose_projection`.

    Raises
    ------
    UsageError
        If the projection is unknown or not installed.
    """
    parts: list[FilledSection[Any]] = [
        FilledSection(Methods(), collect_methods(experiment)),
        FilledSection(Gap(), collect_gap(experiment)),
        FilledSection(Maps(), collect_maps(experiment, projection)),
    ]
    return Report(_head(experiment), parts, {})


def _head(experiment: TransferExperiment) -> Head:
    scores = experiment.scores[-1]
    best, said = scores.result(scores.best_baseline).score, verdict(experiment, scores)
    return Head(
        dataset=f"{experiment.source} to {experiment.target}",
        created=datetime.now(UTC),
        model=best.model,
        metric=best.primary_metric,
        mean=best.mean,
        std=best.std if len(experiment.parts) > 1 else None,
        verdict=Verdict(said.effect, said.methods),
        facts=Facts(
            n_images=experiment.n_source + experiment.n_target,
            n_classes=len(experiment.pair.classes),
            n_groups=None,
            how=f"{table.how(experiment)}; {scores.setting.in_words}",
            left_out=experiment.pair.target.left_out,
            notes=[*experiment.notes, *in_words(experiment.warnings)],
        ),
        about="the best baseline, which methods have to beat",
    )
