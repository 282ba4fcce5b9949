"""Write a saved model as an ONNX file, for use without Stackbone.

Features go in, and class probabilities, labels or numbers come out; with --with-backbones images go in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from stackbone.cache.errors import UsageError
from stackbone.commands.shared.console import as_given, err, print_json, progress
from stackbone.commands.shared.endings import check_outputs
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import JsonOption, SourceOptions
from stackbone.commands.shared.tables import print_table


@grouped
def command(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(help="File that `stack --save` wrote")],
    *,
    onnx: Annotated[Path, typer.Option(help="ONNX file to write")],
    with_backbones: Annotated[
        bool,
        typer.Option("--with-backbones", help="Put the model's networks in too: the file takes images, not features"),
    ] = False,
    sources: SourceOptions,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache.disk.onnx_form import check_onnx
    from stackbone.cache.disk.output_file import check_ending
    from stackbone.stack.models.model_file import load_model
    from stackbone.stack.models.onnx_file import write_onnx

    check_outputs({"MODEL": model, "--onnx": onnx})
    check_ending("--onnx", onnx, [".onnx"])
    check_onnx()
    needless = as_given(context, "steering", "weights", "backbone_module")
    if needless and not with_backbones:
        message = f"{needless[0]} is for the networks: add --with-backbones, or leave it out"
        raise UsageError(message)
    loaded = load_model(model)
    err.note(f"{model.name}: {loaded.describe()}")
    networks = []
    if with_backbones:
        from stackbone.extract.exporting.networks import export_networks, precision_note

        with progress() as on_progress:
            networks = export_networks(
                loaded.specs,
                steering=sources.steering_files,
                modules=sources.modules,
                weights=sources.weights_files,
                on_progress=on_progress,
            )
        if note := precision_note(loaded.specs):
            err.note(f"note: {note}")
    written = write_onnx(loaded, onnx, networks)
    if as_json:
        print_json({"onnx": str(onnx), **written.to_dict()})
    else:
        rows = [["input", *_cells(each)] for each in written.inputs]
        rows += [["output", *_cells(each)] for each in written.outputs]
        print_table(["", "name", "shape", "type"], rows)
    err.note(f"the model is in {onnx} ({written.n_bytes:,} bytes)")


def _cells(value: dict[str, Any]) -> list[str]:
    return [value["name"], f"({', '.join(map(str, value['shape']))})", value["type"]]
