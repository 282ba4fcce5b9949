"""Write the report of an experiment that `stack --result` kept.

Its scores are in the cache, so that it takes seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackbone.commands.shared import endings
from stackbone.commands.shared.console import print_json, progress
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import CacheOption, JsonOption
from stackbone.commands.shared.report_output import PageOptions, write_page


@grouped
def command(
    result: Annotated[Path, typer.Argument(help="File that `stack --result` wrote")],
    *,
    page: Annotated[Path | None, typer.Option("--out", help="Report to write [default: RESULT.html]")] = None,
    options: PageOptions,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.experiments.reproduce import reproduce_experiment
    from stackbone.stack.report.projection import choose_projection

    choose_projection(options.projection)  # refused before the work
    page = page or result.with_suffix(".html")
    endings.check_outputs({"RESULT": result, "--out": page})
    store = FeatureStore(cache)
    with progress("scores that were computed are kept; run the same command to go on") as on_progress:
        experiment = reproduce_experiment(result, store, n_jobs=options.jobs, progress=on_progress)
    written = write_page(experiment, store, page, options)
    if as_json:
        print_json({**written, "result": str(result), "dataset": experiment.dataset})
