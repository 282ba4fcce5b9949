"""List the backbones, or the outputs of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from stackbone.cache.text import counted
from stackbone.commands.shared.console import out, print_json
from stackbone.commands.shared.endings import Outputs, check_outputs
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.extract import Backbone
    from stackbone.extract.backbones.outputs import OutputForm

_SHOWN = 4  # modules, as examples
_EXPLAINED = (
    "width: columns of its features.  GFLOP: billions of operations an image.  M: millions of parameters.  "
    "gated: the hub gives the weights to those who accepted the licence"
)


@grouped
def command(
    *,
    outputs_of: Annotated[
        str | None,
        typer.Option(
            "--outputs", metavar="NAME", help="List what this backbone can give beside its pooled vector, with sizes"
        ),
    ] = None,
    files: RowOptions,
    as_json: JsonOption = False,
) -> None:
    check_outputs(files.files)
    files.check()
    rows = _list_backbones(as_json=as_json) if outputs_of is None else _list_outputs(outputs_of, as_json=as_json)
    with Outputs() as outputs:
        files.write({name: [row[name] for row in rows] for name in rows[0]}, outputs, {"weights": str})


def _list_backbones(*, as_json: bool) -> list[dict[str, Any]]:
    from stackbone.extract import BACKBONES, GROUPS, available_backbones

    here = {name: weights.source for name, weights in available_backbones().items()}
    rows = [_row(each, here.get(each.name)) for each in BACKBONES.values()]
    if as_json:
        print_json({"backbones": rows, "groups": {**GROUPS, "all": list(here)}})
    else:
        header = ["name", "input", "width", "GFLOP", "M", "licence", "weights here", "timm model"]
        print_table(header, [_cells(row) for row in rows], shorten=["timm model"], spare=["timm model"])
        out.print(_EXPLAINED)
        for name, members in GROUPS.items():
            out.print(f"group {name}: {', '.join(members)}")
        out.print(
            "group all: those with weights here.  timm:MODEL: any model of timm, such as timm:convnext_tiny.fb_in22k"
        )
    return rows


def _row(backbone: Backbone, weights: str | None) -> dict[str, Any]:
    return {
        "name": backbone.name,
        "input": " x ".join(map(str, backbone.transform.input_size)),
        "width": backbone.width,
        "gflop": backbone.gflop,
        "parameters": backbone.parameters,
        "licence": backbone.licence or None,
        "gated": backbone.gated,
        "weights": weights,
        "architecture": backbone.architecture,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    """Return a row as people read it: sides of squares once, and of weights what kind of place they lie in."""
    height, width = row["input"].split(" x ")
    licence = row["licence"] or "-"
    return [
        row["name"],
        height if height == width else f"{height}x{width}",
        *("-" if row[key] is None else f"{row[key]:,}" for key in ("width", "gflop", "parameters")),
        f"{licence}, gated" if row["gated"] else licence,
        (row["weights"] or "-").split(" ", 1)[0],
        row["architecture"],
    ]


def _shapes(form: OutputForm) -> str:
    """Return the maps of an output of several, behind what it is."""
    shapes = ", ".join(" x ".join(map(str, each)) for each in form.row.map_shapes)
    return f": {shapes}" if shapes else ""


def _list_outputs(name: str, *, as_json: bool) -> list[dict[str, Any]]:
    """Print the outputs that a network offers, found without its weights."""
    from stackbone.extract import get_backbone
    from stackbone.extract.backbones.outputs import OUTPUTS
    from stackbone.extract.networks.forms import list_forms

    forms, modules = list_forms(get_backbone(name))
    rows = [
        {
            "output": each.output,
            "n_columns": each.n_columns,
            "n_bytes": each.row_bytes,
            "n_parts": len(each.row.parts) or 1,
            "what": f"{OUTPUTS.get(each.output, 'its result, pooled')}{_shapes(each)}",
        }
        for each in [*forms, *modules]
    ]
    if as_json:
        told = [row | each.to_dict() for row, each in zip(rows, [*forms, *modules], strict=True)]
        print_json({"backbone": name, "outputs": told})
        return rows
    cells = [
        [str(row["output"]), *(f"{row[key]:,}" for key in ("n_columns", "n_bytes", "n_parts")), str(row["what"])]
        for row in rows
    ]
    print_table(["output", "columns", "bytes an image", "parts", "what"], cells[: len(forms)], shorten=["what"])
    if modules:
        shown = ", ".join(each.output for each in modules[:: max(1, len(modules) // _SHOWN)][:_SHOWN])
        out.print(f"and any of {counted(len(modules), 'module')} by its name, such as {shown}; --json lists all")
    return rows
