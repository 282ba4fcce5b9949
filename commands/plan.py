"""Say what `extract` will take: images, time, room and memory.

Some images are embedded into a cache that is thrown away; yours is not changed.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from stackbone.commands.shared.console import out, print_json, progress
from stackbone.commands.shared.embedding.dataset_options import DatasetOptions
from stackbone.commands.shared.embedding.options import (
    ChosenBackbonesOption,
    DataArgument,
    EmbeddingOptions,
    OutputsOption,
)
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import (
    CacheOption,
    DecodingOptions,
    JsonOption,
    SourceOptions,
    finite,
)
from stackbone.commands.shared.tables import print_table

_USUAL = (1, 4, 16)
_NOTE = "of several machines, one reads all files for digests (extract --index-only); each embeds a part (--part K/N)"


@grouped
def command(
    data: DataArgument,
    *,
    machines: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Tell for N machines like this one, too [default: for 4 and 16]"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="How long to measure, beside the time to start the networks")
    ] = 10.0,
    backbones: ChosenBackbonesOption = None,
    outputs: OutputsOption = None,
    sources: SourceOptions,
    cache: CacheOption = None,
    listing: DatasetOptions,
    embedding: EmbeddingOptions,
    decoding: DecodingOptions,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.extract.embedding.spread.forecast import HEADER, forecast

    store = FeatureStore(cache)
    dataset = listing.open(data, store=store)
    with progress("nothing was written") as on_progress:
        found = forecast(
            dataset,
            backbones,
            store,
            outputs=outputs,
            steering=sources.steering_files,
            modules=sources.modules,
            weights=sources.weights_files,
            **asdict(embedding),
            **asdict(decoding),
            seconds=seconds,
            n_workers=_USUAL if machines is None else sorted({1, machines}),
            on_progress=on_progress,
        )
    if as_json:
        print_json(found.to_dict())
        return
    for line in found.lines():
        out.print(line)
    if found.shares:
        print_table(HEADER, found.rows())
        out.print(_NOTE)
