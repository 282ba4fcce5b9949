"""Divide a dataset into clusters of images that look alike.

Works on cached features, labelled or not; where there are labels, says how far clusters agree with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from stackbone.commands.shared import endings
from stackbone.commands.shared.console import err, out, print_json, progress
from stackbone.commands.shared.exploring.sheets import SheetOption, write_sheet
from stackbone.commands.shared.option_groups import grouped
from stackbone.commands.shared.options import BackbonesOption, CacheOption, DatasetNameOption, JsonOption, RowOptions
from stackbone.commands.shared.tables import print_table

if TYPE_CHECKING:
    from stackbone.stack.exploring.clusters.result import Clusters


@grouped
def command(
    *,
    method: Annotated[str, typer.Option(help="How to cluster. Choices: {cluster_methods}")] = "kmeans",
    clusters: Annotated[
        str,
        typer.Option(
            metavar="N", help="Number of clusters; auto takes the number with the best silhouette, of 2 to 100"
        ),
    ] = "auto",
    backbones: BackbonesOption = None,
    html: SheetOption = None,
    rows: RowOptions,
    seed: Annotated[int, typer.Option(min=0, help="Random seed: the same seed gives the same clusters")] = 0,
    cache: CacheOption = None,
    dataset: DatasetNameOption = None,
    as_json: JsonOption = False,
) -> None:
    from stackbone.cache import FeatureStore
    from stackbone.stack.exploring.clusters.cluster import cluster
    from stackbone.stack.exploring.sheets import cluster_sheet

    endings.check_outputs({**rows.files, "--html": html})
    rows.check()
    with progress() as on_progress:
        found = cluster(
            FeatureStore(cache),
            dataset=dataset,
            backbones=backbones,
            method=method,
            n_clusters=_number(clusters),
            seed=seed,
            progress=on_progress,
        )
    for note in found.notes:
        err.note(f"note: {note}")
    written = write_sheet(cluster_sheet(found), html) if html else {}
    if as_json:
        print_json({**found.to_dict(), **written})
    else:
        _print(found)
    with endings.Outputs() as outputs:
        rows.write(found.columns(), outputs, {"name": str, "closeness": float})


def _number(text: str) -> int | None:
    """Return a number of clusters; None for auto."""
    from stackbone.cache.errors import UsageError

    if text == "auto":
        return None
    if not text.isdecimal() or not int(text):
        message = f"--clusters takes a number from 1 or auto, not {text!r}"
        raise UsageError(message)
    return int(text)


def _print(found: Clusters) -> None:
    """Print how the images are divided, and a row for each cluster."""
    by = f"by {found.method} on {', '.join(found.backbones)}"
    alone = f"; {found.alone:,} are in none" if found.alone else ""
    many = f"{len(found.clusters):,} {'cluster' if len(found.clusters) == 1 else 'clusters'}"
    out.print(f"{found.dataset}: {len(found.paths):,} images in {many}, {by}{alone}")
    if found.silhouettes:
        best = sorted(found.silhouettes.items(), key=lambda each: -each[1])[:3]
        out.print(f"mean silhouette of numbers tried, the best: {', '.join(f'{n}: {value:.3f}' for n, value in best)}")
    if found.agreement:
        over = found.agreement
        out.print(f"agreement with labels, over {over.n_images:,} images: ARI {over.ari:.3f}, NMI {over.nmi:.3f}")
    is_named = any(each.name for each in found.clusters)
    cells = [
        [
            str(each.number),
            f"{each.size:,}",
            *([each.name or "-", f"{each.share:.0%}" if each.name else "-"] if is_named else []),
            f"{each.closeness:.3f}",
            found.paths[each.members[0]],
        ]
        for each in found.clusters
    ]
    header = ["cluster", "images", *(["name", "share"] if is_named else []), "closeness", "nearest to its centre"]
    if cells:
        print_table(header, cells, shorten=["name", "nearest to its centre"])
