"""Compare ways to learn from one domain for another.

Works on cached features of two datasets, or of two parts of one. Shows whether labelled images of the source help on
the target or hurt, against the source alone, the target alone and both together, on the same folds of the target.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.commands.shared import endings
from stackbone.commands.shared.console import print_json, progress
from stackbone.commands.shared.experiment_options import CrossValidationOptions, number_or_plan
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import CacheOption, DatasetNameOption, FoldOptions, JsonOption, RowOptions
from stackbone.commands.shared.transfer.options import DomainOptions, TransferFiles
from stackbone.commands.shared.transfer.output import print_transfer

if TYPE_CHECKING:
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
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.report.projection import choose_projection
    from stackbone.stack.transfer.result_file import transfer_result
    from stackbone.stack.transfer.run import run_transfer

    if files.save_method and not files.save:
        message = "--save-method says which method --save keeps: add --save FILE, or leave it out"
        raise UsageError(message)
    if files.projection != "auto" and not files.report:
        message = "--projection is for the report: add --report FILE, or leave it out"
        raise UsageError(message)
    choose_projection(files.projection)  # refused before the work
    endings.check_outputs({"--save": files.save, "--result": files.result, "--report": files.report, **rows.files})
    rows.check()
    with progress() as on_progress:
        experiment = run_transfer(
            FeatureStore(cache),
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
            with_model=files.save is not None,
            save_method=files.save_method,
            n_jobs=jobs,
            progress=on_progress,
        )
    if as_json:
        print_json(transfer_result(experiment))
    else:
        print_transfer(experiment)
    _write(experiment, files, rows)


def _write(experiment: TransferExperiment, files: TransferFiles, rows: RowOptions) -> None:
    """Write each file that was asked for: the table stands, whatever becomes of them."""
    from stackbone.stack import save_model
    from stackbone.stack.report.page import write_page
    from stackbone.stack.report.transfer.report import collect_transfer_report
    from stackbone.stack.transfer.result_file import write_transfer
    from stackbone.stack.transfer.table import transfer_rows

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
        if files.save and experiment.model:
            told = (experiment.model.transfer or {}).get("method")
            words = typed("stackbone", "predict", "PHOTOS", "--model", files.save)
            with outputs.file(f"the model, {told} on all images, is in {files.save}", f"use it: {words}"):
                save_model(experiment.model, files.save)
        if files.report:
            with outputs.file(f"the report is in {files.report}"):
                write_page(collect_transfer_report(experiment, files.projection), files.report)
