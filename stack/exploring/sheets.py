"""What was found as sheets of thumbnails."""

from __future__ import annotations

from stackbone.cache.text import counted
from stackbone.stack.exploring.search import Search
from stackbone.stack.exploring.sheet import Group, Item, Sheet


def search_sheet(found: Search) -> Sheet:
    """Return a group for each query: the picture itself, then what is nearest to it."""
    by = f"nearest by the cosine of {', '.join(found.backbones)}"
    groups = []
    files = list(zip(found.hits, found.hit_files, strict=True))
    for query in found.queries:
        own = [(hit, file) for hit, file in files if hit.query == query]
        items = [Item(found.query_files[query], "query", query, stressed=True)]
        items += [
            Item(file, f"{hit.rank}. {hit.label}" if hit.label else f"{hit.rank}.", f"{hit.similarity:.3f} {hit.path}")
            for hit, file in own
            if hit.rank
        ]
        there = [hit for hit, _ in own if hit.rank == 0]
        says = f"the dataset has it as {there[0].path}, {there[0].label or 'without a label'}" if there else ""
        groups.append(Group(query, says, items))
    what = f"{counted(found.n_images, 'image')} compared, {by}"
    return Sheet(f"{found.dataset}: search", what, groups)
