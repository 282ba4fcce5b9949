"""Predict labels of new images, or find objects, with a saved model.

Gives calibrated probabilities of classes, numbers where the model is a regression, or boxes where `detect` saved it.
Embeds what the cache lacks.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.cache.text import typed
from stackbone.commands.shared.console import as_given, err, out, print_json, progress
from stackbone.commands.shared.detection.maps import refuse_label_options
from stackbone.commands.shared.detection.predict import DetectionAsked, predict_boxes
from stackbone.commands.shared.embedding.dataset_options import ListingOptions
from stackbone.commands.shared.endings import Outputs, check_outputs, exit_if_too_many_failed
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
from stackbone.commands.shared.tables import print_table

_OF_LABELS = ("labels", "label_column", "label_separator", "label_columns")
"""Options that say what the images are labelled."""


@grouped
def command(
    context: typer.Context,
    images: Annotated[list[str], typer.Argument(help="Image files, a folder of images, or a table of their paths")],
    *,
    model: ModelOption,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to name for each image, most probable first")] = 3,
    listing: ListingOptions,
    sources: SourceOptions,
    cache: CacheOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    decoding: DecodingOptions,
    max_failed: MaxFailedOption = 0.01,
    files: RowOptions,
    draw: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of a detection model: write the photographs with boxes to this folder"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.cache.records.indexes.listed import Listed
    from stackbone.extract.embedding.predict import embed_for
    from stackbone.stack.detection.models.model_file import is_detection_model
    from stackbone.stack.models.answers import Answer, about_training, table_columns, table_rows, to_columns
    from stackbone.stack.models.model_file import load_model
    from stackbone.stack.models.predict import agreement, predict_from
    from stackbone.stack.models.unlike.reading import read_out, readers
    from stackbone.stack.models.unlike.words import about_unlike
    from stackbone.stack.tasks.label_form import check_comparable, check_same_numbers
    from stackbone.stack.tasks.registry import get_task

    check_outputs({"--model": model, **files.files})
    files.check()
    if is_detection_model(model):
        refuse_label_options(as_given(context, "top", *_OF_LABELS), model)
        asked = DetectionAsked(sources, decoding, engine, device, files, draw, max_failed, as_json)
        predict_boxes(model, listing.open(images, labelled=False), FeatureStore(cache), asked)
        return
    loaded = load_model(model)
    if draw is not None:
        message = f"--draw is for detection models, and {typed(model)} labels whole images: leave it out"
        raise UsageError(message)
    err.note(f"{model.name}: {loaded.describe()}")
    is_labelled = bool(as_given(context, *_OF_LABELS))
    form = get_task(loaded.task).label_form
    dataset = listing.open(images, labelled=is_labelled, label_form=form)
    if is_labelled:
        check_comparable(form, dataset.name, dataset.label_form)
        check_same_numbers(loaded.targets, dataset.labels)
    told = dataset.notes if is_labelled or not Path(images[0]).is_dir() else ()  # a folder's notes are on its labels
    for line in Listed(dataset.skipped, told).lines():
        err.note(line)
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        embedded = embed_for(
            loaded.specs,
            dataset,
            FeatureStore(cache),
            steering=sources.steering_files,
            modules=sources.modules,
            weights=sources.weights_files,
            engine=engine,
            device=device,
            **asdict(decoding),
            convert=readers(loaded),
            on_progress=on_progress,
        )
    for path, remark in embedded.remarks:
        err.print(f"note: {path!r}: {remark}")
    for path, reason in embedded.failures:
        err.print(f"failed: {path!r}: {reason}")
    answers: list[Answer] = []
    if paths := embedded.sound_paths:
        decisions, shares = read_out(loaded, embedded.features)
        answers = predict_from(loaded, paths, decisions, top=top, digests=embedded.sound_digests, shares=shares)
    for note in (about_training(answers), about_unlike(answers, loaded)):
        if note:
            err.note(f"note: {note}")
    right = agreement(answers, embedded.sound(dataset.labels)) if is_labelled else None
    if as_json:
        failed = [{"path": path, "reason": reason} for path, reason in embedded.failures]
        rows = [each.to_dict() for each in answers]
        print_json({"model": str(model), "predictions": rows, "failed": failed, "agreement": right and right.to_dict()})
    elif answers:
        print_table(table_columns(answers), table_rows(answers), shorten=["path"])
        if right:
            out.print(right.line())
    types = {"path": str, "value": float, "labels": str, "trained_on": bool, "unlike": bool, "further_than": float}
    with Outputs() as outputs:
        files.write(to_columns(answers), outputs, types)
    exit_if_too_many_failed(len(embedded.failures), len(embedded.paths), max_failed, "all others are predicted")
