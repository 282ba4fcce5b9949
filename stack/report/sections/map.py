"""All images as points, close together where a backbone finds them alike."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackbone.stack.metrics.confusion import ConfusedPair
from stackbone.stack.report.blocks import Page, figure, join_all, zoom_buttons
from stackbone.stack.report.context import Context
from stackbone.stack.report.embedding_maps import EmbeddingMap, embedding_maps
from stackbone.stack.report.figures.style import CLASS_LOOKS, DRAWN_AS_VECTORS, GREY, Figure, plain_text
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.projection import NEAREST
from stackbone.stack.report.section import Section

_FEW = 24  # classes; more of them are searched by name
_LARGE_POINTS = 20_000  # of more points, each is smaller


@dataclass(frozen=True)
class Neighbour:
    """A class on a map: its points, and the class whose mean position is nearest; None where there is no other."""

    name: str
    n_points: int
    nearest: str | None


@dataclass(frozen=True, eq=False)
class MapRecord:
    """What the section shows.

    Attributes
    ----------
    maps : list of EmbeddingMap
        One of each backbone.
    classes : list of str
        Names by code; empty where labels are not classes.
    highlighted : list of int
        Codes of the classes that are in colour at first.
    neighbours : list of Neighbour
        Of the first map; empty where labels are not classes.
    """

    maps: list[EmbeddingMap]
    classes: list[str]
    highlighted: list[int]
    neighbours: list[Neighbour]

    def by_name(self) -> dict[str, EmbeddingMap]:
        """Return the maps by the names of their figures, with hyphens for what does not belong in a file's name."""
        found: dict[str, EmbeddingMap] = {}
        for each in self.maps:
            name = f"map_{each.projection.method.lower()}_{re.sub(r'[^A-Za-z0-9._-]+', '-', each.backbone)}"
            while name in found:
                name += "-2"
            found[name] = each
        return found


class Map(Section[MapRecord]):
    """Shows a map of each backbone's features."""

    name = "map"
    title = "Map"
    order = 80
    plots = (("map", "map"),)

    def collect(self, context: Context) -> MapRecord | None:
        """Lay the features out on planes."""
        maps, classes, found = embedding_maps(context), context.classes, context.class_findings
        if not maps:
            return None
        highlighted = highlighted_classes(classes, found.confused if found else ())
        return MapRecord(maps, classes, highlighted, nearest_classes(maps[0], classes))

    def figures(self, record: MapRecord) -> dict[str, Figure]:
        """Draw a map of each backbone."""
        names = [plain_text(name) for name in record.classes]
        return {name: draw_map(each, names, record.highlighted) for name, each in record.by_name().items()}

    def script(self, record: MapRecord, page: Page) -> Mapping[str, object]:
        """Return the points for the script to colour; classes and images, which most maps share, go in once."""
        shared: list[list[int]] = []
        maps: dict[str, dict[str, Any]] = {}
        for name, each in record.by_name().items():
            if each.codes is None:
                continue
            same = each.rows.tolist()
            if same not in shared:
                shared.append(same)
            x, y = each.projection.points.T.tolist()
            maps[name] = {"rows": shared.index(same), "x": x, "y": y}
            if each.clusters is not None:
                names = each.cluster_names(record.classes)
                maps[name] |= {"clusters": {"names": names, "codes": each.clusters.tolist()}}
        return {"maps": maps, "rows": shared, "highlighted": record.highlighted}

    def html(self, record: MapRecord, page: Page) -> Markup:
        """Return one figure, the choice of a backbone for it, and the classes in colour."""
        maps = record.by_name()
        first = next(iter(maps))
        note = (
            "Images that the backbone finds alike lie close together. Point at one to see it, click to enlarge it; "
            "drag to zoom, double-click to zoom out."
        )
        if len({len(each.rows) for each in record.maps}) > 1:
            note += " The map of a steered backbone holds only images that its steering never saw."
        return figure(
            page,
            first,
            says=_says(maps[first]),
            title="The images as the backbones see them",
            note=join_all(note, " ", element("span", _kept(maps[first]), data_kept_here=True)),
            numbers=_neighbours(maps[first].backbone, record.neighbours) if record.neighbours else None,
            controls=join_all(
                _choice(maps, has_classes=bool(record.classes)), _legend(record.classes) if record.classes else None
            ),
        )


SECTION = Map()


def highlighted_classes(classes: Sequence[str], confused: Sequence[ConfusedPair]) -> list[int]:
    """Return which classes a map colours at first: all if they are few, else those that are most often confused."""
    if len(classes) <= len(CLASS_LOOKS):
        return list(range(len(classes)))
    code_of = {name: code for code, name in enumerate(classes)}
    first = dict.fromkeys(code_of[name] for pair in confused for name in (pair.true, pair.predicted))
    return sorted([*first, *(code for code in code_of.values() if code not in first)][: len(CLASS_LOOKS)])


def nearest_classes(points: EmbeddingMap, classes: Sequence[str]) -> list[Neighbour]:
    """Return which class lies nearest to each, by their mean positions."""
    if points.codes is None:
        return []
    present, n_points = np.unique(points.codes, return_counts=True)
    centres = np.array([points.projection.points[points.codes == code].mean(axis=0) for code in present])
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = [classes[present[i]] for i in apart.argmin(axis=1)]
    return [
        Neighbour(classes[code], int(n), nearest[i] if len(present) > 1 else None)
        for i, (code, n) in enumerate(zip(present, n_points, strict=True))
    ]


def draw_map(points: EmbeddingMap, names: Sequence[str], highlighted: Sequence[int]) -> Figure:
    """Draw one map, with some classes in colour and all others in grey, or with every point in its number's colour."""
    titles = [f"{points.projection.method} {axis}" for axis in (1, 2)]
    if points.projection.explained:
        titles = [f"{title} ({share:.0%})" for title, share in zip(titles, points.projection.explained, strict=True)]
    layout = {
        "height": 640,
        "hovermode": "closest",
        "dragmode": "zoom",
        "legend": {"itemsizing": "constant"},
        "xaxis": {"title": {"text": titles[0]}, "showticklabels": False, "zeroline": False},
        "yaxis": {"title": {"text": titles[1]}, "showticklabels": False, "zeroline": False},
    }
    if points.codes is None:
        return Figure([_by_value(points)], layout)
    return Figure(_by_class(points, points.codes.tolist(), names, highlighted), layout, drawn_by_script=True)


def _by_value(points: EmbeddingMap) -> dict[str, Any]:
    """Return points that say nothing on hover by themselves: the page shows the image, by its row."""
    x, y = points.projection.points.T.tolist()
    return {
        "type": _kind(points),
        "mode": "markers",
        "x": x,
        "y": y,
        "customdata": points.rows.tolist(),
        "marker": {
            "size": _size(points),
            "color": [] if points.values is None else points.values.tolist(),
            "autocolorscale": True,
            "colorbar": {"title": {"text": plain_text(points.measure)}, "thickness": 10, "outlinewidth": 0},
            "opacity": 0.75,
        },
        "hoverinfo": "none",
    }


def _by_class(
    points: EmbeddingMap, codes: Sequence[int], names: Sequence[str], highlighted: Sequence[int]
) -> list[dict[str, Any]]:
    x, y = points.projection.points.T.tolist()
    place_of = {code: place for place, code in enumerate(highlighted)}
    groups: list[list[int]] = [[] for _ in range(len(highlighted) + 1)]
    for i, code in enumerate(codes):
        groups[place_of.get(code, -1)].append(i)
    looks = [(names[code], *CLASS_LOOKS[place], 0.75) for place, code in enumerate(highlighted)]
    looks.append(("others", GREY, "circle", 0.25))
    traces = [
        {
            "type": _kind(points),
            "mode": "markers",
            "name": name,
            "x": [x[i] for i in group],
            "y": [y[i] for i in group],
            "customdata": group,
            "marker": {"size": _size(points), "color": color, "symbol": symbol, "opacity": opacity},
            "hoverinfo": "none",
        }
        for (name, color, symbol, opacity), group in zip(looks, groups, strict=True)
        if group
    ]
    return traces[::-1]  # what is drawn last lies on top


def _kind(points: EmbeddingMap) -> str:
    return "scattergl" if len(points.rows) > DRAWN_AS_VECTORS else "scatter"


def _size(points: EmbeddingMap) -> int:
    return 6 if len(points.rows) <= _LARGE_POINTS else 4


def _says(points: EmbeddingMap) -> str:
    n, name = len(points.rows), points.backbone
    return f"Map of {n:,} images in two dimensions, close together where {name} finds them alike."


def _kept(points: EmbeddingMap) -> str:
    """Return how much of what the backbone finds alike is alike on the plane, too."""
    found = points.projection
    if found.kept is None:
        return ""
    return f"Of each image's {NEAREST} nearest neighbours, {found.method} keeps {found.kept:.0%}."


def _choice(maps: Mapping[str, EmbeddingMap], *, has_classes: bool) -> Markup:
    options = [
        element(
            "option",
            f"{each.backbone} ({each.projection.method})",
            value=name,
            data_says=_says(each),
            data_kept=_kept(each),
        )
        for name, each in maps.items()
    ]
    select = element("label", "Backbone ", element("select", options, data_map=True))
    ways = (
        ("class", "class"),
        ("error", "right or wrong"),
        ("prediction", "prediction"),
        ("split", "split"),
        ("cluster", "cluster"),
    )
    color = element("select", [element("option", text, value=way) for way, text in ways], data_color=True)
    return element(
        "div",
        select,
        element("label", "Colour by ", color) if has_classes else None,
        zoom_buttons(),
        class_="controls",
        role="group",
        aria_label="Backbone, colours and zoom of the map",
    )


def _legend(classes: Sequence[str]) -> Markup:
    chips = [
        element(
            "button",
            element("span", class_="swatch", aria_hidden="true"),
            name,
            type="button",
            data_class=code,
            aria_pressed="false",
        )
        for code, name in enumerate(classes)
    ]
    find = element("label", "Find a class ", element("input", type="search", data_find=True, autocomplete="off"))
    return element(
        "div",
        find if len(classes) > _FEW else None,
        element("div", chips, class_="chips many" if len(classes) > _FEW else "chips"),
        element("div", class_="chips", hidden=True),
        element("p", class_="quiet", role="status", data_chosen=True),
        class_="map-legend",
        role="group",
        aria_label="Classes in colour",
    )


def _neighbours(backbone: str, neighbours: Sequence[Neighbour]) -> Markup:
    rows = [[each.name, f"{each.n_points:,}", each.nearest or "-"] for each in neighbours]
    return table(["class", "points", "nearest class"], rows, caption=f"Classes on the map of {backbone}")
