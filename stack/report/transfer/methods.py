"""How each method did with each number of target labels, and by how much it beats the best baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stackbone.stack.report.blocks import Page, figure, join_all, scrolled
from stackbone.stack.report.figures.style import CLASS_LOOKS, NAMES, ROW, Figure, between, draw_dots
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.section import Shown
from stackbone.stack.transfer.results import table as transfer_table
from stackbone.stack.transfer.results.scores import SettingScores
from stackbone.stack.transfer.results.told import Told
from stackbone.stack.transfer.results.verdict import verdict


@dataclass(frozen=True)
class MethodRow:
    """One method in one setting.

    Attributes
    ----------
    method, setting : str
        Their names.
    accuracy : float
        Mean over folds, 0 to 1.
    difference, low, high : float or None
        To the best baseline, with the ends of its interval, in points; None of that baseline itself, or without spread.
    """

    method: str
    setting: str
    accuracy: float
    difference: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SettingTable:
    """The table of one setting.

    Attributes
    ----------
    title : str
        What was evaluated and how.
    header : list of str
        Column titles.
    rows : list of list of str
        A row of cells for each method.
    notes : list of str
        What stands below it.
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]


@dataclass(frozen=True)
class MethodsRecord:
    """What the section shows.

    Attributes
    ----------
    settings : list of str
        From the fewest target labels to the most.
    rows : list of MethodRow
        Of all settings.
    tables : list of SettingTable
        One for each setting, and below it one of several sources.
    verdicts : list of str
        What each setting shows, in words.
    """

    settings: list[str]
    rows: list[MethodRow]
    tables: list[SettingTable]
    verdicts: list[str]

    @property
    def methods(self) -> list[str]:
        """All methods, in the order of the table."""
        return list(dict.fromkeys(each.method for each in self.rows))


def collect_methods(told: Told) -> MethodsRecord:
    """Collect what the section shows."""
    rows = []
    for scores in told.scores:
        for each in scores.results:
            found = each.difference
            ends = (None, None, None) if found is None else (found.mean, found.low, found.high)
            points = (None if value is None else 100 * value for value in ends)
            rows.append(MethodRow(each.method, each.setting, each.score.mean, *points))
    return MethodsRecord(
        settings=[each.setting.name for each in told.scores],
        rows=rows,
        tables=[each for scores in told.scores for each in _tables(told, scores)],
        verdicts=[str(verdict(told, each)) for each in told.scores],
    )


def _tables(told: Told, scores: SettingScores) -> list[SettingTable]:
    """Return the table of one setting, and that of several sources."""
    found = [
        SettingTable(
            title=transfer_table.title(told, scores),
            header=transfer_table.header(told, scores),
            rows=transfer_table.rows(told, scores),
            notes=transfer_table.footnotes(scores),
        )
    ]
    if scores.sources:
        title, header = transfer_table.source_title(scores), transfer_table.source_header(scores)
        rows, notes = transfer_table.source_rows(scores), transfer_table.source_footnotes(scores)
        found.append(SettingTable(title, header, rows, notes))
    return found


class Methods(Shown[MethodsRecord]):
    """Shows scores and differences by method and setting."""

    name = "methods"
    title = "Methods"

    def figures(self, record: MethodsRecord) -> dict[str, Figure]:
        """Draw scores, and differences with their intervals."""
        found = {(each.method, each.setting): each for each in record.rows}
        values = {
            setting: [
                None if (method, setting) not in found else found[method, setting].accuracy for method in record.methods
            ]
            for setting in record.settings
        }
        looks = {name: CLASS_LOOKS[i % len(CLASS_LOOKS)] for i, name in enumerate(record.settings)}
        return {
            "transfer_scores": draw_dots(record.methods, values, looks),
            "transfer_differences": _draw_differences(record),
        }

    def html(self, record: MethodsRecord, page: Page) -> Markup:
        """Return the verdicts, the figures, and a table for each setting."""
        tables = [
            element(
                "div",
                element("h3", each.title),
                scrolled(table(each.header, each.rows, caption=each.title, class_="methods"), each.title),
                [element("p", note, class_="quiet") for note in each.notes],
                class_="setting",
            )
            for each in record.tables
        ]
        return join_all(
            [
                element("p", element("b", f"Target labels {setting}: "), said, class_="lead")
                for setting, said in zip(record.settings, record.verdicts, strict=True)
            ],
            figure(
                page,
                "transfer_scores",
                says=f"Accuracy of {len(record.methods)} methods with target labels {', '.join(record.settings)}.",
                title="How good is each method?",
                note="Mean over the folds of the target, stacked over backbones. Baselines stand first.",
            ),
            figure(
                page,
                "transfer_differences",
                says="Difference of each method to the best baseline, with its 95% interval.",
                title="Does it beat the best baseline?",
                note="In points. Left of the line the method hurts; the best baseline of a setting has no mark there.",
            ),
            tables,
        )


def _draw_differences(record: MethodsRecord) -> Figure:
    traces: list[dict[str, Any]] = []
    for number, setting in enumerate(record.settings):
        color, symbol = CLASS_LOOKS[number % len(CLASS_LOOKS)]
        rows = [each for each in record.rows if each.setting == setting]
        shown = [(each.method, each.difference, each.low, each.high) for each in rows]
        marks = [(method, value, low, high) for method, value, low, high in shown if value is not None]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": setting,
                "x": [value for _, value, _, _ in marks],
                "y": [method for method, _, _, _ in marks],
                "error_x": between(
                    [value for _, value, _, _ in marks], [(low, high) for *_, low, high in marks], color
                ),
                "marker": {"color": color, "symbol": symbol, "size": 10},
            }
        )
    layout = {
        "height": 120 + ROW * len(record.methods),
        "xaxis": {"title": {"text": "points above the best baseline"}, "zeroline": True},
        "yaxis": {
            "autorange": "reversed",
            "dtick": 1,
            "categoryorder": "array",
            "categoryarray": record.methods,
            **NAMES,
        },
    }
    return Figure(traces, layout)
