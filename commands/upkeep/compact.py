"""Merge the cache's files into fewer, larger ones.

Drops duplicate rows, which several writers can leave.
"""

from __future__ import annotations

from dataclasses import asdict

from stackbone.commands.shared.console import out, print_json
from stackbone.commands.shared.options import CacheOption, JsonOption


def command(*, cache: CacheOption = None, as_json: JsonOption = False) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.cache.upkeep.compact import compact

    store = FeatureStore(cache)
    store.check_there()
    done = [compact(each) for each in store.feature_sets()]
    if as_json:
        print_json({"feature_sets": [asdict(each) for each in done]})
        return
    for each in done:
        out.print(each.line())
    if not done:
        out.print("nothing to compact: the cache has no feature sets")
