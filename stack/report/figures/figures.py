"""The report's figures, as Plotly JSON: what is drawn, and nothing of how the page looks around it.

Colours of text, grid and heat maps come from a template that the page, or the export, lays under them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackbone.stack.report.figures.class_figures import draw_calibration, draw_confusion, draw_per_class, draw_scores
from stackbone.stack.report.figures.model_figures import (
    draw_ablation,
    draw_cost,
    draw_learning_curve,
    draw_models,
    draw_overlap,
    draw_weights,
)
from stackbone.stack.report.figures.point_figures import draw_fit, draw_maps, draw_residuals
from stackbone.stack.report.figures.style import Figure, chief_name


def figures(data: Mapping[str, Any]) -> dict[str, Figure]:
    """Draw what there is to be drawn.

    Parameters
    ----------
    data : mapping
        `stack.report.data.ReportData.to_dict`.

    Returns
    -------
    dict of str to dict
        Plotly JSON (``data``, ``layout``) by name, in the order of the page: ``models``, ``confusion``, ``per_class``,
        ``overlap``, ``ablation``, ``cost``, ``weights``, ``calibration``, ``scores``, ``learning_curve``, ``fit``,
        ``residuals`` and a ``map`` per backbone and method. What the experiment does not have is left out.
    """
    chief = chief_name(data["models"][0]["chief"])
    drawn = {
        "models": draw_models(data["models"]),
        "confusion": draw_confusion(data["confusion"], data["classes"]) if data.get("confusion") else None,
        "per_class": draw_per_class(data["per_class"], data["classes"]) if data.get("per_class") else None,
        "overlap": draw_overlap(data["overlap"]) if len((data.get("overlap") or {}).get("models", ())) > 1 else None,
        "ablation": draw_ablation(data["ablation"], chief) if data.get("ablation") else None,
        "cost": draw_cost(data["cost"], chief) if len(data.get("cost") or ()) > 1 else None,
        "weights": draw_weights(data["weights"]) if data.get("weights") else None,
        "calibration": draw_calibration(data["calibration"]) if data.get("calibration") else None,
        "scores": draw_scores(data["scores"]) if (data.get("scores") or {}).get("edges") else None,
        "learning_curve": draw_learning_curve(data["learning_curve"], chief) if data.get("learning_curve") else None,
        "fit": draw_fit(data["regression"]) if data.get("regression") else None,
        "residuals": draw_residuals(data["regression"]) if data.get("regression") else None,
        **draw_maps(data),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}
