"""Both domains on one map of each backbone: whether they lie together or apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from stackbone.stack.experiments.subsets import sample_rows
from stackbone.stack.report.blocks import Page, figure, join_all
from stackbone.stack.report.figures.style import BLUE, ORANGE, Figure, plain_text
from stackbone.stack.report.markup import Markup
from stackbone.stack.report.projection import choose_projection, project
from stackbone.stack.report.section import Shown
from stackbone.stack.transfer.domains.pair import DomainPair
from stackbone.stack.transfer.results.told import Told

MOST_POINTS = 3000
"""Images of each domain on a map."""


@dataclass(frozen=True)
class DomainMap:
    """One map.

    Attributes
    ----------
    backbone, method : str
        Whose features, and how they were laid out.
    points : dict of str to list of (float, float, str)
        By domain, place and label of each image.
    """

    backbone: str
    method: str
    points: dict[str, list[tuple[float, float, str]]]


@dataclass(frozen=True)
class MapsRecord:
    """What the section shows.

    Attributes
    ----------
    maps : list of DomainMap
        One for each backbone.
    """

    maps: list[DomainMap]


def collect_maps(told: Told, pair: DomainPair, projection: str) -> MapsRecord:
    """Lay out up to `MOST_POINTS` images of each domain of a transfer, every class with its share."""
    seed = told.division.seed
    source = sample_rows(pair.source_codes, MOST_POINTS, seed)
    target = sample_rows(pair.target_codes, MOST_POINTS, seed)
    method = choose_projection(projection, len(source) + len(target))
    labels = np.concatenate([pair.source.labels[source], pair.target.labels[target]])
    maps = []
    for name in pair.target.names:
        x = np.concatenate([pair.source.blocks[name][source], pair.target.blocks[name][target]])
        found = project(x, method, seed)
        rows = [(float(a), float(b), str(label)) for (a, b), label in zip(found.points, labels, strict=True)]
        points = {
            f"source: {told.source}": rows[: len(source)],
            f"target: {told.target}": rows[len(source) :],
        }
        maps.append(DomainMap(name, found.method, points))
    return MapsRecord(maps)


class Maps(Shown[MapsRecord]):
    """Shows where both domains lie."""

    name = "domains"
    title = "Domains"

    def figures(self, record: MapsRecord) -> dict[str, Figure]:
        """Draw a map for each backbone."""
        return {f"domain_map_{number}": _draw(each) for number, each in enumerate(record.maps)}

    def html(self, record: MapsRecord, page: Page) -> Markup:
        """Return the maps."""
        return join_all(
            [
                figure(
                    page,
                    f"domain_map_{number}",
                    says=f"Images of both domains by their features of {each.backbone}, laid out by {each.method}.",
                    title=f"{each.backbone} ({each.method})",
                    note="Each mark is an image; where both colours mix, the domains look alike to this backbone.",
                )
                for number, each in enumerate(record.maps)
            ]
        )


def _draw(found: DomainMap) -> Figure:
    looks = ((BLUE, "circle"), (ORANGE, "cross"))
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": plain_text(domain),
            "x": [x for x, _, _ in points],
            "y": [y for _, y, _ in points],
            "text": [plain_text(label) for _, _, label in points],
            "hovertemplate": "%{text}<extra></extra>",
            "marker": {"color": color, "symbol": symbol, "size": 5, "opacity": 0.6},
        }
        for (domain, points), (color, symbol) in zip(found.points.items(), looks, strict=True)
    ]
    hidden = {"showticklabels": False, "zeroline": False}
    return Figure(traces, {"height": 480, "xaxis": hidden, "yaxis": hidden})
