"""Write the report of a saved result, or compare several.

Takes seconds: scores of `stack` are in the cache, those of a transfer in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from stackbone.cache.errors import UsageError
from stackbone.commands.shared import endings
from stackbone.commands.shared.console import err, print_json, progress
from stackbone.commands.shared.option_groups import changed, grouped
from stackbone.commands.shared.options import CacheOption, JsonOption
from stackbone.commands.shared.report_output import PageOptions, write_collected, write_page


@grouped
def command(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULT...",
            help="File that `stack --result`, `transfer --result` or `detect --result` wrote; several of `stack` are "
            "compared",
        ),
    ],
    *,
    page: Annotated[
        Path | None, typer.Option("--out", help="Report to write [default: RESULT.html; of several comparison.html]")
    ] = None,
    options: PageOptions,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.stack.detection.records.experiment import DETECTION_FORMAT, DETECTION_VERSION
    from stackbone.stack.detection.results.result_file import WROTE as WROTE_DETECTION
    from stackbone.stack.experiments.experiment import RESULT_FORMAT, RESULT_VERSION
    from stackbone.stack.experiments.result_file import WROTE, read_recorded
    from stackbone.stack.report.projection import choose_projection
    from stackbone.stack.transfer.experiment import TRANSFER_FORMAT, TRANSFER_VERSION
    from stackbone.stack.transfer.results.reading import WROTE as WROTE_TRANSFER

    choose_projection(options.projection)  # refused before the work
    if len(results) > 1:
        written = _write_comparison(results, page or results[0].with_name("comparison.html"), options)
        if as_json:
            print_json({**written, "results": [str(each) for each in results]})
        return
    [result] = results
    page = page or result.with_suffix(".html")
    endings.check_outputs({"RESULT": result, "--out": page})
    versions = {
        RESULT_FORMAT: RESULT_VERSION,
        TRANSFER_FORMAT: TRANSFER_VERSION,
        DETECTION_FORMAT: DETECTION_VERSION,
    }
    recorded = read_recorded(result, versions, f"{WROTE}, {WROTE_TRANSFER} or {WROTE_DETECTION}")
    write = {TRANSFER_FORMAT: _write_transfer, DETECTION_FORMAT: _write_detection}.get(
        recorded["format"], _write_experiment
    )
    written = write(result, page, options, cache)
    if as_json:
        print_json({**written, "result": str(result)})


def _write_comparison(results: Sequence[Path], page: Path, options: PageOptions) -> dict[str, Any]:
    from stackbone.stack.report.compare.report import collect_comparison

    idle = [each for each in changed(options) if each not in ("--figures", "--open")]
    if idle:
        message = f"a page that compares results has no use for {', '.join(idle)}: leave it out, or name one result"
        raise UsageError(message)
    endings.check_outputs({**{f"RESULT {i + 1}": each for i, each in enumerate(results)}, "--out": page})
    return write_collected(collect_comparison(results), page, options.figures, opens=options.opens)


def _write_experiment(result: Path, page: Path, options: PageOptions, cache: str | None) -> dict[str, Any]:
    from stackbone.cache import FeatureStore
    from stackbone.stack.experiments.reproduce import reproduce_experiment

    store = FeatureStore(cache)
    with progress("scores that were computed are kept; run the same command to go on") as on_progress:
        experiment = reproduce_experiment(result, store, n_jobs=options.jobs, progress=on_progress)
    return {**write_page(experiment, store, page, options), "dataset": experiment.dataset}


def _write_detection(result: Path, page: Path, options: PageOptions, cache: str | None) -> dict[str, Any]:
    from stackbone.cache import FeatureStore
    from stackbone.stack.detection.results.reproduce import reproduce_detection
    from stackbone.stack.report.detection.report import collect_detection_report

    idle = [each for each in changed(options) if each not in ("--figures", "--open")]
    if idle:
        message = f"{result} is the result of a detection, whose report has no use for {', '.join(idle)}: leave it out"
        raise UsageError(message)
    with progress("what was found is kept; run the same command to go on") as on_progress:
        experiment = reproduce_detection(result, FeatureStore(cache), progress=on_progress)
    written = write_collected(collect_detection_report(experiment), page, options.figures, opens=options.opens)
    return {**written, "dataset": experiment.dataset}


def _write_transfer(result: Path, page: Path, options: PageOptions, cache: str | None) -> dict[str, Any]:
    from stackbone.cache import FeatureStore
    from stackbone.stack.report.transfer.report import collect_result_report
    from stackbone.stack.transfer.results.reading import read_transfer

    given = {
        "--learning-curve": options.learning_curve,
        "--steering": options.steering,
        "--weights": options.weights,
        "--jobs": options.jobs,
    }
    idle = [name for name, value in given.items() if value]
    if idle:
        message = f"{result} is the result of a transfer, whose report has no use for {', '.join(idle)}: leave it out"
        raise UsageError(message)
    found = read_transfer(result)
    report, lacking = collect_result_report(found, FeatureStore(cache), options.projection)
    for sentence in lacking:
        err.note(f"note: {sentence}")
    written = write_collected(report, page, options.figures, opens=options.opens)
    return {**written, "source": found.sources, "target": found.target, "lacking": lacking}
