"""List the backbones and which have their weights on this machine."""

from __future__ import annotations

from stackbone.commands.shared.console import out, print_json
from stackbone.commands.shared.endings import Outputs, check_outputs
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table


@grouped
def command(*, files: RowOptions, as_json: JsonOption = False) -> None:
    from stackbone.extract import BACKBONES, GROUPS, available_backbones

    check_outputs(files.files)
    files.check()
    here = {name: weights.source for name, weights in available_backbones().items()}
    rows = [
        {
            "name": each.name,
            "input": " x ".join(map(str, each.transform.input_size)),
            "weights": here.get(each.name),
            "architecture": each.architecture,
        }
        for each in BACKBONES.values()
    ]
    if as_json:
        print_json({"backbones": rows, "groups": {**GROUPS, "all": list(here)}})
    else:
        cells = [[value or "-" for value in row.values()] for row in rows]
        print_table(["name", "input", "weights here", "timm model"], cells, shorten=["weights here", "timm model"])
        for name, members in GROUPS.items():
            out.print(f"group {name}: {', '.join(members)}")
        out.print(
            "group all: those with weights here.  timm:MODEL: any model of timm, such as timm:convnext_tiny.fb_in22k"
        )
    with Outputs() as outputs:
        files.write({name: [row[name] for row in rows] for name in rows[0]}, outputs, {"weights": str})
