"""List the backbones: what they give, what they take, under which licence, and which are on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackbone.commands.shared.console import out, print_json
from stackbone.commands.shared.endings import Outputs, check_outputs
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.extract import Backbone

_EXPLAINED = (
    "width: columns of its features.  GFLOP: billions of operations an image.  M: millions of parameters.  "
    "gated: the hub gives the weights to those who accepted the licence"
)


@grouped
def command(*, files: RowOptions, as_json: JsonOption = False) -> None:
    from stackbone.extract import BACKBONES, GROUPS, available_backbones

    check_outputs(files.files)
    files.check()
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
    with Outputs() as outputs:
        files.write({name: [row[name] for row in rows] for name in rows[0]}, outputs)


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
