"""How often each class is taken for each, counted, ordered so that similar classes are neighbours, and drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform

from stackbone.stack.report.figures.cells import cell_numbers
from stackbone.stack.report.figures.style import Figure, short_names

_MOST_OPTIMAL = 400  # classes; the optimal order of twice as many takes eight times as long
_CELLS_WITH_NUMBERS = 16  # more classes than these, and the numbers no longer fit their cells
_CELLS_WITH_GAPS = 60
_TURNED = 5  # pixels that a letter of a turned name reaches down: Plotly measures names as if they lay
_BAR = {
    "orientation": "h",
    "x": 0,
    "xanchor": "left",
    "y": 1.01,
    "yanchor": "bottom",
    "len": 0.6,
    "tickangle": 0,
    "thickness": 10,
    "outlinewidth": 0,
}


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """How often each class is taken for each.

    Attributes
    ----------
    names : list of str
        Of the classes, by code.
    counts : NDArray[np.int64]
        ``(n_classes, n_classes)``, the true class in rows, the predicted one in columns, by code.
    order : NDArray[np.int64]
        ``(n_classes,)`` class codes so that classes taken for one another are neighbours.
    """

    names: list[str]
    counts: NDArray[np.int64]
    order: NDArray[np.int64]


def count_confusions(truth: NDArray[np.int64], predicted: NDArray[np.int64], names: Sequence[str]) -> ConfusionMatrix:
    """Count ``(n,)`` true and predicted class codes; `names` are those of the classes, by code."""
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    return ConfusionMatrix(list(names), counts, similarity_order(counts))


def similarity_order(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order classes so that those taken for one another are neighbours.

    The optimal leaf ordering (Bar-Joseph, Gifford & Jaakkola 2001, Bioinformatics 17 suppl. 1) of an
    average-linkage clustering, where two classes are the nearer, the larger the share of either that is taken for the
    other. For more than 400 classes, the order of the clustering as it comes.

    Parameters
    ----------
    counts : NDArray[np.int64]
        ``(n_classes, n_classes)`` confusion matrix, the true class in rows.

    Returns
    -------
    NDArray[np.int64]
        ``(n_classes,)`` class codes.
    """
    n = len(counts)
    if n < 3:
        return np.arange(n)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    distance = 1.0 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0.0)
    condensed = squareform(distance, checks=False)
    tree = linkage(condensed, "average")
    if n <= _MOST_OPTIMAL:
        tree = optimal_leaf_ordering(tree, condensed)
    return cast("NDArray[np.int64]", leaves_list(tree).astype(np.int64))


def draw_confusion(matrix: ConfusionMatrix) -> Figure:
    """Draw rows as shares of the true class; the root of the share is coloured, so that rare confusions show too."""
    names, counts, order = short_names(matrix.names), matrix.counts.tolist(), matrix.order.tolist()
    roots, numbers, hover = [], [], []
    for i in order:
        total = sum(counts[i]) or 1
        row = [counts[i][j] for j in order]
        roots.append([round(math.sqrt(n / total), 4) if n else None for n in row])
        numbers.append([str(n) if n else "" for n in row])
        hover.append([f"{n} of {total} ({n / total:.1%})" if n else "" for n in row])
    ordered = [names[i] for i in order]
    ticks = [0.01, 0.2, 0.5, 1]
    heat = {
        "type": "heatmap",
        "z": roots,
        "x": ordered,
        "y": ordered,
        "zmin": 0,
        "zmax": 1,
        "autocolorscale": True,
        "hovertext": hover,
        "hovertemplate": "%{y} taken for %{x}<br>%{hovertext}<extra></extra>",
        "hoverongaps": False,
        "xgap": 1 if len(order) <= _CELLS_WITH_GAPS else 0,
        "ygap": 1 if len(order) <= _CELLS_WITH_GAPS else 0,
        "colorbar": {
            **_BAR,
            "title": {"text": "share of the true class", "side": "top", "font": {"size": 12}},
            "tickvals": [round(math.sqrt(share), 4) for share in ticks],
            "ticktext": [f"{share:.0%}" for share in ticks],
        },
    }
    shown = [cell_numbers(ordered, numbers, roots)] if len(order) <= _CELLS_WITH_NUMBERS else []
    is_turned = len(order) > 4
    axis = {"type": "category", "automargin": True, "showgrid": False}
    layout = {
        "height": 860,
        "dragmode": "zoom",
        "xaxis": {
            **axis,
            "title": {
                "text": "predicted class",
                **({"standoff": 12 + _TURNED * max(map(len, ordered))} if is_turned else {}),
            },
            "tickangle": -45 if is_turned else 0,
        },
        "yaxis": {**axis, "title": {"text": "true class"}, "autorange": "reversed"},
        "meta": {
            "alphabetical": sorted(range(len(order)), key=lambda position: matrix.names[order[position]]),
            "position": [order.index(i) for i in range(len(order))],
        },
    }
    return Figure([heat, *shown], layout)
