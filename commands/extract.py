"""Embed images once with every backbone that lacks them.

What the cache holds already is not computed again, so the same command goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.cache.text import counted, typed
from stackbone.commands.shared.console import as_given, out, print_json, progress
from stackbone.commands.shared.embedding.dataset_options import DatasetOptions
from stackbone.commands.shared.embedding.options import (
    ChosenBackbonesOption,
    DataArgument,
    EmbeddingOptions,
    NoLabelsOption,
    OutputsOption,
    SpreadOptions,
)
from stackbone.commands.shared.endings import exit_if_too_many_failed
from stackbone.commands.shared.experiment_output import print_extract, print_summary
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import (
    CacheOption,
    DecodingOptions,
    JsonOption,
    MaxFailedOption,
    SourceOptions,
)
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.cache import FeatureStore
    from stackbone.extract import ExtractReport


_DRY_RUN = "dry run: nothing was embedded or written; leave --dry-run out to embed"
_INDEXED = "the index is written, and nothing embedded; leave --index-only out to embed, or give --part K/N"


@grouped
def command(
    context: typer.Context,
    data: DataArgument,
    *,
    backbones: ChosenBackbonesOption = None,
    outputs: OutputsOption = None,
    sources: SourceOptions,
    cache: CacheOption = None,
    listing: DatasetOptions,
    no_labels: NoLabelsOption = False,
    embedding: EmbeddingOptions,
    spread: SpreadOptions,
    decoding: DecodingOptions,
    max_failed: MaxFailedOption = 0.01,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what is understood of the dataset; embed and write nothing")
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Show where the time went")] = False,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.extract import extract
    from stackbone.extract.embedding.indexing import preview

    spread.check(dry_run=dry_run)
    store = FeatureStore(cache)
    dataset = listing.open(data, labelled=not no_labels, store=store)
    if dry_run or spread.index_only:
        with progress("nothing was written") as on_progress:
            summary = preview(
                dataset,
                backbones,
                store,
                outputs=outputs,
                views=embedding.views,
                map_size=embedding.map_size,
                steering=sources.steering_files,
                modules=sources.modules,
                write=spread.index_only,
                on_progress=on_progress,
            )
        if as_json:
            print_json({"dataset": summary.name, "cache": str(store.root), "summary": summary.to_dict()})
        else:
            print_summary(summary)
            out.print(_INDEXED if spread.index_only else _DRY_RUN)
        return
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        report = extract(
            dataset,
            backbones,
            store,
            outputs=outputs,
            steering=sources.steering_files,
            modules=sources.modules,
            weights=sources.weights_files,
            **asdict(embedding),
            **asdict(decoding),
            part=spread.part,
            cluster=spread.cluster,
            on_listed=None if as_json or out.is_quiet else print_summary,
            on_room=None if as_json else out.note,
            on_progress=on_progress,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        print_extract(report)
        if n_left := _n_left(report, store):
            out.note(f"next: {counted(n_left, 'image')} of other parts have no features yet: run the other parts")
        elif any(report.index.label):
            out.note(f"next: {_next_step(context, report, store, steered=bool(sources.steering))}")
        if profile:
            print_table(["where the time went", "seconds", "share"], report.profile_rows())
    exit_if_too_many_failed(len(report.failures), report.n_mine, max_failed, "the features of all others are kept")


def _n_left(report: ExtractReport, store: FeatureStore) -> int:
    """Return how many images of other parts than a run's lack features that it made."""
    if not report.part:
        return 0
    others = report.index.image_sha256[report.index.ok & ~report.is_mine]
    made = {each.feature_set for each in report.backbones}
    return max(
        (int(each.missing(others).sum()) for each in store.feature_sets() if each.id in made), default=len(others)
    )


def _next_step(context: typer.Context, report: ExtractReport, store: FeatureStore, *, steered: bool) -> str:
    from stackbone.cache import StackError
    from stackbone.cache.records.feature_name import PYRAMID, parse_feature_name
    from stackbone.cache.upkeep.oddities.find import QUANTITIES
    from stackbone.stack.divisions.first_division import first_division

    if all(parse_feature_name(each.backbone).output == PYRAMID for each in report.backbones):
        if store.boxes(report.index.name):
            return typed("stackbone", "detect", "--cv", "3", "--report", "report.html", *as_given(context, "cache"))
        return "`stackbone detect` learns on maps, and needs boxes, as VOC, COCO and YOLO folders have: here are none"
    quantities = any(each.kind == QUANTITIES for each in report.summary.oddities)
    try:
        folds = _folds_of(report, store) if steered else first_division(report.index, quantities=quantities)
    except StackError as exc:
        return f"these images cannot be scored yet: {exc}"
    if not folds:
        return "steer once for each fold (stackbone steer --cv 3): features that saw every label have no honest score"
    named = [] if _has_usual(report, store) else ["--backbones", ",".join(each.backbone for each in report.backbones)]
    return f"stackbone stack {folds} {typed(*named, '--report', 'report.html', *as_given(context, 'cache'))}"


def _has_usual(report: ExtractReport, store: FeatureStore) -> bool:
    """Return whether features of all images are there that `stack` takes unless others are named."""
    from stackbone.cache.records.feature_name import LARGE, PLAIN, parse_feature_name

    def is_usual(backbone: str) -> bool:
        name = parse_feature_name(backbone)
        return name.view == PLAIN and name.output not in LARGE

    made = [each.backbone for each in report.backbones if each.n_found + each.n_embedded == report.n_images]
    # Only where the run itself tells of none are the digests of all feature sets read.
    return any(map(is_usual, made)) or any(is_usual(each.backbone) for each in store.covering(report.index))


def _folds_of(report: ExtractReport, store: FeatureStore) -> str | None:
    """Return the options of `stack` for the folds that the steerings of a run were made for; None if for none."""
    from stackbone.stack.divisions.division import options_of_run

    made = {each.feature_set for each in report.backbones}
    records = [each.seen() for each in store.feature_sets() if each.id in made]
    return options_of_run(record.description["division"] for record in records if record)
