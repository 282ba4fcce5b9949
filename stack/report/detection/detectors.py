"""How good each detector is: the table, and AP50 with its interval as a figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackbone.stack.detection.records.experiment import BEST, DetectionExperiment
from stackbone.stack.detection.tables import table
from stackbone.stack.report.blocks import Page, figure, join_all, scrolled
from stackbone.stack.report.figures.style import CLASS_LOOKS, NAMES, ROW, Figure, between
from stackbone.stack.report.markup import Markup, element
from stackbone.stack.report.markup import table as table_of
from stackbone.stack.report.section import Shown


@dataclass(frozen=True)
class DetectorsRecord:
    """What the section shows.

    Attributes
    ----------
    models : list of str
        In the order of the table.
    ap50 : list of float
        Of each.
    ends : list of (float, float)
        Of their intervals.
    header, rows : list
        Of the table.
    class_header, class_rows : list
        Of the table of classes; empty where there is none.
    notes : list of str
        What stands below.
    """

    models: list[str]
    ap50: list[float]
    ends: list[tuple[float, float]]
    header: list[str]
    rows: list[list[str]]
    class_header: list[str]
    class_rows: list[list[str]]
    notes: list[str]


def collect_detectors(experiment: DetectionExperiment) -> DetectorsRecord:
    """Collect what the section shows."""
    has_classes = table.has_class_table(experiment)
    return DetectorsRecord(
        models=[each.model for each in experiment.scores],
        ap50=[each.ap50 for each in experiment.scores],
        ends=[(each.low, each.high) for each in experiment.scores],
        header=table.header(experiment),
        rows=table.rows(experiment),
        class_header=table.class_header(experiment) if has_classes else [],
        class_rows=table.class_rows(experiment) if has_classes else [],
        notes=table.footnotes(experiment),
    )


class Detectors(Shown[DetectorsRecord]):
    """Shows the scores of all detectors."""

    name = "detectors"
    title = "Detectors"

    def figures(self, record: DetectorsRecord) -> dict[str, Figure]:
        """Draw AP50 with intervals."""
        return {"detection_scores": _draw(record)}

    def html(self, record: DetectorsRecord, page: Page) -> Markup:
        """Return the figure and the tables."""
        tables = [
            scrolled(
                table_of(record.header, record.rows, caption="Scores of detectors", class_="detectors"),
                "Scores of detectors",
            )
        ]
        if record.class_rows:
            tables += [
                element("h3", "AP50 by class"),
                scrolled(table_of(record.class_header, record.class_rows, caption="AP50 by class"), "AP50 by class"),
            ]
        return join_all(
            figure(
                page,
                "detection_scores",
                says=f"AP50 of {len(record.models)} detectors with 95% intervals.",
                title="How good is each detector?",
                note=f"Intervals are over tested images. {BEST.capitalize()}: the one that does best inside each "
                "training part, which the fusion must beat.",
            ),
            tables,
            [element("p", each, class_="quiet") for each in record.notes],
        )


def _draw(record: DetectorsRecord) -> Figure:
    color, symbol = CLASS_LOOKS[0]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": "AP50",
            "x": record.ap50,
            "y": record.models,
            "error_x": between(record.ap50, record.ends, color),
            "marker": {"color": color, "symbol": symbol, "size": 10},
            "showlegend": False,
        }
    ]
    layout = {
        "height": 120 + ROW * len(record.models),
        "xaxis": {"title": {"text": "AP50"}},
        "yaxis": {"autorange": "reversed", "dtick": 1, **NAMES},
    }
    return Figure(traces, layout)
