"""Remove feature sets, datasets, or features that no dataset uses.

Says what will go, and asks before it does.
"""

from __future__ import annotations

from typing import Annotated

import typer

from stackbone.commands.shared.console import err, out, print_json
from stackbone.commands.shared.options import CacheOption, JsonOption, YesOption


def command(
    names: Annotated[list[str] | None, typer.Argument(help="Feature sets, backbones or datasets to remove")] = None,
    *,
    unused: Annotated[
        bool, typer.Option("--unused", help="Remove the features of images that no dataset lists")
    ] = False,
    yes: YesOption = False,
    cache: CacheOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.cache.upkeep.forget import plan_forget

    plan = plan_forget(FeatureStore(cache), names or [], unused=unused)
    if not yes:
        for line in plan.lines():
            err.print(line)
        if not typer.confirm("Remove this for good?", err=True):
            err.print("nothing was removed")
            raise typer.Exit(1)
    done = plan.run()
    if as_json:
        print_json(done)
    else:
        out.print("removed " + ", ".join(done["removed"]) if done["removed"] else "there was nothing to remove")
