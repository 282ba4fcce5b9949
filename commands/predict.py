"""Predict the labels of new images with a saved model.

Gives calibrated probabilities of classes, or numbers where the model is a regression. Embeds what the cache lacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.commands.shared.console import err, out, print_table, progress
from stackbone.commands.shared.endings import exit_if_too_many_failed
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import (
    CacheOption,
    DecodingOptions,
    DeviceOption,
    EngineOption,
    MaxFailedOption,
    SourceOptions,
)

if TYPE_CHECKING:
    from stackbone.stack.models.predict import Answer


@grouped
def command(
    images: Annotated[list[str], typer.Argument(help="Image files, a folder of images, or a table of their paths")],
    *,
    model: Annotated[Path, typer.Option(help="File that `stack --save` wrote")],
    top: Annotated[int, typer.Option(min=1, help="Number of classes to name for each image, most probable first")] = 3,
    form: Annotated[str, typer.Option("--format", help="How to print the predictions: {formats}")] = "table",
    sources: SourceOptions,
    cache: CacheOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    decoding: DecodingOptions,
    max_failed: MaxFailedOption = 0.01,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.extract import open_dataset
    from stackbone.extract.embedding.predict import embed_for
    from stackbone.stack.models.model_file import load_model
    from stackbone.stack.models.predict import check_format, predict

    check_format(form)
    loaded = load_model(model)
    err.print(f"{model.name}: {loaded.describe()}")
    with progress("what was computed is kept; run the same command to go on") as on_progress:
        embedded = embed_for(
            {backbone.feature_set: backbone.spec for backbone in loaded.backbones},
            open_dataset(images[0] if len(images) == 1 else images, label_column=None),
            FeatureStore(cache),
            steering=sources.steering_files,
            weights=sources.weights_files,
            engine=engine,
            device=device,
            **asdict(decoding),
            on_progress=on_progress,
        )
    for path, remark in embedded.remarks:
        err.print(f"note: {path!r}: {remark}")
    for path, reason in embedded.failures:
        err.print(f"failed: {path!r}: {reason}")
    if embedded.sound_paths:
        blocks = {backbone.name: embedded.features[backbone.feature_set] for backbone in loaded.backbones}
        _print_answers(predict(loaded, embedded.sound_paths, blocks, top=top), form)
    exit_if_too_many_failed(len(embedded.failures), len(embedded.paths), max_failed, "all others are predicted")


def _print_answers(answers: Sequence[Answer], form: str) -> None:
    from stackbone.stack.models.predict import columns, table_rows, to_csv, to_json_lines

    if form == "table":
        print_table(columns(answers), table_rows(answers), whole=True)
    elif form == "csv":
        out.write(to_csv(answers))
    else:
        out.write("".join(line + "\n" for line in to_json_lines(answers)))
