"""Show what the cache holds, and what it lacks.

Lists feature sets and datasets, images without features, and identical images with conflicting labels.
"""

from __future__ import annotations

from stackbone.commands.shared.console import out, print_bars, print_json
from stackbone.commands.shared.options import CacheOption, JsonOption


def command(*, cache: CacheOption = None, as_json: JsonOption = False) -> None:
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
