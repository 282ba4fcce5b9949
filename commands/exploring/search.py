"""Find the images of a dataset that are nearest to given pictures.

Compares cached features. A picture of the dataset takes no network; others are embedded as `predict` does.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.commands.shared import endings
from stackbone.commands.shared.console import err, out, print_json, progress
from stackbone.commands.shared.exploring.sheets import SheetOption, write_sheet
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import (
    CacheOption,
    DatasetNameOption,
    DecodingOptions,
    DeviceOption,
    EngineOption,
    JsonOption,
    RowOptions,
    SourceOptions,
)
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.stack.exploring.hits import Search


@grouped
def command(
    queries: Annotated[
        list[str],
        typer.Argument(help="Image files, paths as the dataset lists them, or SHA-256 of images (8 digits or more)"),
    ],
    *,
    k: Annotated[int, typer.Option("--k", min=1, help="Number of images to find for each query")] = 12,
    by: Annotated[
        str | None,
        typer.Option(
            help="Backbones to ask, separated by commas: names, groups ({groups}, all) or feature sets [default: all "
            "that cover the dataset, their rankings fused]"
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact", help="Compare with every image, above a million too, where an index of faiss answers otherwise"
        ),
    ] = False,
    html: SheetOption = None,
    rows: RowOptions,
    sources: SourceOptions,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    decoding: DecodingOptions,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.extract.embedding.predict import embed_files
    from stackbone.stack.exploring.search import search
    from stackbone.stack.exploring.sheets import search_sheet

    endings.check_outputs({**rows.files, "--html": html})
    rows.check()
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        embed = partial(
            embed_files,
            steering=sources.steering_files,
            modules=sources.modules,
            weights=sources.weights_files,
            engine=engine,
            device=device,
            on_progress=on_progress,
            **asdict(decoding),
        )
        found = search(
            queries,
            FeatureStore(cache),
            dataset=dataset,
            backbones=by,
            k=k,
            exact=exact,
            embed=embed,
            progress=on_progress,
        )
    for note in found.notes:
        err.note(f"note: {note}")
    for query, reason in found.failed.items():
        err.print(f"failed: {query!r}: {reason}")
    written = write_sheet(search_sheet(found), html) if html else {}
    if as_json:
        print_json({**found.to_dict(), **written})
    else:
        _print(found)
    with endings.Outputs() as outputs:
        columns = found.columns()
        kinds = {"query": str, "path": str, "label": str, "split": str, "similarity": float}
        rows.write(columns, outputs, kinds)
    if found.failed:
        raise typer.Exit(1)


def _print(found: Search) -> None:
    """Print a table of each query."""
    several = found.backbones if len(found.backbones) > 1 else []
    for number, query in enumerate(found.queries):
        if number:
            out.print()
        out.print(f"{query}: nearest of {found.n_images:,} images of {found.dataset}, by {', '.join(found.backbones)}")
        cells = [
            [
                "itself" if hit.rank == 0 else str(hit.rank),
                hit.path,
                hit.label or "-",
                f"{hit.similarity:.3f}",
                *(f"{hit.cosines[name]:.3f}" for name in several),
            ]
            for hit in found.of(query)
        ]
        print_table(["rank", "image", "label", "similarity", *several], cells, shorten=["image", "label"])
