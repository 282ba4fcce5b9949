"""Measure how alike backbones see the images, and which add nothing.

Linear CKA and RSA (Spearman correlations of dissimilarities) of cached features, and what share of each backbone the
others predict.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.commands.shared import endings
from stackbone.commands.shared.console import err, out, print_json, progress
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import BackbonesOption, CacheOption, DatasetNameOption, JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackbone.stack.exploring.representations.compare import Comparison


@grouped
def command(
    *,
    backbones: BackbonesOption = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="MATRIX",
            help="Compare with this matrix of dissimilarities too: .npy, a row for each image in the dataset's order, "
            "or .csv, whose first column, titled path, may name the images",
        ),
    ] = None,
    rows: RowOptions,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of samples and held-out images")] = 0,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.exploring.representations.compare import compare_backbones

    endings.check_outputs({"--against": against, **rows.files})
    rows.check()
    with progress() as on_progress:
        found = compare_backbones(
            FeatureStore(cache),
            dataset=dataset,
            backbones=backbones,
            against=against,
            seed=seed,
            progress=on_progress,
        )
    for note in found.notes:
        err.note(f"note: {note}")
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
    with endings.Outputs() as outputs:
        rows.write(found.columns(), outputs, {"cka": float, "rsa": float})


def _print(found: Comparison) -> None:
    """Print a matrix of each measure, then what the others predict of each backbone, and which add nothing."""
    out.print(f"{found.dataset}: {len(found.backbones):,} {_backbones(found)} on {found.n_images:,} images")
    if len(found.backbones) > 1:
        for name, matrix, n in (("linear CKA", found.cka, found.n_aligned), ("RSA", found.rsa, found.n_paired)):
            out.print()
            out.print(f"{name}, {n:,} images", style="bold")
            _print_matrix(found.backbones, matrix.tolist())
    if found.agreement:
        out.print()
        out.print(f"RSA with {found.against}, {found.n_paired:,} images", style="bold")
        best = sorted(found.agreement.items(), key=lambda each: -each[1])
        print_table(["backbone", "RSA"], [[name, f"{value:.3f}"] for name, value in best])
    if found.predicted:
        out.print()
        out.print("share of a backbone's variance that the others predict, on held-out images", style="bold")
        most = sorted(found.predicted.items(), key=lambda each: -each[1])
        print_table(["backbone", "predicted"], [[name, f"{value:.1%}"] for name, value in most])
        out.print()
        for each in found.redundant:
            out.print(each.sentence)
        if not found.redundant:
            out.print("no backbone is redundant: of each, more than a twentieth is its own")


def _print_matrix(names: Sequence[str], matrix: Sequence[Sequence[float]]) -> None:
    print_table(
        ["", *names], [[name, *(f"{each:.3f}" for each in row)] for name, row in zip(names, matrix, strict=True)]
    )


def _backbones(found: Comparison) -> str:
    return "backbone" if len(found.backbones) == 1 else "backbones"
