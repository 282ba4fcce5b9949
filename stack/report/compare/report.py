"""The page of several results, collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from stackbone.cache import UsageError
from stackbone.cache.text import counted, to_json
from stackbone.stack.experiments.against.earlier import read_earlier
from stackbone.stack.metrics.metrics import METRICS
from stackbone.stack.report.blocks import Page, figure, join_all, number, scrolled
from stackbone.stack.report.compare.compared import (
    Compared,
    check_comparable,
    lacks_same_folds,
    paired_models,
    unchecked_images,
    way_to_pair,
)
from stackbone.stack.report.figures.style import CLASS_LOOKS, NAMES, ROW, Figure, padded, plain_text, short_names
from stackbone.stack.report.head import eyebrow
from stackbone.stack.report.markup import Markup, element, table
from stackbone.stack.report.report import FilledSection, PageContent
from stackbone.stack.report.section import Shown
from stackbone.stack.tables.changes.words import certainty


@dataclass(frozen=True)
class CompareRecord:
    """What the page shows: the results, and the metric of all."""

    results: list[Compared]
    metric: str

    @property
    def title(self) -> str:
        """What the page is called."""
        return f"{' and '.join(each.name for each in self.results)}: Stackbone comparison"

    @property
    def in_words(self) -> str:
        """What people call the metric."""
        return METRICS[self.metric].title or self.metric


@dataclass(frozen=True)
class CompareHead:
    """What the head of the page shows."""

    record: CompareRecord
    created: datetime

    @property
    def title(self) -> str:
        """What the page is called."""
        return self.record.title

    def html(self) -> Markup:
        """Return the head: each result with its model and its mean."""
        lines = [
            f"{each.name}: {each.model} {_mean(each.scores[each.model]):.3f}, {each.dataset}"
            for each in self.record.results
        ]
        datasets = dict.fromkeys(each.dataset for each in self.record.results)
        return element(
            "header",
            eyebrow(" and ".join(datasets), self.created, "comparison"),
            element("h1", f"{counted(len(self.record.results), 'result')} by {self.record.in_words}"),
            [element("p", line, class_="rest") for line in lines],
            class_="hero",
        )


class Models(Shown[CompareRecord]):
    """Shows the scores of all models of all results."""

    name = "models"
    title = "Scores"

    def figures(self, record: CompareRecord) -> dict[str, Figure]:
        """Draw every model of every result."""
        return {"compared": draw_compared(record)}

    def html(self, record: CompareRecord, page: Page) -> Markup:
        """Return figure and table."""
        rows = [
            [
                name,
                *(_score(each, name) for each in record.results),
            ]
            for name in _all_models(record)
        ]
        header = ["model", *(each.name for each in record.results)]
        return join_all(
            figure(
                page,
                "compared",
                says=f"Dot plot of the {record.in_words} of every model in {counted(len(rows), 'row')}.",
                title="Every model of every result",
                note="Each mark is the mean over folds.",
            ),
            scrolled(table(header, rows, caption="Scores of all models", class_="sortable"), "Scores of all models"),
        )


class Differences(Shown[CompareRecord]):
    """Shows how each further result differs from the first."""

    name = "differences"
    title = "Differences"

    def html(self, record: CompareRecord, page: Page) -> Markup:
        """Return a table for each further result, or why there is none."""
        first, *others = record.results
        return join_all([self._pair(first, each) for each in others])

    def _pair(self, first: Compared, second: Compared) -> Markup:
        heading = element("h3", f"{second.name} against {first.name}")
        if why := lacks_same_folds(first, second):
            way = way_to_pair(first, second)
            return join_all(
                heading,
                element("p", f"They cannot be compared fold by fold: {why}.", class_="lead"),
                element("p", f"{way}.") if way else None,
            )
        unchecked = unchecked_images(first, second)
        rows = [
            [
                each.first if each.first == each.second else f"{each.second} against {each.first}",
                f"{each.difference.mean:+.4f}",
                number(each.difference.low, 4),
                number(each.difference.high, 4),
                certainty(each.difference),
            ]
            for each in paired_models(first, second)
        ]
        header = ["model", "difference", "low", "high", ""]
        how = "Paired, fold by fold, with 95% intervals (corrected resampled t)"
        said = f"{how}; plus means that {second.name} is better."
        return join_all(
            heading,
            element("p", said, class_="lead"),
            element("p", f"{unchecked}.") if unchecked else None,
            scrolled(table(header, rows, caption="Differences"), "Differences"),
        )


class Asked(Shown[CompareRecord]):
    """Shows what the results were asked for, what differs first."""

    name = "asked"
    title = "What was asked"

    def html(self, record: CompareRecord, page: Page) -> Markup:
        """Return what differs, and below what does not."""
        asked = [each.asked() for each in record.results]
        names = dict.fromkeys(name for each in asked for name in each)
        differing = [name for name in names if len({to_json(each.get(name)) for each in asked}) > 1]
        header = ["", *(each.name for each in record.results)]
        same = [name for name in names if name not in differing]
        shown = _table(header, differing, asked, "What differs") if differing else element("p", "Nothing differs.")
        return join_all(
            shown, element("details", element("summary", "What is the same"), _table(header, same, asked, "The same"))
        )


def collect_comparison(files: Sequence[Path]) -> PageContent:
    """Collect the page of several results of `stack`.

    Raises
    ------
    StackError
        If one is no result of `stack`, or they are ranked by different metrics.
    UsageError
        If a file is named twice.
    """
    if len({each.resolve() for each in files}) < len(files):
        message = "the same result is named twice: name each result once"
        raise UsageError(message)
    stems = [each.stem for each in files]
    names = [each.stem if stems.count(each.stem) == 1 else str(each) for each in files]
    results = [Compared(name, read_earlier(file)) for name, file in zip(names, files, strict=True)]
    record = CompareRecord(results, check_comparable(results))
    parts: list[FilledSection[Any]] = [FilledSection(each, record) for each in (Models(), Differences(), Asked())]
    return PageContent(CompareHead(record, datetime.now(UTC)), parts, {})


def draw_compared(record: CompareRecord) -> Figure:
    """Draw the mean of each model, a mark for each result that has it."""
    models = _all_models(record)
    names = dict(zip(models, short_names(models), strict=True))
    traces = []
    for place, each in enumerate(record.results):
        color, symbol = CLASS_LOOKS[place % len(CLASS_LOOKS)]
        shown = [name for name in models if name in each.scores]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": plain_text(each.name),
                "x": [_mean(each.scores[name]) for name in shown],
                "y": [names[name] for name in shown],
                "marker": {"size": 12, "color": color, "symbol": symbol},
                "hovertemplate": f"{plain_text(each.name)}, %{{y}}: %{{x:.3f}}<extra></extra>",
            }
        )
    values = [_mean(each.scores[name]) for each in record.results for name in each.scores]
    layout = {
        "height": 110 + ROW * len(models),
        "xaxis": {"title": {"text": plain_text(record.in_words)}, "range": padded(values, 0.08)},
        "yaxis": {"categoryorder": "array", "categoryarray": [*names.values()][::-1], **NAMES},
        "showlegend": True,
    }
    return Figure(traces, layout)


def _all_models(record: CompareRecord) -> list[str]:
    return list(dict.fromkeys(name for each in record.results for name in each.scores))


def _score(each: Compared, model: str) -> str:
    if model not in each.scores:
        return "-"
    folds = each.scores[model]
    spread = "" if len(folds) == 1 else f" ± {np.std(folds):.3f}"
    return f"{_mean(folds):.3f}{spread}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _table(header: list[str], names: Sequence[str], asked: Sequence[Mapping[str, Any]], caption: str) -> Markup:
    rows = [[name.replace("_", " "), *(_text(each.get(name)) for each in asked)] for name in names]
    return scrolled(table(header, rows, caption=caption), caption)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "-" if value is None else to_json(value)
