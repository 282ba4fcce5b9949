"""Test a saved model on labelled images that it never saw.

Leaves out the images that it was fitted on. Measures, compares and reports as `stack` does, or, where `detect` saved
the model, as that does. Embeds what the cache lacks.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from stackbone.commands.shared.console import as_given, err, print_json, progress
from stackbone.commands.shared.detection.evaluate import evaluate_boxes
from stackbone.commands.shared.detection.maps import refuse_label_options
from stackbone.commands.shared.detection.predict import DetectionAsked
from stackbone.commands.shared.embedding.dataset_options import ListingOptions
from stackbone.commands.shared.endings import Outputs, check_outputs, exit_if_too_many_failed
from stackbone.commands.shared.experiment_options import METRICS
from stackbone.commands.shared.experiment_output import print_experiment
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import (
    CacheOption,
    DecodingOptions,
    DeviceOption,
    EngineOption,
    JsonOption,
    MaxFailedOption,
    ModelOption,
    RowOptions,
    SourceOptions,
)
from stackbone.commands.shared.report_output import FigureOptions, PageOptions, ReportOption, refuse_idle, write_page


@grouped
def command(
    context: typer.Context,
    data: Annotated[list[str], typer.Argument(help="Folder of class folders, or a table of paths and labels")],
    *,
    model: ModelOption,
    split: Annotated[
        str | None, typer.Option(help="Test on the images of this split alone: the others are not embedded")
    ] = None,
    group_by: Annotated[
        str,
        typer.Option(
            help="Leave out images that belong together with one that the model was fitted on: those of one group (the "
            "group column) or of one folder; auto: groups where there are any. Choices: {group_by}"
        ),
    ] = "auto",
    near_duplicates: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="Leave out near copies of images that the model was fitted on, as far as the cache has these: images "
            "whose features are at least this similar, such as 0.98",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            help=f"Metric that the verdict and its interval are about: {METRICS} "
            "[default: accuracy, r2, mean-r2 or mean-ap]"
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to name for each image in --csv and --json")] = 3,
    listing: ListingOptions,
    sources: SourceOptions,
    cache: CacheOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    decoding: DecodingOptions,
    max_failed: MaxFailedOption = 0.01,
    files: RowOptions,
    report: ReportOption = None,
    page: FigureOptions,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.cache.records.indexes.listed import Listed
    from stackbone.extract.embedding.digests import unread_index
    from stackbone.extract.embedding.predict import embed_for
    from stackbone.stack import evaluate_model, load_model
    from stackbone.stack.detection.models.model_file import is_detection_model
    from stackbone.stack.judging.answer_rows import answer_rows, answer_types
    from stackbone.stack.judging.asked import check_asked, files_to_test
    from stackbone.stack.report.projection import choose_projection

    asked: dict[str, Any] = {
        "split": split,
        "group_by": group_by,
        "near_duplicates": near_duplicates,
        "metric": metric,
    }
    choose_projection(page.projection)
    refuse_idle(["--projection"] if page.projection != "auto" and not (report or page.figures) else [])
    refuse_idle(["--open"] if page.opens and not report else [])
    check_outputs({"--model": model, "--report": report, **files.files})
    files.check()
    if is_detection_model(model):
        refuse_label_options(as_given(context, "metric", "top", "group_by", "near_duplicates", "projection"), model)
        of_detector = DetectionAsked(sources, decoding, engine, device, files, None, max_failed, as_json)
        evaluate_boxes(
            model, listing.open(data), FeatureStore(cache), of_detector, split=split, report=report, page=page
        )
        return
    loaded = load_model(model)
    err.note(f"{model.name}: {loaded.describe()}")
    dataset, store = listing.open(data), FeatureStore(cache)
    for line in Listed(dataset.skipped, dataset.notes).lines():
        err.note(line)
    listed = unread_index(dataset)
    check_asked(loaded, listed, **asked)
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        embedded = embed_for(
            loaded.specs,
            dataset,
            store,
            steering=sources.steering_files,
            modules=sources.modules,
            weights=sources.weights_files,
            engine=engine,
            device=device,
            **asdict(decoding),
            only=files_to_test(listed, split),
            load=False,
            on_progress=on_progress,
        )
        for path, remark in embedded.remarks:
            err.print(f"note: {path!r}: {remark}")
        for path, reason in embedded.failures:
            err.print(f"failed: {path!r}: {reason}")
        test = evaluate_model(
            loaded,
            embedded.index(dataset),
            store,
            **asked,
            file=model,
            progress=on_progress,
        )
    rows = answer_rows(test, top)
    if as_json:
        failed = [{"path": path, "reason": reason} for path, reason in embedded.failures]
        answers = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
        print_json({**test.to_dict(), "failed": failed, "answers": answers})
    else:
        print_experiment(test)
    with Outputs() as outputs:
        files.write(rows, outputs, answer_types(rows))
        if report or page.figures:
            with outputs.file():
                write_page(test, store, report, PageOptions(**asdict(page)))
    n_asked = int(embedded.asked.sum())
    exit_if_too_many_failed(len(embedded.failures), n_asked, max_failed, "the scores are of the others")
