"""What was found as sheets of thumbnails."""

from __future__ import annotations

from stackbone.cache.text import counted
from stackbone.stack.exploring.clusters.result import Clusters
from stackbone.stack.exploring.hits import Search
from stackbone.stack.exploring.sheet import Group, Item, Sheet

SHOWN = 24
"""Images of a cluster that a sheet shows, at most."""


def search_sheet(found: Search) -> Sheet:
    """Return a group for each query: the picture itself, then what is nearest to it."""
    by = (
        f"nearest by the cosine of {', '.join(found.backbones)}{', rankings fused' if len(found.backbones) > 1 else ''}"
    )
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


def cluster_sheet(found: Clusters) -> Sheet:
    """Return a group for each cluster: its images that are nearest to its centre, at most 24."""
    groups = []
    for each in found.clusters:
        name = f"{each.name}, {each.share:.0%} of its labelled images" if each.name else "no image has a label"
        items = [
            Item(found.files[i], found.labels[i] or "without a label", f"{found.closeness[i]:.3f} {found.paths[i]}")
            for i in each.members[:SHOWN]
        ]
        shown = f", the {SHOWN} nearest to its centre shown" if each.size > SHOWN else ""
        says = f"{counted(each.size, 'image')}{shown}; {name}"
        groups.append(Group(f"{each.number}. {each.name}" if each.name else f"Cluster {each.number}", says, items))
    title = f"{found.dataset}: {counted(len(found.clusters), 'cluster')}"
    return Sheet(title, f"{len(found.paths):,} images by {found.method} on {', '.join(found.backbones)}", groups)
