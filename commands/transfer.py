"""Compare ways to learn from one domain for another.

Works on cached features of two datasets, or of two parts of one. Shows whether labelled images of the source help on
the target or hurt, against the source alone, the target alone and both together, on the same folds of the target.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.commands.shared import endings
from stackbone.commands.shared.cluster.ray import RayOption, fits_on
from stackbone.commands.shared.console import err, print_json, progress
from stackbone.commands.shared.experiment_options import CrossValidationOptions, number_or_plan
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import CacheOption, DatasetNameOption, FoldOptions, JsonOption, RowOptions
from stackbone.commands.shared.report_output import refuse_idle, write_collected
from stackbone.commands.shared.transfer.options import DomainOptions, TransferFiles
from stackbone.commands.shared.transfer.output import print_transfer

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.stack.transfer.experiment import TransferExperiment


@grouped
def command(
    *,
    domains: DomainOptions,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Backbones to use, separated by commas: names, groups ({groups}, all) or feature sets [default: all "
            "that cover both domains]"
        ),
    ] = None,
    division: CrossValidationOptions,
    folds: FoldOptions,
    files: TransferFiles,
    rows: RowOptions,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Number of classifiers to fit at a time [default: one per core]")
    ] = None,
    ray: RayOption = None,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.report.projection import choose_projection
    from stackbone.stack.transfer.results.result_file import transfer_result
    from stackbone.stack.transfer.run import check_model, left_out_of_all, run_transfer

    for option, value in {
        "save-method": files.save_method,
        "save-without-features": files.save_without_features,
    }.items():
        if value and not files.save:
            message = f"--{option} says what --save keeps: add --save FILE, or leave it out"
            raise UsageError(message)
    if files.projection != "auto" and not (files.report or files.figures):
        message = "--projection is for the report: add --report FILE or --figures FOLDER, or leave it out"
        raise UsageError(message)
    refuse_idle(["--open"] if files.opens and not files.report else [])
    choose_projection(files.projection)  # refused before the work
    endings.check_outputs({"--save": files.save, "--result": files.result, "--report": files.report, **rows.files})
    if files.save:
        check_model(domains.target_labels, domains.methods, files.save_method)
    rows.check()
    store = FeatureStore(cache)
    with progress() as on_progress, fits_on(ray):
        experiment = run_transfer(
            store,
            target=domains.target,
            source=domains.source or (),
            dataset=dataset,
            domain_column=domains.domain_column,
            target_labels=domains.target_labels,
            methods=domains.methods,
            backbones=backbones,
            cv=number_or_plan(division.cv),
            repeats=division.repeats,
            split=folds.split,
            group_by=folds.group_by,
            near_duplicates=division.near_duplicates,
            rare=folds.rare,
            seed=folds.seed,
            dealing=folds.dealing,
            n_jobs=jobs,
            progress=on_progress,
        )
    if as_json:
        print_json(transfer_result(experiment))
    else:
        print_transfer(experiment)
    if note := left_out_of_all(domains.methods):
        err.note(f"note: {note}")
    _write(experiment, store, files, rows, jobs)


def _write(
    experiment: TransferExperiment, store: FeatureStore, files: TransferFiles, rows: RowOptions, jobs: int | None
) -> None:
    """Write each file that was asked for: the table stands, whatever becomes of them."""
    from stackbone.stack.report.transfer.report import collect_transfer_report
    from stackbone.stack.transfer.results.result_file import write_transfer
    from stackbone.stack.transfer.results.table import transfer_rows

    found = transfer_rows(experiment)
    with endings.Outputs() as outputs:
        rows.write(
            {name: [row[name] for row in found] for name in found[0]},
            outputs,
            {"difference": float, "low": float, "high": float},
        )
        if files.result:
            with outputs.file(f"all numbers are in {files.result}"):
                write_transfer(experiment, files.result)
        if files.save:
            words = typed("stackbone", "predict", "PHOTOS", "--model", files.save)
            with outputs.file(f"use it: {words}"):
                _save(experiment, files.save, files, jobs)
        if files.report or files.figures:
            with outputs.file():
                report = collect_transfer_report(experiment, files.projection, store)
                write_collected(report, files.report, files.figures, opens=files.opens)


def _save(experiment: TransferExperiment, file: Path, files: TransferFiles, jobs: int | None) -> None:
    """Fit a method on all images, save it, and say which it is."""
    from stackbone.stack import save_model
    from stackbone.stack.fitting.fit_warnings import in_words
    from stackbone.stack.models.unlike.words import about_kept
    from stackbone.stack.transfer.final_model import with_model

    with progress() as on_progress:
        fitted = with_model(
            experiment,
            files.save_method,
            keep_features=not files.save_without_features,
            n_jobs=jobs,
            progress=on_progress,
        )
    for sentence in in_words({name: said for name, said in fitted.warnings.items() if name not in experiment.warnings}):
        err.print(f"warning: {sentence}")
    if fitted.model is not None and fitted.model.transfer is not None:
        save_model(fitted.model, file)
        err.note(f"the model, {fitted.model.transfer['method']} on all images, is in {file}")
        if not files.save_without_features:
            err.note(about_kept(fitted.model.novelty))
