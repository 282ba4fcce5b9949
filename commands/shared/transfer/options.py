"""Options of a transfer: which domains, which target labels are shown, which methods run, which files are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stackbone.commands.shared.options import SaveWithoutFeaturesOption
from stackbone.commands.shared.report_output import OpenOption


@dataclass(frozen=True)
class DomainOptions:
    """Which domains, and what of the target is seen."""

    target: Annotated[
        str,
        typer.Option(help="Dataset in the cache to classify, or value of --domain-column"),
    ]
    source: Annotated[
        list[str] | None,
        typer.Option(
            help="Dataset to learn from, or value of --domain-column; repeat for more, and each is judged too "
            "[default: with --domain-column, all but the target]"
        ),
    ] = None
    domain_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Take domains of one dataset by this column of its table, instead of datasets"
        ),
    ] = None
    target_labels: Annotated[
        str,
        typer.Option(
            metavar="none|few:K|all",
            help="Target labels that methods may see: none, K of each class, or all of the training parts; several, "
            "separated by commas, for a table each",
        ),
    ] = "all"
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Methods to compare with the baselines, separated by commas: {transfer_methods}; a family "
            "({families}), or all (but dann, which takes longest and runs where it is named)",
        ),
    ] = "all"


@dataclass(frozen=True)
class TransferFiles:
    """Files to write beside the table."""

    save: Annotated[
        Path | None, typer.Option(help="Fit a method on all images and save it to this file, for `predict`")
    ] = None
    save_method: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Method that --save keeps [default: the one in --methods, else the best baseline, or the best "
            "method that beats it beyond chance]",
        ),
    ] = None
    save_without_features: SaveWithoutFeaturesOption = False
    result: Annotated[Path | None, typer.Option(help="Write all numbers to this file, as JSON, for `report`")] = None
    report: Annotated[Path | None, typer.Option(help="Write a report of the transfer to this HTML file")] = None
    figures: Annotated[Path | None, typer.Option(help="Write the report's figures to this folder, as SVG and PNG")] = (
        None
    )
    projection: Annotated[
        str,
        typer.Option(
            help="How the report maps images to a plane: {projections}; auto is UMAP where installed, else t-SNE, of "
            "more than 5,000 images PCA"
        ),
    ] = "auto"
    opens: OpenOption = False
