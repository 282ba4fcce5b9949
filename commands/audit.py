"""Find what is wrong with a dataset: labels, copies, images, classes.

Works on cached features and on out-of-fold scores, which it shares with `stack`; what needs no labels works without
them. Changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.commands.shared import endings
from stackbone.commands.shared.console import err, out, print_json, progress
from stackbone.commands.shared.experiment_options import number_or_plan
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import BackbonesOption, CacheOption, DatasetNameOption, JsonOption, RowOptions
from stackbone.commands.shared.report_output import OpenOption, refuse_idle, write_collected
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackbone.cache.disk.reading import ListedFile
    from stackbone.extract.images.measured.facts import ImageFacts
    from stackbone.stack.audit.result import Audit


@grouped
def command(
    *,
    backbones: BackbonesOption = None,
    kinds: Annotated[
        str | None, typer.Option(help="What to look for, separated by commas: {audit_kinds} [default: everything]")
    ] = None,
    top: Annotated[int, typer.Option(min=0, help="Findings of each kind to print; the files and --json hold all")] = 5,
    without_files: Annotated[
        bool, typer.Option("--without-files", help="Open no image file: leave out what only a look at the files tells")
    ] = False,
    cv: Annotated[
        str | None, typer.Option(help="Number of cross-validation folds that scores are taken on [default: 3]")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, max=1000, help="Repeat cross-validation N times, and take each image's mean scores")
    ] = 1,
    group_by: Annotated[
        str, typer.Option(help="Images that are never divided between folds, as of `stack`. Choices: {group_by}")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same folds and results")] = 0,
    rows: RowOptions,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Write the findings to this HTML file too, with pictures and labels to tick"),
    ] = None,
    opens: OpenOption = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Number of classifiers to fit at a time [default: one per core]")
    ] = None,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.audit.audit import audit
    from stackbone.stack.report.audit.report import collect_audit_report

    refuse_idle(["--open"] if opens and not report else [])
    endings.check_outputs({"--report": report, **rows.files})
    rows.check()
    store = FeatureStore(cache)
    with progress("scores that were computed are kept; run the same command to go on") as on_progress:

        def look(files: Sequence[ListedFile]) -> list[ImageFacts | str]:
            from stackbone.extract.images.measured.facts import measure_images

            return measure_images(files, on_progress=lambda done, total: on_progress("looking at files", done, total))

        found = audit(
            store,
            dataset=dataset,
            backbones=backbones,
            kinds=kinds,
            cv=number_or_plan(cv),
            repeats=repeats,
            group_by=group_by,
            seed=seed,
            measure=None if without_files else look,
            n_jobs=jobs,
            progress=on_progress,
        )
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, top)
    with endings.Outputs() as outputs:
        columns = found.columns()
        rows.write(columns, outputs, {**dict.fromkeys(columns, str), "score": float})
        if report:
            with outputs.file():
                collected = collect_audit_report(found, store.dataset(found.dataset))
                write_collected(collected, report, None, opens=opens, is_pictured=not without_files)


def _print(found: Audit, top: int) -> None:
    """Print how many findings there are of each kind, then the gravest of each."""
    from stackbone.stack.audit.table import HEADER, SHORTENED, count_rows, finding_rows, title

    for note in found.notes:
        err.note(f"note: {note}")
    out.print(title(found))
    print_table(["kind", "findings", "what it is"], count_rows(found), spare=["what it is"])
    for name, reason in found.left_out.items():
        out.print(f"left out: {name} ({reason})")
    for name, findings in found.findings.items():
        if findings and top:
            out.print()
            more = f", the first {top} of {len(findings):,}" if len(findings) > top else ""
            out.print(f"{found.titles[name]} ({name}{more})", style="bold")
            print_table(HEADER, finding_rows(findings[:top]), shorten=SHORTENED)
