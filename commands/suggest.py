"""Suggest which images to label next.

For a dataset of which only some images have labels, or none: typical images of what no label covers yet, then images
on which the backbones waver or disagree, always unlike each other. Fill in the labels of --csv FILE, and give it to
`stackbone relabel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.text import counted, typed
from stackbone.commands.shared import endings
from stackbone.commands.shared.console import err, out, print_json, progress
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import CacheOption, DatasetNameOption, JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.stack.suggesting.result import Suggestions

_HEADER = ["", "path", "score", "likely", "why"]


@grouped
def command(
    *,
    budget: Annotated[int, typer.Option(help="How many images to suggest, at most")] = 100,
    backbones: Annotated[
        str | None,
        typer.Option(
            help="Backbones to ask, separated by commas: names, groups ({groups}, all) or feature sets [default: all "
            "that cover the dataset]"
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Suggestions to print; the files and --json hold all")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same suggestions")] = 0,
    rows: RowOptions,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.suggesting.suggest import suggest

    endings.check_outputs(rows.files)
    rows.check()
    with progress() as on_progress:
        found = suggest(
            FeatureStore(cache), dataset=dataset, budget=budget, backbones=backbones, seed=seed, progress=on_progress
        )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, top)
    with endings.Outputs() as outputs:
        columns = found.columns()
        rows.write(columns, outputs, dict.fromkeys(columns, str))
    if rows.csv:
        place = [] if cache is None else ["--cache", cache]
        words = typed("stackbone", "relabel", rows.csv, "--dataset", found.dataset, *place)
        err.note(f"fill in its column label, then type: {words}")


def _print(found: Suggestions, top: int) -> None:
    for note in found.notes:
        err.note(f"note: {note}")
    how = "on which the backbones waver" if found.by_doubt else "typical of what no label covers yet"
    out.print(
        f"{found.dataset}: {counted(found.n_labelled, 'image')} with a label, {found.n_unlabelled:,} without; "
        f"{counted(len(found.rows), 'image')} to label next, {how}"
    )
    shown = [[f"{each.rank:,}", each.path, f"{each.score:.3f}", each.likely or "-", each.reason] for each in found.rows]
    if top:
        print_table(_HEADER, shown[:top], shorten=["path", "likely"])
    if len(shown) > top:
        out.print(f"and {len(shown) - top:,} more; --csv FILE and --json hold all")
