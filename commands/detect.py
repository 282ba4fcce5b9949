"""Find objects: train heads on cached feature maps, and score them.

Works on the maps that `extract --outputs pyramid` made of images with boxes. Trains heads on each backbone, fuses what
they find, and says whether that helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.commands.shared import endings
from stackbone.commands.shared.console import print_json, progress
from stackbone.commands.shared.detection.options import DetectionFiles, DivisionOptions, HeadOptions
from stackbone.commands.shared.detection.output import print_detection
from stackbone.commands.shared.experiment_options import number_or_plan
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import CacheOption, DatasetNameOption, JsonOption, RowOptions
from stackbone.commands.shared.report_output import refuse_idle, write_collected

if TYPE_CHECKING:
    from stackbone.stack.detection.records.experiment import DetectionExperiment


@grouped
def command(
    *,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Backbones to train heads on, separated by commas: names, groups ({groups}, all) or feature sets "
            "[default: all whose pyramids cover the annotated images]"
        ),
    ] = None,
    heads: HeadOptions,
    division: DivisionOptions,
    files: DetectionFiles,
    rows: RowOptions,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.detection.run import run_detection

    _check(files, division, rows)
    store = FeatureStore(cache)
    with progress("what was found is kept; run the same command to go on") as on_progress:
        experiment = run_detection(
            store,
            dataset=dataset,
            backbones=backbones,
            heads=heads.head,
            epochs=heads.epochs,
            precision=heads.precision,
            cv=number_or_plan(division.cv),
            split=division.split,
            group_by=division.group_by,
            near_duplicates=division.near_duplicates,
            seed=division.seed,
            with_model=files.save is not None,
            train_only=files.save_train_only,
            progress=on_progress,
        )
    if as_json:
        print_json(experiment.to_dict())
    else:
        print_detection(experiment)
    _write(experiment, files, rows)


def _check(files: DetectionFiles, division: DivisionOptions, rows: RowOptions) -> None:
    """Refuse, before the work, what contradicts itself or cannot be written."""
    refuse_idle(["--open"] if files.opens and not files.report else [])
    if files.save_train_only and (files.save is None or division.split is None):
        message = "--save-train-only is for --split with --save: folds have several training parts, and no model of one"
        raise UsageError(message)
    endings.check_outputs({"--save": files.save, "--result": files.result, "--report": files.report, **rows.files})
    rows.check()


def _fitted(experiment: DetectionExperiment, files: DetectionFiles) -> str:
    """Return which images the model to save was fitted on."""
    n = experiment.model.n_images if experiment.model else 0
    split = experiment.division.split
    if files.save_train_only:
        return f"fitted on the {n:,} images of the other splits alone"
    if split is None:
        return f"fitted on all {n:,} images"
    return f"fitted on all {n:,} images, those of the split {split!r} among them (--save-train-only leaves them out)"


def _write(experiment: DetectionExperiment, files: DetectionFiles, rows: RowOptions) -> None:
    """Write each file that was asked for: the table stands, whatever becomes of them."""
    from stackbone.stack.detection.models.model_file import save_detection_model
    from stackbone.stack.detection.results.result_file import write_detection
    from stackbone.stack.detection.tables.table import score_rows
    from stackbone.stack.report.detection.report import collect_detection_report

    found = score_rows(experiment)
    with endings.Outputs() as outputs:
        numbers = dict.fromkeys(["ap50", "low", "high", "ap", "voc_11_point", "seconds"], float)
        rows.write({name: [row[name] for row in found] for name in found[0]}, outputs, numbers)
        if files.result:
            with outputs.file(f"all numbers are in {files.result}"):
                write_detection(experiment, files.result)
        if files.save and experiment.model:
            words = typed("stackbone", "predict", "PHOTOS", "--model", files.save)
            said = f"the model, {_fitted(experiment, files)}, is in {files.save}"
            with outputs.file(said, f"use it: {words}"):
                save_detection_model(experiment.model, files.save)
        if files.report or files.figures:
            with outputs.file():
                report = collect_detection_report(experiment)
                write_collected(report, files.report, files.figures, opens=files.opens)
