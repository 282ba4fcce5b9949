"""What each part of a backbone's features carries: its stages, its blocks, its pooled vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stackbone.stack.metrics.model_scores import PartScore
from stackbone.stack.report.blocks import Page, figure, join_all, number
from stackbone.stack.report.context import Context
from stackbone.stack.report.figures.backbone_figures import draw_parts
from stackbone.stack.report.figures.style import Figure
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Section


@dataclass(frozen=True)
class LayersRecord:
    """What the section shows.

    Attributes
    ----------
    parts : dict of str to list of PartScore
        By backbone.
    loss : str
        What `PartScore.losses` are.
    """

    parts: dict[str, list[PartScore]]
    loss: str


class Layers(Section[LayersRecord]):
    """Shows which layers carry what."""

    name = "layers"
    title = "Layers"
    order = 55
    plots = (("layers", "layers"),)

    def collect(self, context: Context) -> LayersRecord | None:
        """Return what the parts carry; None where no backbone has several."""
        parts = {name: each for name, each in context.experiment.evaluation.parts.items() if each}
        loss = "log-loss" if context.classes else "squared error, as a share of the variance"
        return LayersRecord(parts, loss) if parts else None

    def figures(self, record: LayersRecord) -> dict[str, Figure]:
        """Draw what is lost without each part."""
        return {"layers": draw_parts(record.parts, record.loss)}

    def html(self, record: LayersRecord, page: Page) -> Markup:
        """Return the figure and its numbers."""
        lead = (
            "Each backbone is read at several places, and one classifier sees them all. The penalties of its parts "
            "were chosen in the training part of each fold; what is told here was measured there too, on images that "
            "the fits had not seen."
        )
        note = (
            f"What the {record.loss} rises by where a part is replaced by its mean and nothing is fitted again; bars "
            "reach from the lowest fold to the highest. Of parts that say the same each can be left out at little "
            "cost: one near zero need not be useless, and the numbers do not add up."
        )
        return join_all(
            element("p", lead, class_="lead"),
            figure(
                page,
                "layers",
                says="Dot plot of what each backbone's classifier loses without each of its parts.",
                title="Which layers carry what",
                note=note,
                numbers=_numbers(record),
            ),
        )


SECTION = Layers()


def _numbers(record: LayersRecord) -> Markup:
    rows = [
        [
            name,
            part.name,
            f"{part.width:,}",
            number(float(np.mean(part.factors)), 2),
            f"{np.mean(part.shares):.1%}",
            number(float(np.mean(part.losses)), 4),
        ]
        for name, parts in record.parts.items()
        for part in parts
    ]
    header = ["backbone", "part", "columns", "factor", "share of the decision", f"{record.loss} without it"]
    caption = "Parts of each backbone, means over folds: at a factor of 1 a part is penalised as C says, above it less"
    return table(header, rows, caption=caption)
