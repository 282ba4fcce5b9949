"""Show what the cache holds, and what it lacks.

Lists feature sets and datasets, images without features, and identical images with conflicting labels; or tells what a
saved model is made of, with --model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stackbone.cache.errors import UsageError
from stackbone.commands.shared.console import out, print_bars, print_json
from stackbone.commands.shared.options import CacheOption, JsonOption


def command(
    *,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Show what a saved model is made of instead: a file that `stack --save` or `detect --save` wrote"
        ),
    ] = None,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    if model is not None:
        if cache is not None:
            message = "--model shows a saved model, which lies in no cache: leave --cache out"
            raise UsageError(message)
        _show_model(model, as_json=as_json)
        return
    from stackbone.cache import FeatureStore
    from stackbone.cache.labels.sets import SETS
    from stackbone.cache.upkeep.summary import summarise

    summary = summarise(FeatureStore(cache))
    if as_json:
        print_json(summary.to_dict())
        return
    for line in summary.lines():
        out.print(line)
    for dataset in summary.datasets:
        name = "label" if dataset.label_form == SETS else "class"
        print_bars(f"images of each {name} of {dataset.name}", dataset.classes)


def _show_model(file: Path, *, as_json: bool) -> None:
    from stackbone.stack.detection.models import summary as of_detectors
    from stackbone.stack.detection.models.model_file import is_detection_model, load_detection_model
    from stackbone.stack.models.model_file import load_model
    from stackbone.stack.models.summary import model_dict, model_lines

    if is_detection_model(file):
        detector = load_detection_model(file)
        told, lines = of_detectors.model_dict(detector), of_detectors.model_lines(detector)
    else:
        model = load_model(file)
        told, lines = model_dict(model), model_lines(model)
    if as_json:
        print_json({"model": str(file), **told})
        return
    for line in lines:
        out.print(line)
