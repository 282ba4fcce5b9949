"""List the nearest other images of every image of a dataset.

Compares cached features of all pairs, exactly. Rows go to --csv and --parquet, for graphs of your own; what is printed
is how far the classes keep to themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.commands.shared import endings
from stackbone.commands.shared.console import err, out, print_json, progress
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import BackbonesOption, CacheOption, DatasetNameOption, JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.stack.exploring.similar import Similar


@grouped
def command(
    *,
    k: Annotated[int, typer.Option("--k", min=1, help="Number of neighbours of each image")] = 5,
    backbones: BackbonesOption = None,
    rows: RowOptions,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.exploring.similar import similar

    endings.check_outputs(rows.files)
    rows.check()
    with progress() as on_progress:
        found = similar(FeatureStore(cache), dataset=dataset, backbones=backbones, k=k, progress=on_progress)
    for note in found.notes:
        err.note(f"note: {note}")
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found)
        if not any(rows.files.values()):
            err.note("the neighbours themselves go to --csv FILE or --parquet FILE, or are printed with --json")
    with endings.Outputs() as outputs:
        rows.write(found.columns(), outputs)


def _print(found: Similar) -> None:
    """Print how far each class keeps to itself."""
    k = found.neighbours.shape[1]
    near = (
        f"mean similarity {found.similarities[:, 0].mean():.3f} to the nearest, {found.similarities[:, -1].mean():.3f}"
    )
    out.print(
        f"{found.dataset}: the {k:,} nearest of each of {found.n_images:,} images, by {', '.join(found.backbones)}; "
        f"{near} to number {k:,}"
    )
    if found.classes:
        cells = [
            [each.name, f"{each.n_images:,}", f"{each.same:.0%}", each.mixed_with or "-", f"{each.mixed:.0%}"]
            for each in found.classes
        ]
        print_table(["class", "images", "same label", "mixes with", "share"], cells, shorten=["class", "mixes with"])
