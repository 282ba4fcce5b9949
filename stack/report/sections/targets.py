"""The section that a regression alone has: how far its numbers are off, and on which images the most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from stackbone.stack.report.blocks import (
    SHOWN_AT_FIRST,
    Report,
    Section,
    figure,
    join_all,
    more_button,
    number,
    path,
    picture,
)
from stackbone.stack.report.markup import Markup, element, table


def fit(report: Report) -> Section | None:
    """Show a regression's predictions, point by point."""
    points = report.data["regression"]
    if not points:
        return None
    off = np.subtract(points["predicted"], points["true"])
    quantiles = [5, 25, 50, 75, 95]
    rows = [[f"{q}%", number(float(value))] for q, value in zip(quantiles, np.percentile(off, quantiles), strict=True)]
    summary = table(["quantile", "predicted less true"], rows, caption="Quantiles of the residuals")
    figures = join_all(
        figure(
            report,
            "fit",
            says="Scatter plot of predicted against true values, with the line on which they are equal.",
            title=f"Predicted and true, {points['model']}",
            note="Each point is an image that the model had not seen.",
            numbers=summary,
        ),
        figure(
            report,
            "residuals",
            says="Scatter plot of the residuals against the predicted values.",
            title="How far off",
            note="A slope or a funnel tells of numbers that the model gets wrong in a regular way.",
            numbers=summary,
        ),
    )
    return Section("fit", "Fit", join_all(element("div", figures, class_="pair-of-figures"), _furthest(report, points)))


def _furthest(report: Report, points: Mapping[str, Any]) -> Markup:
    """Show the images that the model misses by most; wrong labels gather here."""
    cards = [
        element(
            "li",
            element("div", picture(report, points["image"][i]), class_="thumbnail"),
            element("p", "labelled ", element("b", f"{points['true'][i]:g}")),
            element("p", "taken for ", element("b", f"{points['predicted'][i]:.4g}")),
            path(report, points["image"][i]),
            class_="later" if position >= SHOWN_AT_FIRST else None,
        )
        for position, i in enumerate(points["worst"])
    ]
    return join_all(
        element("h3", "Furthest off, or wrongly labelled"),
        element("ul", cards, class_="cards wrong", id="furthest"),
        more_button(len(cards), SHOWN_AT_FIRST, "furthest"),
    )
