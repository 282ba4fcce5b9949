"""List the backbones and which have their weights on this machine."""

from __future__ import annotations

from stackbone.commands.shared.console import out, print_json, print_table
from stackbone.commands.shared.options import JsonOption


def command(*, as_json: JsonOption = False) -> None:
    from stackbone.extract import BACKBONES, GROUPS, available_backbones

    here = {name: weights.source for name, weights in available_backbones().items()}
    if as_json:
        print_json(
            [{"name": b.name, "architecture": b.architecture, "weights": here.get(b.name)} for b in BACKBONES.values()]
        )
        return
    rows = [
        [b.name, b.architecture, " x ".join(map(str, b.transform.input_size)), here.get(b.name, "-")]
        for b in BACKBONES.values()
    ]
    print_table(["name", "timm model", "input", "weights here"], rows)
    for name, members in GROUPS.items():
        out.print(f"group {name}: {', '.join(members)}")
    out.print("group all: those with weights here.  timm:MODEL: any model of timm, such as timm:convnext_tiny.fb_in22k")
