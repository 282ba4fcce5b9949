"""Adapt a frozen backbone to your labels.

Steers or fine-tunes it and writes a steering file, which `extract --steering` makes features with. With --cv, it trains
once for each fold, so that `stack` scores every image on features that never saw its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import counted, typed
from stackbone.commands.shared.console import as_given, err, out, print_json, progress
from stackbone.commands.shared.embedding.dataset_options import DatasetOptions
from stackbone.commands.shared.experiment_options import GivenFoldOptions, number_or_plan
from stackbone.commands.shared.option_groups import grouped, names
from stackbone.commands.shared.options import (
    CacheOption,
    DecodingOptions,
    DeviceOption,
    FoldOptions,
    InnerCvOption,
    JsonOption,
    WeightsOption,
    WorkersOption,
    weights_files,
)
from stackbone.commands.shared.training_options import MethodOptions, TrainingOptions

if TYPE_CHECKING:
    from stackbone.cache import DatasetIndex
    from stackbone.extract import Backbone, Weights
    from stackbone.extract.steering.options import SteerOptions
    from stackbone.extract.steering.steer import SteerReport


@grouped
def command(
    context: typer.Context,
    data: Annotated[
        list[str], typer.Argument(help="A folder of class folders, a table, archives, or a CUB_200_2011 folder")
    ],
    *,
    backbone: Annotated[str, typer.Option(help="Backbone to adapt: a name ({backbones}), or timm:MODEL")] = "vit_base",
    method: Annotated[str, typer.Option(help="What to train: {methods}; docs/steering.md compares them")] = "toast",
    stage: Annotated[
        str, typer.Option(help="tune: train on your task; pretune: prepare on general images first, for --start")
    ] = "tune",
    start: Annotated[
        Path | None,
        typer.Option(
            help="Start from this steering file, a folder of them (each fold from its own), or a released TOAST "
            "checkpoint; finetune goes on from a head that `--method linear` trained"
        ),
    ] = None,
    cv: Annotated[
        str | None,
        typer.Option(
            help="Train once for each of N folds, those of `stack --cv N`, or with logo once for each group that is "
            "left out [default: once, on all images]"
        ),
    ] = None,
    folds: FoldOptions,
    given: GivenFoldOptions,
    nested: Annotated[
        bool,
        typer.Option(
            "--nested",
            help="Train for the inner folds of each fold too, so that the stack does not lean on labels that the "
            "steering saw; --inner-cv times as many trainings again",
        ),
    ] = False,
    inner_cv: InnerCvOption = 5,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for the steering files [default: steering/DATASET]")
    ] = None,
    pictures: Annotated[Path | None, typer.Option(help="Write pictures of the attention to this folder")] = None,
    training: TrainingOptions,
    own: MethodOptions,
    weights: WeightsOption = None,
    cache: CacheOption = None,
    listing: DatasetOptions,
    decoding: DecodingOptions,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.cache.records.indexes.listed import Listed
    from stackbone.extract import find_weights, get_backbone, index_dataset
    from stackbone.extract.steering.steer import TrainingImages, steer, steering_path
    from stackbone.stack.divisions.training_parts import training_parts
    from stackbone.stack.folds.dealing import DEALINGS

    options = training.to_options(method, stage, folds.seed, own)
    options.check()
    plain = get_backbone(backbone)
    _check_choices(options, plain, cv=cv, given=given, nested=nested, with_pictures=pictures is not None)
    store = FeatureStore(cache)
    dataset = listing.open(data, store=store)
    for line in Listed(dataset.skipped, dataset.notes).lines():
        err.note(line)
    found = find_weights([plain], weights_files(weights), ask=_other)[plain.key]
    reports = []
    with progress("whole epochs are kept; run the same command to go on") as on_progress:
        index = index_dataset(dataset, store, **asdict(decoding), on_progress=on_progress)
        parts = training_parts(
            store,
            index.name,
            cv=number_or_plan(cv),
            split=folds.split,
            **vars(given),
            seed=folds.seed,
            group_by=folds.group_by,
            rare=folds.rare,
            dealing=folds.dealing or DEALINGS[0],
            inner_splits=inner_cv,
            nested=nested,
        )
        place = folder or Path("steering", index.name)
        made = [steering_path(place, index.name, plain, options, part.division) for part in parts]
        if nested:
            to_come = [len(part) for part, file in zip(parts, made, strict=True) if not file.exists()]
            _say_cost(plain, found, options, to_come, device)
        for part, file in zip(parts, made, strict=True):
            paths = [str(dataset.root / path) for path in part.paths]
            report = steer(
                TrainingImages(paths, part.digests, part.labels, part.groups),
                plain,
                found,
                file,
                options,
                start=start,
                division=part.division,
                device=device,
                workers=workers,
                **asdict(decoding),
                on_epoch=lambda epoch: err.note(epoch.line()),
                on_progress=on_progress,
            )
            for line in report.failure_lines():
                err.print(line)
            if pictures:
                _write_pictures(report, found, index, pictures)
            # No report prints a tensor, and those of ten folds of a fine-tuned ViT-B are some gigabytes.
            reports.append(replace(report, steering=replace(report.steering, tensors={})))
    if as_json:
        print_json({"steerings": [report.to_dict() for report in reports]})
        return
    for line in (line for report in reports for line in report.lines()):
        out.print(line)
    if next_step := _next_step(context, data, options, backbone, reports):
        out.note(f"next: {next_step}")


def _other(names: Sequence[str]) -> str:
    """Return what to type for a backbone in place of one that has no weights here."""
    return typed("--backbone", names[0], *([] if names[0].startswith("vit") else ["--method", "finetune"]))


def _say_cost(plain: Backbone, weights: Weights, options: SteerOptions, n_images: list[int], device: str) -> None:
    """Say how many trainings are to come, and about how long they take."""
    from stackbone.extract.steering.training_run import estimate_seconds

    if not n_images:
        return
    minutes = round(estimate_seconds(plain, weights, options, n_images, device=device) / 60)
    long = f"{minutes // 60:,} h {minutes % 60} min" if minutes >= 60 else counted(minutes, "minute")
    err.print(
        f"--nested: {counted(len(n_images), 'training')} to come, each of up to {counted(options.epochs, 'epoch')}, of "
        f"which the steps take {f'about {long}' if minutes else 'less than a minute'} here where none stops early. "
        "`extract` then makes as many feature sets. Whole trainings are kept: the same command goes on where this one "
        "is stopped"
    )


def _check_choices(
    options: SteerOptions,
    plain: Backbone,
    *,
    cv: str | None,
    given: GivenFoldOptions,
    nested: bool,
    with_pictures: bool,
) -> None:
    """Refuse options that have no meaning together, before the dataset is read."""
    from stackbone.extract.methods.method import RECIPES

    method = options.method
    divided = [name for name, value in {"cv": cv, **vars(given)}.items() if value]
    if divided and options.stage == "pretune":
        asked = " and ".join(f"--{name.replace('_', '-')}" for name in divided)
        message = f"--stage pretune trains one starting point for all folds: leave {asked} out"
        raise UsageError(message)
    if with_pictures and (not method.startswith("toast") or "convnext" in plain.architecture):
        message = (
            f"--pictures shows the attention of a ViT that TOAST steers, not {method} of {plain.name}: leave it out"
        )
        raise UsageError(message)
    if nested and not RECIPES[method].changes_features:
        message = f"--nested makes features for the inner folds, and the method {method} changes none: leave it out"
        raise UsageError(message)


def _next_step(
    context: typer.Context, data: Sequence[str], options: SteerOptions, backbone: str, reports: Sequence[SteerReport]
) -> str | None:
    """Return the command that uses what was trained; None for a method whose features are those of the backbone."""
    from stackbone.extract.methods.method import RECIPES

    if options.stage == "pretune":
        start = ["--backbone", backbone, "--method", options.method, "--start", str(reports[0].path)]
        return f"stackbone steer TASK {typed(*start, *as_given(context, 'weights', 'cache'))}"
    if not RECIPES[options.method].changes_features:
        return None
    files = [word for report in reports for word in ("--steering", str(report.path))]
    same = as_given(context, "weights", "cache", *names(DatasetOptions), *names(DecodingOptions))  # as before
    return f"stackbone extract {typed(*data, '--backbones', reports[0].steering.name, *files, *same)}"


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
    err.note(f"pictures of the attention are in {folder / report.path.stem}")
