"""Options of a detection experiment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stackbone.commands.shared.options import GroupByOption, SplitOption
from stackbone.commands.shared.report_output import OpenOption


@dataclass(frozen=True)
class HeadOptions:
    """What is trained."""

    head: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Heads to train on each backbone, separated by commas: {detection_heads}; the verdict is about the "
            "first",
        ),
    ] = "conv"
    epochs: Annotated[
        int | None,
        typer.Option(min=1, max=100_000, help="Times that a head sees each training image [default: the head's own]"),
    ] = None
    precision: Annotated[
        str,
        typer.Option(
            help="Arithmetic of the training of conv: {head_precisions}; bf16 is faster where the processor multiplies "
            "it, and gives somewhat different boxes"
        ),
    ] = "fp32"


@dataclass(frozen=True)
class DivisionOptions:
    """Which images are tested and which are trained on; fields are arguments of `run_detection`."""

    cv: Annotated[str | None, typer.Option(help="Number of cross-validation folds [default: 3]")] = None
    split: SplitOption = None
    seed: Annotated[int, typer.Option(min=0, help="Random seed of folds and heads")] = 0
    group_by: GroupByOption = "auto"
    near_duplicates: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="Never divide near-duplicates between training and testing: images whose averaged maps are at least "
            "this similar, such as 0.98",
        ),
    ] = None


@dataclass(frozen=True)
class DetectionFiles:
    """Files to write beside the table."""

    save: Annotated[
        Path | None,
        typer.Option(help="Fit the detector on all annotated images and save it to this file, for `predict`"),
    ] = None
    save_train_only: Annotated[
        bool,
        typer.Option("--save-train-only", help="With --split: fit the saved model without the images that are tested"),
    ] = False
    result: Annotated[Path | None, typer.Option(help="Write all numbers to this file, as JSON, for `report`")] = None
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a report with figures to this file, one HTML page")
    ] = None
    figures: Annotated[
        Path | None, typer.Option(help="Write the report's figures to this folder too, as SVG and PNG")
    ] = None
    opens: OpenOption = False
