"""Check every file of the cache: names, checksums, shapes, specs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.commands.shared.console import out, print_json, progress
from stackbone.commands.shared.option_groups import changed, grouped
from stackbone.commands.shared.options import CacheOption, EngineOption, JsonOption, SourceOptions


@grouped
def command(
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Move damaged files to the cache's folder set-aside; deletes nothing")
    ] = False,
    recompute: Annotated[
        int, typer.Option(min=0, metavar="N", help="Embed N images of each feature set again and compare")
    ] = 0,
    sources: SourceOptions,
    engine: EngineOption = "auto",
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.cache.upkeep.verify import verify

    idle = [*changed(sources), *(["--engine"] if engine != "auto" else [])]
    if not recompute and idle:
        be, them = ("is", "it") if len(idle) == 1 else ("are", "them")
        message = f"{', '.join(idle)} {be} for embedding a sample again: add --recompute N, or leave {them} out"
        raise UsageError(message)
    store = FeatureStore(cache)
    with progress() as on_progress:
        found = verify(store, repair=repair, on_progress=lambda done, total: on_progress("verifying", done, total))
    again = []
    if recompute:
        from stackbone.extract.embedding.recompute import recompute as recompute_sample

        again = recompute_sample(
            store,
            recompute,
            steering=sources.steering_files,
            modules=sources.modules,
            weights=sources.weights_files,
            engine=engine,
        )
    if as_json:
        print_json({**found.to_dict(), "recomputed": [asdict(each) for each in again]})
    else:
        for line in [*found.lines(), *(each.line() for each in again)]:
            out.print(line)
    if any(finding.moved_to is None for finding in found.findings) or any(each.problem for each in again):
        raise typer.Exit(1)
